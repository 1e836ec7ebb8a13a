"""Table 5: the angle of a pendulum from irregular, partly unreadable images.

arXiv 2505.20535, sec. 5.4, D.4. One token a frame, patch (1, 24, 24). The paper reads all 100
numbers from one [CLS]; a head a frame is ours. Errors are means over elements: the paper's
3.32e-3 is very probably a tenth of that: its public script prints the summed error of the test
set x 1e-3, which is 100 times the mean, and the table takes the print for thousandths.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.synthetic.pendulum import KEPT, SIDE, PendulumFrames, oracles, pendulum
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.objectives.token_regression import TokenRegression, TokenRegressionConfig
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published, Settings
from caesura.signal.patch import patchify
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import stacked
from caesura.types import Batch, Tokens

PAPER = "[CLS] read-out, the paper's model"
PLAIN = "a head a frame, the paper's model"
DROP = "a head a frame, 4 layers, frames dropped"
OURS = "a head a frame, 4 layers, frames dropped, mirrored, re-noised"
_CENTER, _SCALE = 0.25, 0.27
"""Mean and deviation of the pixels of training frames, over all seeds."""


class PendulumSettings(Settings):
    """Paper: 2,000 training and 1,000 test sequences, batch 16, 50 epochs, lr 3e-4."""

    train: int = 2_000
    validation: int = 300
    test: int = 1_000
    batch: int = 16
    paper_epochs: float = 50
    epochs: float = 60
    paper_lr: float = 3e-4
    lr: float = 1e-3


class _Cell:
    """One way to read the frames."""

    def __init__(self, name: str) -> None:
        self.cls, self.small = name == PAPER, name in (PAPER, PLAIN)
        self.drop, self.change = name in (DROP, OURS), name == OURS


def _run(cell: str, context: Context) -> Outcome:
    own: PendulumSettings = context.settings
    kind = _Cell(cell)
    train = pendulum(own.train + own.validation, 100 + context.seed)
    test = pendulum(own.test, 90_000 + context.seed)
    order = np.arange(own.train + own.validation)
    source = IndexedBatches(
        lambda rows, rng: _gather(train, rows, kind, rng),
        order[: own.train],
        order[own.train :],
        own.batch,
        context.seed,
    )
    objective = _model(kind, context.seed)
    training = {
        "epochs": own.paper_epochs if kind.small else own.epochs,
        "lr": own.paper_lr if kind.small else own.lr,
        "warmup": 0.16 if kind.small else 0.1,  # paper: 1,000 of 6,250 steps
        "weight_decay": 0.01,
        "betas": (0.9, 0.999),
    }
    context.train(objective, source, training, "training")
    guess = _predict(objective, test, kind)
    squares = np.square(guess - test.targets)
    noise = test.clarity == 0
    rows = {cell: {"MSE": float(squares.mean()), "MSE, frames of pure noise": float(
        squares[noise].mean()), "MSE, readable frames": float(squares[~noise].mean())}}  # fmt: skip
    if kind.cls or kind.change:
        for name, found in zip(("filter oracle", "smoother oracle"), oracles(test), strict=True):
            error = float(np.square(found - test.targets).mean())
            rows[f"{name} (knows the physics)"] = {"MSE": error}
        rows["the targets' variance"] = {"MSE": float(test.targets.var((0, 1)).mean())}
    return Outcome(rows)


def _model(kind: _Cell, seed: int) -> Supervised | TokenRegression:
    config = PointTransformerConfig(
        width=60,
        heads=2,
        depth=2 if kind.small else 4,
        hidden=30 if kind.small else 240,
        values_per_token=SIDE * SIDE,
        cls=True,
    )
    with seeded(seed):
        encoder = PointTransformer(config)
        if kind.cls:
            whole = SupervisedConfig(task="regression", outputs=2 * KEPT, pooling="cls")
            return Supervised(encoder, whole, torch.ones(2 * KEPT))
        return TokenRegression(encoder, TokenRegressionConfig(outputs=2))


def _gather(
    data: PendulumFrames, rows: NDArray[np.int64], kind: _Cell, rng: np.random.Generator | None
) -> Batch:
    """Return frames as tokens; with a generator some are dropped, mirrored, covered by noise."""
    frames = data.frames[rows].astype(np.float32) / 255
    targets = data.targets[rows]
    keep = np.ones(frames.shape[:2], dtype=np.bool_)
    if rng is not None and kind.drop:
        keep = rng.random(keep.shape) >= rng.uniform(0, 0.5, (len(rows), 1))
        keep[:, 0] |= ~keep.any(1)
    if rng is not None and kind.change:
        mirrored = rng.random(len(rows)) < 0.5
        frames[mirrored] = frames[mirrored, :, :, ::-1]
        targets[mirrored, :, 0] *= -1  # the sine changes its sign with left and right
        clear = np.where(rng.random(keep.shape) < 0.3, rng.random(keep.shape), 1.0)
        share = clear.astype(np.float32)[..., None, None]
        frames = share * frames + (1 - share) * rng.random(frames.shape, dtype=np.float32)
    steps = torch.from_numpy(data.steps[rows].astype(np.float32))
    images = torch.from_numpy((frames - _CENTER) / _SCALE)[..., None]
    tokens = patchify(images, (1, SIDE, SIDE), positions={0: steps})
    valid = torch.from_numpy(keep)
    inputs = Tokens(
        values=tokens.values * valid[..., None],
        observed=tokens.observed & valid[..., None],
        positions=tokens.positions[..., :1],  # height and width are one patch: no axes
        valid=valid,
    )
    target = torch.from_numpy(targets)
    return Batch(inputs, torch.from_numpy(rows), target=target.flatten(1) if kind.cls else target)


def _predict(
    objective: Supervised | TokenRegression, data: PendulumFrames, kind: _Cell
) -> NDArray[np.float32]:
    parts = np.array_split(np.arange(len(data.frames)), -(-len(data.frames) // 100))
    batches = (_gather(data, rows, kind, None) for rows in parts)
    return stacked(objective, batches, objective.predict).reshape(len(data.frames), KEPT, 2)


_OWN = PendulumSettings()
PENDULUM = Experiment(
    name="romae-pendulum",
    title="Table 5: sine and cosine of a pendulum's angle from 50 of 100 images, MSE",
    settings={
        "quick": PendulumSettings(train=128, validation=32, test=64, paper_epochs=2, epochs=2),
        "medium": _OWN,
        "full": _OWN,
    },
    seeds={"quick": 1, "medium": 3, "full": 20},
    cells={"quick": (PAPER, OURS), "medium": (PAPER, PLAIN, DROP, OURS),
           "full": (PAPER, PLAIN, DROP, OURS)},
    cost={"quick": "10 s", "medium": "2 to 8 min a cell and seed",
          "full": "2 to 8 min a cell and seed"},
    run=_run,
    published={(PAPER, "MSE"): Published(3.32e-3, 0.13e-3)},
    goal="3.3e-3 or less, stretch 2e-3",
    notes=(
        "The data are our own generator's: figures are not comparable with published ones.",
        "The paper's 3.32e-3 is printed beside its model as it stands in the paper; a replication "
        "with its public code and data gave an element mean of 38e-3 where that code printed 3.8.",
        "Mirroring and re-noising use knowledge of this task; dropping frames does not.",
    ),
)  # fmt: skip
