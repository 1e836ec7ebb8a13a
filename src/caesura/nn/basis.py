"""A low-rank basis of channels, so that a model's width need not grow with their number.

Many coupled channels move along few directions (FAR-TS, arXiv 2511.04973, learns such a basis).
Ours: principal components of the training data read the channels, gaps counted by what they hide.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ChannelBasis(nn.Module):
    """Orthonormal directions (channels, rank) of normalised channels; drawn until they are set."""

    directions: Tensor

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        drawn = torch.randn(channels, rank)
        # orthonormal only when set: QR knows no meta device
        self.register_buffer("directions", drawn / channels**0.5)

    def read(
        self,
        values: Float[Tensor, "batch channels time"],
        observed: Bool[Tensor, "batch channels time"],
    ) -> tuple[Float[Tensor, "batch rank time"], Float[Tensor, "batch rank time"]]:
        """Return coefficients of each sample, and the share of each direction that was not seen.

        Channels that are missing count as their mean.
        """
        seen = observed.to(values.dtype)
        coefficients = self.directions.T @ (values * seen)
        weight = self.directions.square() / self.directions.square().sum(0)
        return coefficients, 1 - weight.T @ seen

    def channels(self, coefficients: Float[Tensor, "... rank time"]) -> Float[Tensor, "..."]:
        """Return the channels (..., channels, time) that coefficients stand for."""
        made: Tensor = self.directions @ coefficients
        return made
