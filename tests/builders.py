"""Small inputs that many tests build: tokens, tables, trained runs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

import caesura
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.grid import sample_store
from caesura.data.sampling import fit_sampling
from caesura.data.schema import fit_schema
from caesura.types import Batch, Grid, Tokens

TINY = (
    "encoder.width=16", "encoder.heads=2", "encoder.depth=2", "stages.0.decoder.width=16",
    "stages.0.decoder.heads=2", "stages.0.decoder.depth=1", "training.batch_tokens=512",
)  # fmt: skip

TINY_GENERATOR = (
    "encoder.width=16", "encoder.latent=8", "encoder.heads=2", "stages.1.objective.width=16",
    "stages.1.objective.heads=2", "stages.1.objective.depth=1", "training.threads=1",
    "training.batch_tokens=1024", "stages.0.objective.quantiser.codes=32",
)  # fmt: skip


def waves_and_counts(count=6, time=120, seed=0):
    """Make series (2, time): a noisy wave, and a count of events, whole and never negative."""
    rng = np.random.default_rng(seed)
    at, found = np.arange(time), []
    for _ in range(count):
        wave = 50 + 10 * np.sin(2 * np.pi * (at / 12 + rng.uniform())) + rng.standard_normal(time)
        found.append(np.stack([wave, rng.poisson(2.0, time)]))
    return found


def make_tokens(lengths=(7, 4, 1), axes=2, size=1, extra=0, seed=0):
    """Make Tokens of given lengths, padded to the longest plus `extra`, noise in the padding."""
    rng = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    shape = (len(lengths), longest)
    values = torch.randn(*shape, size, generator=rng)
    positions = 10 * torch.rand(*shape, axes, generator=rng)
    if axes > 1:
        positions[..., -1] = torch.randint(0, 3, shape, generator=rng).float()
    pad = (0, 0, 0, extra)
    values = torch.nn.functional.pad(values, pad, value=9.0)
    positions = torch.nn.functional.pad(positions, pad, value=1.0)
    valid = torch.arange(longest + extra) < torch.tensor(lengths)[:, None]
    observed = valid[..., None].expand(-1, -1, size).clone()
    return Tokens(values * valid[..., None], observed, positions, valid)


def make_grid(lengths=(40, 21), channels=2, extra=0, seed=0, rate=100.0):
    """Make a Grid of windows of given lengths, padded to the longest plus `extra`, with a gap."""
    rng = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    values = torch.randn(len(lengths), channels, longest, generator=rng).cumsum(-1)
    observed = torch.rand(values.shape, generator=rng) > 0.1
    observed[..., 3:6] = False
    valid = torch.arange(longest + extra) < torch.tensor(lengths)[:, None]
    values, observed = (torch.nn.functional.pad(x, (0, extra)) for x in (values, observed))
    observed = observed & valid[:, None]
    return Grid(values * observed, observed, rate_hz=rate, valid=None if valid.all() else valid)


def make_batch(lengths=(7, 4, 1), **settings):
    """Make a batch of `make_tokens`, series numbered from 5."""
    tokens = make_tokens(lengths, **settings)
    return Batch(tokens, torch.arange(5, 5 + len(lengths)))


def generator(seed=0):
    """Return a seeded generator."""
    return torch.Generator().manual_seed(seed)


def long_table(series=30, seed=0, channels=("u", "v"), longest=30):
    """Make a long table of noisy sines: the channels are in step, half a series' label too."""
    rng = np.random.default_rng(seed)
    columns = {"id": [], "time": [], "channel": [], "value": [], "error": []}
    for number in range(series):
        fast = 1.0 + number % 2
        for k, channel in enumerate(channels):
            times = np.sort(rng.uniform(0, 12, rng.integers(8, longest)))
            columns["id"] += [f"s{number}"] * len(times)
            columns["time"] += times.tolist()
            columns["channel"] += [channel] * len(times)
            noise = 0.1 * rng.standard_normal(len(times))
            columns["value"] += (np.sin(fast * times + k) * (k + 1) + noise).tolist()
            columns["error"] += [0.1 * (k + 1)] * len(times)
    table = pa.table(columns)
    number = np.array([int(name[1:]) for name in columns["id"]])
    return table.take(np.lexsort((columns["channel"], columns["time"], number)))


def label_table(series=30):
    """Make the labels of `long_table`: slow or fast."""
    kinds = ["slow" if n % 2 == 0 else "fast" for n in range(series)]
    return pa.table({"id": [f"s{n}" for n in range(series)], "kind": kinds})


def tiny_run(out=None, steps=12, table=None, **options):
    """Pre-train a tiny model on `long_table`."""
    options.setdefault("columns", {"channel": "channel"})
    settings = (*TINY, *options.pop("settings", ()))
    data = long_table() if table is None else table
    return caesura.pretrain(data, out=out, steps=steps, settings=settings, **options)


def laid_out(times, **settings):
    """Return a schema and a view of two series that were measured at the same times."""
    if pa.types.is_string_view(times.type):
        both = pa.array([*times.to_pylist()] * 2, pa.string_view())
    else:
        both = pa.concat_arrays([times, times])
    ids = np.repeat(["a", "b"], len(times))
    table = pa.table({"id": ids, "time": both, "value": np.arange(2.0 * len(times))})
    config = DataConfig(
        columns=Columns(), tokens="step", **({"own_rate": True, "window": 4} | settings)
    )
    store, _ = open_data(table, config)
    both_train = np.arange(2)
    schema = fit_schema(store, both_train, config)
    schema = fit_sampling(store, both_train, schema, config, silent=True)
    return schema, sample_store(store, schema)
