"""Seconds of four things that were promised a time: `python benchmarks/time_limits.py [NAME ...]`.

minutes: four irregular series of 40,000 observations for 3 s. long: four of 250,000, 20 steps and
1,000 queries. probe: 26 classes and 4,000 series. study: 360 series of 24 channels x 51 steps as a
long table for 5 minutes.
"""

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import caesura


@contextmanager
def timed(name):
    """Print wall and processor seconds of a block."""
    wall, busy = time.monotonic(), time.process_time()
    yield
    wall, busy = time.monotonic() - wall, time.process_time() - busy
    print(f"{name}: {wall:.1f} s, {busy:.1f} s of a core", flush=True)


def irregular(length):
    """Return four irregular series of a wave with noise."""
    rng = np.random.default_rng(0)
    times = np.concatenate([np.sort(rng.uniform(0, 0.4 * length, length)) for _ in range(4)])
    values = np.sin(times / 5) + rng.normal(size=4 * length)
    return pa.table({"id": np.repeat(np.arange(4), length), "time": times, "value": values})


def minutes(folder):
    """Ask for 3 s."""
    with timed("minutes: pretrain, 4 x 40,000, 3 s asked"):
        run = caesura.pretrain(irregular(40_000), "romae", minutes=0.05)
    print(f"minutes: metrics say {run.metrics['seconds']} s")


def long(folder):
    """Train, calibrate and interpolate long series."""
    table, rng = irregular(250_000), np.random.default_rng(1)
    with timed("long: pretrain, 4 x 250,000, 20 steps"):
        run = caesura.pretrain(table, "romae", steps=20)
    query = pa.table({"id": rng.integers(0, 4, 1000), "time": rng.uniform(0, 100_000, 1000)})
    with timed("long: interpolate 1,000 queries"):
        run.interpolate(table, query)


def probe(folder):
    """Probe many classes."""
    rng = np.random.default_rng(0)
    kinds, at = rng.integers(0, 26, 4000), np.arange(64) / 64
    phase = 2 * np.pi * (np.outer(0.5 + 0.55 * (kinds // 2), at) + rng.uniform(size=(4000, 1)))
    wave = np.where(kinds[:, None] % 2, np.sign(np.sin(phase)), np.sin(phase))
    x = (wave + 0.6 * rng.normal(size=wave.shape))[:, None].astype(np.float32)
    run = caesura.pretrain(x, "mae", steps=40, settings=["data.rate=1"])
    labels = pa.table({"id": np.arange(4000), "kind": [chr(97 + kind) for kind in kinds]})
    with timed("probe: 26 classes, 4,000 series"):
        print(run.probe(labels, x).metrics)


def study(folder):
    """Ask a study of a long table for 5 minutes."""
    from caesura.study.dividend.answers import answer
    from caesura.study.dividend.begin import Question, begin, data_config

    rng, shape = np.random.default_rng(0), (360, 24, 51)
    kinds, at = rng.integers(0, 3, 360), np.arange(51) / 51
    phase = 2 * np.pi * (np.outer(2 + 1.5 * kinds, at)[:, None] + rng.uniform(size=(360, 24, 1)))
    values = 1.5 * rng.normal(size=shape) + np.sin(phase) * (rng.random((360, 24, 1)) < 0.4)
    series, channel, step = (index.ravel() for index in np.indices(shape))
    table = {"id": series, "channel": channel, "time": step, "value": values.ravel()}
    pq.write_table(pa.table(table), folder / "long.parquet")
    pq.write_table(pa.table({"id": np.arange(360), "kind": kinds}), folder / "kinds.parquet")
    path = str(folder / "long.parquet")
    config = data_config(path, {"channel": "channel"})
    question = Question(path, config, labels=str(folder / "kinds.parquet"))
    with timed("study: 360 series of 24 x 51, 5 minutes asked"):
        one = begin(question, folder / "study", {}, minutes=5)
        one.open(resume=False)
        print(f"study: {one.plan.steps} steps, {one.plan.tuning_steps} of fine-tuning")
        one.run()
        print(answer(one).sentence())


if __name__ == "__main__":
    torch.set_num_threads(1)
    known = {"minutes": minutes, "long": long, "probe": probe, "study": study}
    with tempfile.TemporaryDirectory() as scratch:
        for name in sys.argv[1:] or known:
            known[name](Path(scratch))
