"""How good synthetic windows are: each measure beside what two sets of real windows have.

Real windows that trained and real windows that did not are compared just as synthetic ones and
those that did not: what a measure gives there is its floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError, RecipeError
from caesura.metrics import generate as measures
from caesura.tasks.context import context_features
from caesura.tasks.critics import CRITICS, Critic, discriminative_scores, predictive_scores
from caesura.training.precision import threads

Floats = NDArray[np.floating[Any]]
PROTOCOLS = ("caesura", "timegan")

MOST = 3000
"""Windows of each set that are compared."""
_LEAST = 10
"""Windows of each set below which nothing is."""
_UNINFORMATIVE = 0.1
"""Discriminative score of two real sets from which on it says nothing."""


@dataclass(frozen=True)
class Measured:
    """A measure of synthetic against real windows, and of real against real ones.

    Several values are those of repetitions. best: what two equal sets have.
    """

    name: str
    synthetic: Floats
    floor: Floats
    best: float = 0.0

    @property
    def informative(self) -> bool:
        """Whether real windows cannot be told from one another."""
        return not self.name.startswith("discriminative") or self.floor.mean() < _UNINFORMATIVE

    def row(self) -> dict[str, Any]:
        """Return a row of a table."""
        note = "" if self.informative else "not informative: real windows differ as much"
        return {
            "measure": self.name,
            "synthetic": _shown(self.synthetic),
            "real": _shown(self.floor),
            "best": f"{self.best:g}",
            "note": note,
        }


def _shown(values: Floats) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{values.mean():.4f} ({values.min():.4f} to {values.max():.4f})"


@dataclass(frozen=True)
class Scoring:
    """What is scored, how often and from which seed.

    protocol "timegan": the literature's way, with all real windows as reference, two random
    halves of which are the floor. target: channel of the predictive score, which is of that
    protocol alone.
    """

    repeats: int = 5
    critics: tuple[str, ...] = tuple(CRITICS)
    protocol: str = "caesura"
    target: int = -1
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.critics if name not in CRITICS]
        if unknown:
            raise RecipeError(f"unknown critic {unknown[0]!r}; known: {', '.join(CRITICS)}")
        if self.protocol not in PROTOCOLS:
            raise RecipeError(f"unknown protocol {self.protocol!r}; known: {', '.join(PROTOCOLS)}")
        if self.repeats < 1:
            raise RecipeError(f"{self.repeats} repeats; ask for one at least")


def score_synthetic(
    train: Floats,
    unseen: Floats,
    synthetic: Floats,
    scoring: Scoring | None = None,
    show: Callable[[str], None] = lambda name: None,
) -> list[Measured]:
    """Score windows (count, channels, time) against real ones that did not train.

    Sets are thinned to a common size, 3,000 at most; fewer than 10 windows in one are a DataError.
    Real windows must be in the order of time. Measures of pairs of channels are left out where
    there is one channel.
    """
    scoring = scoring or Scoring()
    for name, one in (("training", train), ("unseen", unseen), ("synthetic", synthetic)):
        if len(one) < _LEAST:
            raise DataError(
                f"{len(one)} {name} windows of {one.shape[2]} steps, and {_LEAST} are needed to "
                "compare: give more series, longer ones, or shorter windows"
            )
    rng = np.random.default_rng(scoring.seed)
    if scoring.protocol == "timegan":
        every = np.concatenate([train, unseen])
        order = rng.permutation(len(every))
        train, unseen = every[order[: len(order) // 2]], every[order[len(order) // 2 :]]
    count = min(MOST, len(train), len(unseen), len(synthetic))
    train, real, made = (_thinned(one, count, rng) for one in (train, unseen, synthetic))

    def found() -> Iterator[Measured]:
        for name, (measure, best) in _PLAIN.items():
            if name in _OF_PAIRS and real.shape[1] == 1:
                continue
            show(name)
            yield _both(name, partial(_one_value, measure, real), made, train, best)
        show("density and coverage")
        pairs = [measures.density_and_coverage(real, one) for one in (made, train)]
        for name, (ours, own) in zip(
            ("density", "coverage"), zip(*pairs, strict=True), strict=True
        ):
            yield Measured(name, np.array([ours]), np.array([own]), 1.0)
        show("context distance")
        yield _both("context distance", lambda x: _context(real, x, scoring), made, train)
        show("ridge error")
        yield _both("ridge error", lambda x: [measures.transfer_error(x, real)], made, train)
        if scoring.protocol == "caesura":
            show("copying ratio")
            yield copying(train, real, made)
        else:
            show("predictive score")
            given = (real, scoring.repeats, scoring.target)
            yield _both("predictive score", lambda x: predictive_scores(x, *given), made, train)
        for name in scoring.critics:
            show(f"discriminative score, {name}")
            asked = (CRITICS[name], scoring.repeats, scoring.seed)
            tell = partial(_told_apart, real, asked=asked)
            yield _both(f"discriminative score, {name}", tell, made, train)

    with threads(0):
        return list(found())


def copying(train: Floats, unseen: Floats, synthetic: Floats) -> Measured:
    """Return the copying ratio, the floor being that of unseen windows beside other unseen ones.

    Windows are (count, channels, time) without gaps, the unseen ones in the order of time.
    """
    query, other = _alternate_blocks(unseen)

    def ratio(windows: Floats) -> list[float]:
        return [measures.copying_ratio(windows, train, other, unseen)]

    return _both("copying ratio", ratio, synthetic, query, 1.0)


_PLAIN: dict[str, tuple[Callable[[Floats, Floats], float], float]] = {
    "marginal distance": (measures.marginal_distance, 0.0),
    "autocorrelation distance": (measures.autocorrelation_distance, 0.0),
    "correlation error a pair": (measures.correlation_error, 0.0),
    "correlational score": (measures.correlational_score, 0.0),
    "deviation ratio": (measures.deviation_ratio, 1.0),
    "MMD": (measures.mean_discrepancy, 0.0),
}
_OF_PAIRS = ("correlation error a pair", "correlational score")
"""Measures of pairs of channels, which say nothing of a single channel."""


def _both(
    name: str,
    measure: Callable[[Floats], Sequence[float] | Floats],
    made: Floats,
    real: Floats,
    best: float = 0.0,
) -> Measured:
    return Measured(name, np.asarray(measure(made)), np.asarray(measure(real)), best)


def _one_value(
    measure: Callable[[Floats, Floats], float], real: Floats, other: Floats
) -> list[float]:
    return [measure(real, other)]


def _told_apart(real: Floats, other: Floats, asked: tuple[Critic, int, int]) -> Floats:
    return discriminative_scores(real, other, *asked)


def _context(real: Floats, other: Floats, scoring: Scoring) -> list[float]:
    each = range(scoring.seed, scoring.seed + scoring.repeats)
    pairs = (context_features(real, real, other, seed=seed) for seed in each)
    return [measures.frechet_distance(*pair) for pair in pairs]


def _alternate_blocks(windows: Floats, blocks: int = 20) -> tuple[Floats, Floats]:
    """Return every other run of windows, and the rest: neighbours in time stay together."""
    runs = np.array_split(windows, blocks)
    return np.concatenate(runs[::2]), np.concatenate(runs[1::2])


def _thinned(windows: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return some windows in their order: neighbours stay neighbours."""
    return windows[np.sort(rng.permutation(len(windows))[:count])]
