"""Speed of what generation adds, as ratios in one run, and of sampling in windows a second.

Usage: python benchmarks/generation.py [ROUNDS]
One thread, processor time, variants interleaved, medians of the ratios by round. Codes are compared
first: a search that finds others is an error, not a figure. Weights are as drawn: sampling takes as
long trained or not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from caesura.nn.quantise import nearest_codes
from caesura.recipes.build import build_encoder, build_objective
from caesura.tasks.critics import CRITICS, Critic, discriminative_scores
from caesura.tasks.generate import generate
from caesura.training.precision import fast_float32
from caesura.workflow import pretrain

REPEATS = 10


def seconds(work: Callable[[], object]) -> float:
    """Return processor seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def search(rounds: int) -> dict[str, float]:
    """Return how many times as fast as all distances the search for the nearest code is."""
    rng = torch.Generator().manual_seed(0)
    vectors, codes = torch.randn(16_384, 64, generator=rng), torch.randn(512, 64, generator=rng)

    def plain() -> torch.Tensor:
        return torch.cdist(vectors, codes).argmin(1)

    exact = torch.cdist(vectors.double(), codes.double()).argmin(1)
    same = float((nearest_codes(vectors, codes) == exact).double().mean())
    assert same == 1.0, f"{same:.6f} of the codes are those of float64"
    ratios = [
        seconds(plain) / seconds(lambda: nearest_codes(vectors, codes)) for _ in range(rounds)
    ]
    return {"L3 nearest of 512 codes, 16,384 x 64: times cdist + argmin": float(np.median(ratios))}


def one_critic(real: torch.Tensor, made: torch.Tensor, critic: Critic) -> None:
    """Train one repetition as TimeGAN's followers do: a GRU of its own."""
    rnn = nn.GRU(real.shape[2], max(1, real.shape[2] // 2), batch_first=True)
    head = nn.Linear(rnn.hidden_size, 1)
    optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=critic.lr)
    goal = torch.cat([torch.ones(128), torch.zeros(128)])
    for _ in range(critic.steps):
        pick = torch.randint(len(real), (2, 128))
        x = torch.cat([real[pick[0]], made[pick[1]]])
        loss = F.binary_cross_entropy_with_logits(head(rnn(x)[0][:, -1])[:, 0], goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def critics() -> dict[str, float]:
    """Return how many times as fast as ten runs ten repetitions in one model are."""
    rng = np.random.default_rng(0)
    real, made = rng.random((2, 1000, 6, 24)).astype(np.float32)
    known = CRITICS["timegan"]
    critic = Critic(known.kind, known.hidden, known.steps // 10, known.lr)
    tensors = [torch.from_numpy(x).mT.contiguous() for x in (real, made)]
    alone = seconds(lambda: [one_critic(*tensors, critic) for _ in range(REPEATS)])
    together = seconds(lambda: discriminative_scores(real, made, critic, REPEATS))
    return {"L4 ten repetitions of a critic, 24 x 6: times ten runs": alone / together}


def sampling() -> dict[str, float]:
    """Return windows of 24 x 6 a second of one core, by the recipe `timemar`."""
    series = list(np.random.default_rng(0).standard_normal((12, 6, 48)).astype(np.float32))
    run = pretrain(series, "timemar", steps=2, settings=["data.window=24"])
    generate(run, 512)
    count = 4096
    return {"windows of 24 x 6 a second": count / seconds(lambda: generate(run, count))}


def training() -> dict[str, float]:
    """Return seconds of a step of each stage at 128 windows of 24 x 6."""
    from caesura.recipes.compose import compose
    from caesura.types import Batch, Grid

    recipe = compose("timemar", settings=["encoder.channels=6", "stages.0.decoder.channels=6"])
    x = torch.randn(128, 6, 24)
    batch = Batch(Grid(x, torch.ones_like(x) > 0, rate_hz=1.0), torch.arange(128))
    found, before = {}, None
    for number, stage in enumerate(recipe.stages):
        made = build_objective(stage, build_encoder(recipe, 0), 0, before).train()

        def step(made: nn.Module = made) -> None:
            made(batch, torch.Generator().manual_seed(0)).total.backward()

        step()
        name = f"seconds of a step of stage {number + 1}, 128 windows, fp32"
        found[name] = float(np.median([seconds(step) for _ in range(5)]))
        before = made.parts()
    return found


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    with fast_float32():
        found = search(rounds) | critics() | sampling() | training()
    for name, value in found.items():
        print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()
