"""Goals P1 to P6 and R3: training steps against the usual way and against their own ceiling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from caesura.data.collate import TokenStore
from caesura.data.scaling import ScaleTable, ValueScale
from caesura.data.store import RaggedStore
from caesura.nn.attend import plain_attention_up_to
from caesura.recipes import romae
from caesura.training.arithmetic import measured
from caesura.training.compilation import compile_blocks
from caesura.training.loader import SeriesBatches
from caesura.training.optim import adamw
from caesura.training.precision import fast_float32
from caesura.types import Tokens
from speed.rival import Rival, Series, Stack, padded_loader
from speed.timing import interleaved, ratio

ROWS, SHORTEST, LONGEST = 64, 20, 250
FLOP_A_TOKEN = 31.3e6  # encoder, forward and backward, at 128 tokens a row
_ERROR = {"fp32": 1e-4, "bf16": 3e-2}


def corpus(series: int = 3000, seed: int = 0) -> RaggedStore:
    """Make ragged series: log-normal lengths of 20 to 250, median 70, mean 82."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(70), 0.55, series).astype(int), SHORTEST, LONGEST)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = int(offsets[-1])
    clock = np.cumsum(rng.exponential(4.0, rows))
    return RaggedStore(
        values=rng.standard_normal((rows, 1)).astype(np.float32),
        observed=np.broadcast_to(np.True_, (rows, 1)),
        clock=clock,
        channel=rng.integers(0, 6, rows).astype(np.int16),
        offsets=offsets,
        origins=clock[offsets[:-1]],
        ids=pa.array(np.arange(series)),
        channels=tuple("ugrizy"),
        value_names=("value",),
    )


def seen(store: RaggedStore) -> TokenStore:
    """See the corpus as a model would."""
    scales = ScaleTable(tuple((ValueScale(),) for _ in store.channels))
    return TokenStore(store, scales, np.arange(6, dtype=np.int32), 1.0, True, None)


