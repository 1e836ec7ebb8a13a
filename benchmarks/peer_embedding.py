"""Embedding regular series of 512 points beside two peers of the same shape, in one run.

    python benchmarks/peer_embedding.py --peer PEER/bin/python [-o FILE]

PEER: `pip install torch==2.13.0 "transformers<5" chronos-forecasting==2.3.2` and
`pip install --no-deps momentfm==0.1.4`. Weights are random: speed does not ask for them. Ours is
`mae` of the peer's width and patch, as deep as it takes to have no fewer parameters at work (those
of MOMENT's 32,128 words are never used by it, nor is Chronos-Bolt's decoder in an embedding). One
thread, processor time, rounds in turns; each side as its users get it, after the door: from arrays
in memory to vectors. product_share: of this core's best fp32 product that ours reaches in its
matrices alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

LENGTH = 512
PEERS = {
    "momentfm 0.1.4, small": {"patch": 8, "width": 512, "heads": 8, "series": 64, "batch": 16},
    "momentfm 0.1.4, small; ours by patches of 16": {
        "patch": 16,
        "width": 512,
        "heads": 8,
        "series": 64,
        "batch": 16,
    },
    "chronos-bolt, tiny": {"patch": 16, "width": 256, "heads": 4, "series": 256, "batch": 32},
}


def series(count):
    """Return random walks (count, LENGTH)."""
    steps = np.random.default_rng(0).standard_normal((count, LENGTH))
    return steps.cumsum(1).astype(np.float32)


def moment():
    """Return a call that embeds a batch, and the parameters at work."""
    from momentfm import MOMENTPipeline

    t5 = {"d_model": 512, "d_ff": 1024, "d_kv": 64, "num_heads": 6, "num_layers": 8,
          "vocab_size": 32128, "feed_forward_proj": "gated-gelu", "model_type": "t5"}  # fmt: skip
    config = {
        "task_name": "embedding", "model_name": "MOMENT", "transformer_type": "encoder_only",
        "transformer_backbone": "google/flan-t5-small", "d_model": None, "seq_len": LENGTH,
        "patch_len": 8, "patch_stride_len": 8, "device": "cpu", "t5_config": t5,
        "enable_gradient_checkpointing": False,
    }  # fmt: skip
    model = MOMENTPipeline(config, model_kwargs={"task_name": "embedding"})
    model.init()
    model.eval()
    words = {id(p) for p in model.encoder.embed_tokens.parameters()}
    used = [*model.encoder.parameters(), *model.patch_embedding.parameters()]
    return (lambda x: model(x_enc=x[:, None])), sum(p.numel() for p in used if id(p) not in words)


def chronos():
    """Return a call that embeds a batch, and the parameters at work."""
    from chronos.chronos_bolt import ChronosBoltModelForForecasting, ChronosBoltPipeline
    from transformers import T5Config

    own = {"context_length": 2048, "prediction_length": 64, "input_patch_size": 16,
           "input_patch_stride": 16, "quantiles": [q / 10 for q in range(1, 10)],
           "use_reg_token": True}  # fmt: skip
    config = T5Config(
        d_model=256, d_ff=1024, d_kv=64, num_heads=4, num_layers=4, num_decoder_layers=4,
        vocab_size=2, feed_forward_proj="relu", chronos_config=own,
    )  # fmt: skip
    model = ChronosBoltModelForForecasting(config).eval()
    used = [*model.encoder.parameters(), *model.input_patch_embedding.parameters()]
    return ChronosBoltPipeline(model).embed, sum(p.numel() for p in used)


def serve(name):
    """Embed whenever a line comes, and answer with processor seconds."""
    import torch

    torch.set_num_threads(1)
    call, parameters = moment() if name.startswith("moment") else chronos()
    own = PEERS[name]
    rows = torch.from_numpy(series(own["series"]))
    print(json.dumps({"parameters": parameters}), flush=True)
    for _ in sys.stdin:
        begun = time.process_time()
        with torch.no_grad():
            for batch in rows.split(own["batch"]):
                call(batch)
        print(json.dumps(time.process_time() - begun), flush=True)


def ours(own, parameters, precision):
    """Return a call that embeds the same series, and our parameters at work."""
    import caesura
    from caesura.tasks.embed import embed
    from caesura.tasks.needs import need

    rows = series(own["series"])
    for depth in range(2, 33):
        run = caesura.pretrain(
            rows[:8, None], recipe="mae", steps=1,
            settings=("data.rate=1", f"data.window={LENGTH}", f"encoder.patch={own['patch']}",
                      f"encoder.width={own['width']}",
                      f"encoder.heads={own['heads']}", f"encoder.depth={depth}",
                      f"training.precision={precision}"),
        )  # fmt: skip
        found = sum(p.numel() for p in need(run, "encoder").parameters())
        if found >= parameters:
            break
    store = run.open(rows[:, None])
    return (lambda: embed(run, store)), found, depth


def measured(name, peer, rounds):
    """Return a row of the comparison with one peer."""
    import torch
    from speed.timing import product_gflops

    torch.set_num_threads(1)
    own = PEERS[name]
    command = [peer, "-W", "ignore", __file__, "--serve", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask():
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    parameters = json.loads(process.stdout.readline())["parameters"]
    calls, facts = {}, {}
    for precision in ("fp32", "auto"):
        calls[precision], size, depth = ours(own, parameters, precision)
        facts |= {"ours_parameters": size, "ours_depth": depth}
    times = {key: [] for key in (*calls, "peer")}
    for number in range(rounds + 1):
        for key, call in calls.items():
            begun = time.process_time()
            call()
            times[key].append(time.process_time() - begun)
        times["peer"].append(ask())
        if not number:
            times = {key: [] for key in times}
    process.stdin.close()
    process.wait()
    row = {"experiment": "embedding beside a peer", "peer": name, "peer_parameters": parameters,
           "patch": own["patch"], **facts}  # fmt: skip
    for key, found in times.items():
        rate = own["series"] / statistics.median(found)
        row[f"{key}_series_a_second"] = rate
        if key != "peer":
            ratios = [b / a for a, b in zip(found, times["peer"], strict=True)]
            row[f"ratio_{key}"] = statistics.median(ratios)
            row[f"ratio_{key}_range"] = [min(ratios), max(ratios)]
        if key == "fp32":
            flop = 2 * facts["ours_parameters"] * (LENGTH // own["patch"])
            best = product_gflops(torch.float32, "highest")
            row["product_share"] = flop * rate / 1e9 / best
    return row


def main():
    """Measure, or be the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve")
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    for name in PEERS:
        row = measured(name, options.peer, options.rounds)
        row |= {"command": "python benchmarks/peer_embedding.py --peer PEER/bin/python",
                "hardware": f"{platform.machine()} CPU, 1 thread",
                "date": date.today().isoformat()}  # fmt: skip
        print(json.dumps(row, indent=2))
        if options.output:
            with options.output.open("a") as handle:
                handle.write(json.dumps(row) + "\n")
    return None


if __name__ == "__main__":
    main()
