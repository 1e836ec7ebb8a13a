"""The projector between an encoder and a loss on its vectors."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Projector(nn.Module):
    """Two hidden layers with layer norm and SiLU, then a linear map.

    The vision papers use batch normalisation; layer norm keeps rows apart, so that the batch
    enters a loss by its declared statistics alone. bias: of the last map; without for losses
    that a shift leaves as they are.
    """

    def __init__(self, width: int, hidden: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.rise, self.middle = nn.Linear(width, hidden), nn.Linear(hidden, hidden)
        self.norm_1, self.norm_2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, outputs, bias=bias)

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows outputs"]:
        """Project the last axis."""
        x = F.silu(self.norm_1(self.rise(x)))
        x = F.silu(self.norm_2(self.middle(x)))
        y: Tensor = self.out(x)
        return y