class Ours:
    """Pre-training steps, all included: gather, masks, step, clipping.

    On random batches, as a run takes them on a CPU, or on length buckets.
    """

    def __init__(self, store: RaggedStore, precision: str, random_order: bool = True) -> None:
        torch.manual_seed(0)
        self.objective = romae.objective(romae.encoder("tiny", position_axes=2))
        self.optimizer = adamw(self.objective, 1e-4, 0.05, (0.9, 0.95), fused=True)
        everything = np.arange(len(store))
        self.source = SeriesBatches(
            seen(store), everything[64:], everything[:64],
            batch_tokens=int(ROWS * store.lengths.mean()), max_tokens=512, seed=0,
            order="random" if random_order else "buckets",
        )  # fmt: skip
        self.precision, self.step = precision, 0

    def run(self, steps: int) -> int:
        """Train and return the number of observations seen."""
        return sum(self._one() for _ in range(steps))

    def _one(self) -> int:
        parts = self.source.training(self.step, 0, 1)
        self.step += 1
        for batch in parts:
            rng = torch.Generator().manual_seed(self.step)
            with arithmetic(self.precision):
                loss = self.objective(batch, rng)
                (loss.total * loss.count).backward()
        nn.utils.clip_grad_norm_(self.objective.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return sum(int(batch.inputs.valid.sum()) for batch in parts)


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Compute by the routes that a training on this machine would take."""
    found = measured()
    with (
        fast_float32("onednn" if found["onednn"] else "default"),
        plain_attention_up_to(found[f"plain_{precision}"]),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        yield


class Theirs:
    """Steps of the rival on rows padded to `width`, or to the longest of a batch."""

    def __init__(self, store: RaggedStore, width: int) -> None:
        torch.manual_seed(0)
        values, places = [], []
        for first, last in zip(store.offsets[:-1], store.offsets[1:], strict=True):
            values.append(torch.from_numpy(store.values[first:last]))
            clock = store.clock[first:last] - store.clock[first]
            both = np.stack([clock, store.channel[first:last]], axis=1)
            places.append(torch.from_numpy(both.astype(np.float32)))
        self.model = Rival()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, foreach=False)
        self.loader = padded_loader(Series(values, places), ROWS, width)
        self.batches: Iterator[Any] = iter(self.loader)

    def run(self) -> int:
        """Take one step and return the number of observations seen."""
        values, positions, padding, hidden = next(self.batches)
        loss = self.model(values, positions, padding, hidden)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return int((~padding).sum())


def pretraining(rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """P1 (bf16) and P2 (fp32): observations a second over those of the padded rival."""
    store = corpus()
    ours = {name: Ours(store, name) for name in ("bf16", "fp32")}
    ours["bf16_buckets"] = Ours(store, "bf16", random_order=False)
    theirs = {"pad_250": Theirs(store, LONGEST), "pad_longest": Theirs(store, 0)}
    counted: dict[str, list[int]] = {name: [] for name in (*ours, *theirs)}
    calls = {n: (lambda n=n: counted[n].append(ours[n].run(5))) for n in ours}
    calls |= {n: (lambda n=n: counted[n].append(theirs[n].run())) for n in theirs}
    times = interleaved(calls, rounds)
    cost = {
        name: [t / c for t, c in zip(times[name], counted[name][1:], strict=True)] for name in times
    }
    goals = {
        "P1": ratio(cost["pad_250"], cost["bf16"]),
        "P2": ratio(cost["pad_250"], cost["fp32"]),
    }
    details = {f"{n}_us_per_observation": 1e6 * sorted(c)[len(c) // 2] for n, c in cost.items()}
    details["P1_in_buckets"] = ratio(cost["pad_250"], cost["bf16_buckets"])
    details["P1_against_pad_longest"] = ratio(cost["pad_longest"], cost["bf16"])
    details["P2_against_pad_longest"] = ratio(cost["pad_longest"], cost["fp32"])
    return goals, details


def dense(rows: int, length: int, seed: int = 0) -> Tokens:
    """Make a batch without padding."""
    rng = torch.Generator().manual_seed(seed)
    shape = (rows, length)
    return Tokens(
        torch.randn(*shape, 1, generator=rng), torch.ones(*shape, 1, dtype=torch.bool),
        torch.rand(*shape, 1, generator=rng).cumsum(1) * 8, torch.ones(shape, dtype=torch.bool),
    )  # fmt: skip


def encoder_step(rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """P5, the check of the rival, and the error of each route against float64."""
    rows, length = 16, 128
    tokens = dense(rows, length)
    torch.manual_seed(0)
    encoder = romae.encoder("tiny")
    layer = nn.TransformerEncoderLayer(180, 3, 720, 0.0, batch_first=True, norm_first=True)
    usual = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
    rival, x = Stack(12, axes=1), torch.randn(rows, length, 180)
    no_padding = torch.zeros(rows, length, dtype=torch.bool)
    models: dict[str, nn.Module] = {"ours": encoder, "usual": usual, "rival": rival}
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        for name, model in models.items()
    }

    def step(name: str, loss: torch.Tensor) -> None:
        loss.backward()
        optimizers[name].step()
        optimizers[name].zero_grad()

    def ours(precision: str) -> None:
        with arithmetic(precision):
            step("ours", encoder(tokens).levels[-1].features.square().mean())

    times = interleaved(
        {
            "usual": lambda: step("usual", usual(x).square().mean()),
            "rival": lambda: step("rival", rival(x, tokens.positions, no_padding).square().mean()),
            "fp32": lambda: ours("fp32"),
            "bf16": lambda: ours("bf16"),
        },
        rounds,
    )
    tokens_a_step = rows * length
    details = {"rival_over_usual": ratio(times["rival"], times["usual"])}
    for name, seconds in times.items():
        middle = sorted(seconds)[len(seconds) // 2]
        details[f"step_{name}_us_per_token"] = 1e6 * middle / tokens_a_step
        details[f"step_{name}_gflops"] = FLOP_A_TOKEN * tokens_a_step / middle / 1e9
    details["P5_in_bf16"] = ratio(times["usual"], times["bf16"])
    for precision in ("fp32", "bf16"):
        details[f"error_{precision}"] = error_against_float64(precision)
        if details[f"error_{precision}"] > _ERROR[precision]:
            raise SystemExit(f"{precision} differs from float64: {details[f'error_{precision}']}")
    return {"P5": ratio(times["usual"], times["fp32"])}, details


def share_of_ceiling(
    rounds: int, best_gflops: float, compiled: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """P3 and P4: useful rate of an encoder step in bf16, over the best bf16 product here.

    Useful: 24 d^2 + 4 L d operations a token and layer, three times for forward and backward.
    """
    goals, details = {}, {}
    for goal, size, rows in (("P3", "tiny", 16), ("P4", "small", 8)):
        tokens = dense(rows, 128)
        torch.manual_seed(0)
        encoder = romae.encoder(size)
        if compiled:
            compile_blocks(encoder)
        optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5, fused=True)

        def step(encoder: nn.Module = encoder, tokens: Tokens = tokens,
                 optimizer: torch.optim.Optimizer = optimizer) -> None:  # fmt: skip
            with arithmetic("bf16"):
                encoder(tokens).levels[-1].features.square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        seconds = sorted(interleaved({"step": step}, 2 * rounds + 1)["step"])
        width, depth = romae.SIZES[size]["width"], romae.SIZES[size]["depth"]
        flop = 3 * depth * (24 * width**2 + 4 * 128 * width) * rows * 128
        rate = flop / seconds[len(seconds) // 2] / 1e9
        name = f"{goal}_compiled" if compiled else goal
        goals[name] = rate / best_gflops
        details[f"step_{size}_{'compiled' if compiled else 'eager'}_gflops"] = rate
    return goals, details


def error_against_float64(precision: str) -> float:
    """Return the relative error of all gradients of an encoder step against float64."""
    tokens = dense(4, 96, seed=1)
    torch.manual_seed(0)
    encoder = romae.encoder("tiny")
    with arithmetic(precision):
        encoder(tokens).levels[-1].features.sin().mean().backward()
    own = torch.cat([p.grad.flatten().double() for p in encoder.parameters() if p.grad is not None])
    torch.manual_seed(0)
    exact = romae.encoder("tiny").double()
    wide = Tokens(tokens.values.double(), tokens.observed, tokens.positions, tokens.valid)
    exact(wide).levels[-1].features.sin().mean().backward()
    true = torch.cat([p.grad.flatten() for p in exact.parameters() if p.grad is not None])
    return float((own - true).norm() / true.norm())


def useful_tokens(rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """P6: useful tokens a second on ragged batches over those on dense rows of 128."""
    store = corpus(1500, seed=1)
    budget, everything = 32 * 128, np.arange(1500)
    sources = {
        kind: SeriesBatches(
            seen(store), everything[64:], everything[:64], batch_tokens=budget, max_tokens=512,
            seed=0, order="whole" if kind == "random" else "buckets",
        )
        for kind in ("buckets", "random")
    }  # fmt: skip
    torch.manual_seed(0)
    encoder = romae.encoder("tiny", position_axes=2)
    optimizer = adamw(encoder, 1e-5, 0.05, (0.9, 0.95), fused=True)
    counted: dict[str, list[int]] = {"dense": [], "buckets": [], "random": []}
    steps = {"buckets": 0, "random": 0}

    def step(parts: list[Tokens]) -> int:
        for tokens in parts:
            with arithmetic("bf16"):
                features = encoder(tokens).levels[-1].features
                (features.square() * tokens.valid[..., None]).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        return sum(int(tokens.valid.sum()) for tokens in parts)

    def ragged(kind: str) -> None:
        total = 0
        for _ in range(4):
            total += step([part.inputs for part in sources[kind].training(steps[kind], 0, 1)])
            steps[kind] += 1
        counted[kind].append(total)

    whole = dense(32, 128)
    flat = Tokens(whole.values, whole.observed, whole.positions.repeat(1, 1, 2), whole.valid)
    times = interleaved(
        {
            "dense": lambda: counted["dense"].append(sum(step([flat]) for _ in range(4))),
            "buckets": lambda: ragged("buckets"),
            "random": lambda: ragged("random"),
        },
        rounds,
    )
    cost = {n: [t / c for t, c in zip(times[n], counted[n][1:], strict=True)] for n in times}
    goals = {
        "P6": ratio(cost["dense"], cost["buckets"]),
        "P6_random": ratio(cost["dense"], cost["random"]),
    }
    return goals, {f"P6_{n}_us_per_token": 1e6 * sorted(c)[len(c) // 2] for n, c in cost.items()}


_COMPILE = """
import os, resource, sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, os.environ["BENCHMARKS"])
from speed.model import arithmetic, dense
from caesura.recipes import romae
from caesura.training.compilation import compile_blocks

def spent():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime

encoder = romae.encoder("tiny")

def step():
    with arithmetic("bf16"):
        encoder(dense(16, 128)).levels[-1].features.square().mean().backward()

step()
plain = min(timed for timed in [(-spent() + (step() or spent())) for _ in range(4)])
compile_blocks(encoder)
begun = spent()
step()
cold = spent() - begun
step()
fast = min(timed for timed in [(-spent() + (step() or spent())) for _ in range(4)])
print(cold, plain / fast)
"""


def cold_compile() -> tuple[dict[str, float], dict[str, float]]:
    """R3: processor seconds of the first compiled step of tiny's 12 layers, nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TORCHINDUCTOR_CACHE_DIR": folder,
            "BENCHMARKS": os.path.dirname(os.path.dirname(__file__)),
        }
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the compiled step failed:\n{done.stderr[-2000:]}")
    cold, gain = map(float, done.stdout.split())
    return {"R3": cold}, {"compiled_over_eager": gain}
