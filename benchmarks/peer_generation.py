"""A peer's synthetic windows scored as ours are: tsgm (Nikitin et al. 2023), apart.

    python benchmarks/peer_generation.py prepare ETTh1 --data DATA --out OUT
    PEER/bin/python benchmarks/peer_generation.py train ETTh1 --out OUT --model ddpm --minutes 10
    python benchmarks/peer_generation.py score ETTh1 --data DATA --out OUT

PEER: `pip install torch==2.13.0 tsgm==0.1.0 "pandas<3"`. Training windows are those of
`timemar-24`, in shares of their range, as the peer wants them; one thread. Models have sizes and
a training loop of their own; what is made is compared with the same unseen windows.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np

COUNT = 3000
_STEPS = 200  # of the diffusion


def material_of(args):
    """Return a set's windows as `timemar-24` has them."""
    from caesura.reproduce.timemar.sets import material

    context = SimpleNamespace(settings=SimpleNamespace(windows=10_000), file=args.data.joinpath)
    return material(args.set, 24, context)


def range_of(train):
    """Return the least of each channel and its range."""
    low, high = train.min((0, 2), keepdims=True), train.max((0, 2), keepdims=True)
    return low, np.where(high > low, high - low, 1.0)


def prepare(args):
    """Write the training windows, (windows, time, channels) from -1 to 1."""
    train = material_of(args).train
    low, size = range_of(train)
    args.out.mkdir(parents=True, exist_ok=True)
    scaled = ((train - low) / size).transpose(0, 2, 1) * 2 - 1
    np.save(args.out / "train.npy", scaled.astype(np.float32))


def train(args):
    """Train a peer's model for some minutes and write its windows."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    torch.set_num_threads(1)
    import tsgm

    windows = np.load(args.out / "train.npy")
    time_steps, channels = windows.shape[1:]
    stop = _Clock(keras, args.minutes * 60)
    if args.model == "ddpm":
        shape = {"seq_len": time_steps, "feat_dim": channels, "n_filters": 64, "n_conv_layers": 3}
        kinds = [tsgm.models.zoo["ddpm_denoiser"](**shape).model for _ in range(2)]
        kinds[1].set_weights(kinds[0].get_weights())
        model = tsgm.models.ddpm.DDPM(*kinds, _STEPS)
        model.compile(optimizer=keras.optimizers.Adam(1e-3))  # with a loss, keras 3.15 fails
    else:
        both = tsgm.models.zoo["vae_conv5"](time_steps, channels, 10)
        model = tsgm.models.cvae.BetaVAE(both.encoder, both.decoder)
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
    begun = time.time()
    with suppress(_OverError):
        model.fit(windows, epochs=10_000, batch_size=128, verbose=0, callbacks=[stop.callback])
    trained = time.time() - begun
    begun = time.time()
    made = np.asarray(keras.ops.convert_to_numpy(model.generate(COUNT)))
    seconds = time.time() - begun
    np.save(args.out / f"{args.model}.npy", made)
    facts = {"minutes": trained / 60, "steps": stop.steps, "windows a second": COUNT / seconds,
             "parameters": int(sum(np.prod(w.shape) for w in model.trainable_weights))}  # fmt: skip
    (args.out / f"{args.model}.json").write_text(json.dumps(facts))
    print(facts)


class _Clock:
    """Stops a fit after some seconds."""

    def __init__(self, keras, seconds):
        clock = self
        clock.steps, end = 0, time.time() + seconds

        class Callback(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                clock.steps += 1
                if time.time() > end:
                    raise _OverError

        self.callback = Callback()


class _OverError(Exception):
    """The time is over."""


def score(args):
    """Score what a peer made as `timemar-24` scores ours."""
    from caesura.tasks.synthetic_scores import Scoring, score_synthetic

    sets = material_of(args)
    low, size = range_of(sets.train)
    for path in sorted(args.out.glob("*.json")):
        made = np.load(path.with_suffix(".npy"))
        made = (made.transpose(0, 2, 1).astype(np.float64) + 1) / 2 * size + low
        found = score_synthetic(sets.train, sets.unseen, made, Scoring())
        row = {one.name: [round(float(x.mean()), 4) for x in (one.synthetic, one.floor)]
               for one in found}  # fmt: skip
        print(
            json.dumps({"set": args.set, "model": path.stem, **json.loads(path.read_text()), **row})
        )


def main():
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("prepare", "train", "score"))
    parser.add_argument("set")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", choices=("ddpm", "vae"), default="ddpm")
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    {"prepare": prepare, "train": train, "score": score}[args.verb](args)


if __name__ == "__main__":
    main()
