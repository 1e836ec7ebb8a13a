"""A block of cross-attention: queries read a context and leave it as it is."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.attend import attend
from caesura.nn.norm import RMSNorm
from caesura.nn.rope import rotate
from caesura.nn.transformer import TransformerConfig


class CrossBlock(nn.Module):
    """x + attention(norm(x), context), then x + MLP(norm(x)); queries never see one another."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden or 4 * config.width
        self.heads = config.heads
        self.norm_attention, self.norm_mlp = RMSNorm(width), RMSNorm(width)
        self.ask = nn.Linear(width, width, bias=False)
        self.answer = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.rise = nn.Linear(width, hidden, bias=False)
        self.fall = nn.Linear(hidden, width, bias=False)

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        mask: Tensor,
        angles: tuple[Tensor, Tensor],
        context_angles: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Update (batch, queries, width) from (batch, places, width) where `mask` allows it."""
        q = rotate(self._split(self.ask(self.norm_attention(x))), *angles)
        k, v = (self._split(part) for part in self.answer(context).chunk(2, dim=-1))
        mixed = attend(q, rotate(k, *context_angles), v, mask)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        moved: Tensor = x + self.fall(F.silu(self.rise(self.norm_mlp(x))))
        return moved

    def _split(self, x: Tensor) -> Tensor:
        parts = x.view(*x.shape[:2], self.heads, x.shape[2] // self.heads)
        return parts.transpose(1, 2).contiguous()
