"""Table 9: what continuous rotary positions cost beside absolute and integer ones.

arXiv 2505.20535, B.2. Pre-training steps of RoMAE-small on 14 x 14 patches, the three kinds in
turn within one process; the median of the rounds' ratios counts. The paper's loss of 13 % is
partly a frequency buffer that its code differentiates; here angles carry no gradient.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from caesura.nn.rope import AxialRope
from caesura.objectives.masked_tokens import MaskedTokens
from caesura.recipes import romae
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published, Settings
from caesura.training.arithmetic import resolved
from caesura.training.config import TrainingConfig
from caesura.training.precision import fast_float32
from caesura.types import Batch, Tokens

_SIDE, _PATCH = 14, 16 * 16 * 3
ABSOLUTE, INTEGER, CONTINUOUS = "absolute (sin/cos)", "RoPE (quantised)", "RoPE (continuous)"


class SpeedSettings(Settings):
    """Paper: RoMAE-small, 196 tokens, batch 64 on a GPU."""

    size: romae.Size = "small"
    batch: int = 4
    rounds: int = 15


class TabledRope(nn.Module):
    """Angles of whole-number positions looked up from a table: the paper's quantised form."""

    table: Tensor

    def __init__(self, rope: AxialRope, positions: int, axes: int) -> None:
        super().__init__()
        every = torch.arange(positions, dtype=torch.float32)
        each = rope(every[None, :, None].expand(1, -1, axes))
        self.register_buffer("table", torch.stack(each)[:, 0, 0], persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, ...]:
        """Return what `AxialRope` does; all axes of a head are gathered at once."""
        width = self.table.shape[-1]
        axes = positions.shape[-1]
        place = positions.round().long()
        # a half of a head holds the planes of each axis in turn
        axis = torch.arange(width // 2, device=place.device) // (width // 2 // axes)
        rows = place[..., axis.repeat(2)]
        column = torch.arange(width, device=place.device)
        cos, sin = (one[rows, column][:, None] for one in self.table)
        return cos, sin


def _models(own: SpeedSettings, seed: int) -> dict[str, MaskedTokens]:
    models = {}
    for name in (ABSOLUTE, INTEGER, CONTINUOUS):
        settings: dict[str, Any] = {}
        if name == ABSOLUTE:
            settings = {"absolute_positions": True, "rope_fraction": 0.0}
        with seeded(seed):
            encoder = romae.encoder(
                own.size, position_axes=2, values_per_token=_PATCH, cls=False, **settings
            )
            model = romae.objective(encoder, mask_ratio=0.75)
        if name == INTEGER:
            parts: tuple[Any, ...] = (model.encoder, model.decoder)
            for part in parts:
                part.transformer.rope = TabledRope(part.transformer.rope, _SIDE + 1, 2)
        models[name] = model.train()
    return models


def _run(cell: str, context: Context) -> Outcome:
    own: SpeedSettings = context.settings
    rng = torch.Generator().manual_seed(context.seed)
    values = torch.randn(own.batch, _SIDE**2, _PATCH, generator=rng)
    whole = torch.cartesian_prod(torch.arange(_SIDE), torch.arange(_SIDE)).float()
    real = torch.ones(values.shape[:2], dtype=torch.bool)
    positions = whole.expand(own.batch, -1, -1)
    batch = Batch(
        Tokens(values, torch.ones_like(values, dtype=torch.bool), positions, real),
        torch.arange(own.batch),
    )
    chosen = resolved(TrainingConfig(steps=1))
    models = _models(own, context.seed)
    optimizers = {k: torch.optim.AdamW(m.parameters(), fused=True) for k, m in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with (
        fast_float32(chosen.products),
        torch.autocast("cpu", torch.bfloat16, enabled=chosen.precision == "bf16"),
    ):
        for turn in range(own.rounds + 2):
            for name, model in models.items():
                begun = time.process_time()
                model(batch, torch.Generator().manual_seed(turn)).total.backward()
                optimizers[name].step()
                optimizers[name].zero_grad(set_to_none=True)
                if turn >= 2:  # the first rounds prepare products and caches
                    seconds[name].append(time.process_time() - begun)
    base = np.array(seconds[ABSOLUTE])
    return Outcome(
        {
            name: {
                "relative speed": float(np.median(base / np.array(own_seconds))),
                "ms a step": float(np.median(own_seconds)) * 1e3,
            }
            for name, own_seconds in seconds.items()
        }
    )


SPEED = Experiment(
    name="romae-speed",
    title="Table 9: speed of a pre-training step by kind of position",
    settings={
        "quick": SpeedSettings(size="tiny", batch=2, rounds=3),
        "medium": SpeedSettings(),
        "full": SpeedSettings(batch=64, rounds=30),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells=dict.fromkeys(("quick", "medium", "full"), ("196 tokens, 2 axes",)),
    cost={"quick": "10 s", "medium": "2 min a seed", "full": "an hour a seed"},
    run=_run,
    published={
        (ABSOLUTE, "relative speed"): Published(1.0),
        (INTEGER, "relative speed"): Published(0.98),
        (CONTINUOUS, "relative speed"): Published(0.87),
    },
    goal="continuous at 0.97 of absolute or more",
    notes=("Processor time of steps with optimiser, without data; ratios of interleaved rounds.",),
)
