"""RoMAE on the windows that HiMAE sees: patches of 50 ms as tokens at their times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.decoders.point_transformer import PointDecoder, PointDecoderConfig
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.nn.heads import mean_of
from caesura.nn.normalise import window_scale
from caesura.objectives.masked_grid import without
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context
from caesura.reproduce.himae.windows import PyramidSettings, Windows
from caesura.signal.mask import hide_patches
from caesura.signal.patch import patchify
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import row_slices, run_batches, stacked
from caesura.types import Batch, Grid, Tokens

_MASKED_AT_A_TIME = 64
"""Windows whose masks are drawn together, by one seed."""


@dataclass(frozen=True)
class PatchTransformer:
    """A trained RoMAE over patches of windows."""

    objective: MaskedTokens
    patch: int
    mask_ratio: float

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(p.numel() for p in self.objective.parameters())

    def features(self, data: Windows) -> NDArray[np.float32]:
        """Return the means over tokens of every layer, joined."""
        encoder, numbers = self.objective.encoder, np.arange(len(data.values))

        def read(tokens: Tokens) -> torch.Tensor:
            levels = encoder(tokens, every_layer=True).levels
            return torch.cat([mean_of(level) for level in levels], dim=1)

        grids = (data.grid(numbers[rows]) for rows in row_slices(len(numbers)))
        return stacked(self.objective, (patches(grid, self.patch) for grid in grids), read)

    def error(self, test: Windows, rows: NDArray[np.int64], seed: int) -> dict[str, float]:
        """Return the squared error of 80 % hidden patches, of windows in [-1, 1] as a whole."""
        encoder, decoder = self.objective.encoder, self.objective.decoder

        def read(batch: tuple[Grid, int]) -> list[torch.Tensor]:
            grid, first = batch
            rng = torch.Generator().manual_seed(seed + first)
            index = torch.arange(len(grid.values), device=grid.values.device)
            hidden = hide_patches(grid.observed, index, rng, self.patch, 0.8)
            seen = without(grid, hidden)
            scale = window_scale(seen.values, seen.observed, "min-max")
            tokens = patches(seen, self.patch)
            visible = _kept(tokens, tokens.observed.any(-1))
            guess = decoder(encoder(visible), tokens.without_values())
            flat = guess.float().flatten(1)[:, None]
            whole = window_scale(grid.values, grid.observed, "min-max")
            gap = whole.normalised(scale.restored(flat)) - whole.normalised(grid.values)
            return [(gap.square() * hidden).sum(), hidden.sum()]

        batches = (
            (test.grid(rows[chosen]), chosen.start)
            for chosen in row_slices(len(rows), _MASKED_AT_A_TIME)
        )
        sums = [terms for _, terms in run_batches(self.objective, batches, read)]
        total, count = (sum(float(term) for term in terms) for terms in zip(*sums, strict=True))
        return {"MSE": total / count}


def _kept(tokens: Tokens, kept: torch.Tensor) -> Tokens:
    count = int(kept.sum(1)[0])
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
    return tokens.select(order, torch.ones_like(order, dtype=torch.bool))


def patches(grid: Grid, patch: int) -> Tokens:
    """Cut windows of one channel into tokens, scaled by what is visible of each window."""
    scale = window_scale(grid.values, grid.observed, "min-max")
    values = scale.normalised(grid.values) * grid.observed
    return patchify(values.mT, (patch,), observed=grid.observed.mT)


def pretrained_transformer(
    context: Context,
    data: Windows,
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
    own: PyramidSettings,
    size: tuple[int, int],
) -> PatchTransformer:
    """Pre-train on the same windows, steps and share hidden."""
    width, depth = size
    patch = max(1, round(own.patch_ms * data.rate_hz / 1000))
    sizes = {"width": width, "heads": 4, "position_axes": 1, "values_per_token": patch}
    with seeded(context.seed):
        objective = MaskedTokens(
            PointTransformer(PointTransformerConfig(depth=depth, cls=False, **sizes)),
            PointDecoder(PointDecoderConfig(depth=1, encoder_width=width, **sizes)),
            MaskedTokensConfig(mask_ratio=own.mask_ratio),
        )
    source = IndexedBatches(
        lambda rows, _: Batch(patches(data.grid(rows), patch), torch.from_numpy(rows)),
        train, held_out, own.batch, context.seed,
    )  # fmt: skip
    context.train(objective, source, {"steps": own.steps, "lr": own.lr}, "transformer")
    return PatchTransformer(objective, patch, own.mask_ratio)
