"""Signs of collapse in a batch of vectors: rank, alignment, uniformity; all without labels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def effective_rank(z: Float[Tensor, "rows dim"]) -> Float[Tensor, ""]:
    """Return exp of the entropy of the normalised singular values of centred rows.

    Roy and Vetterli 2007; RankMe (Garrido et al. 2023) without centring. From 1 to
    min(rows - 1, dim); 0 where all rows are equal.
    """
    values = torch.linalg.svdvals((z - z.mean(0)).double())
    total = values.sum()
    share = values / total.clamp(min=1e-12)
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    return torch.where(total > 1e-9, entropy.exp(), entropy.new_zeros(())).float()


def alignment(one: Float[Tensor, "rows dim"], two: Float[Tensor, "rows dim"]) -> Float[Tensor, ""]:
    """Return the mean squared distance of unit vectors of two views (Wang and Isola 2020)."""
    gap = F.normalize(one.float(), dim=-1) - F.normalize(two.float(), dim=-1)
    return gap.square().sum(-1).mean()


def uniformity(z: Float[Tensor, "rows dim"]) -> Float[Tensor, ""]:
    """Return log mean exp(-2 |u_i - u_j|^2) over pairs of unit vectors (Wang and Isola 2020).

    0 where all point the same way, about -4 where they fill a sphere of many dimensions.
    """
    if len(z) < 2:
        return z.new_zeros(()).float()
    squares = torch.pdist(F.normalize(z.float(), dim=-1)).square()
    return squares.mul(-2).exp().mean().log()


def signs_of_collapse(
    one: Float[Tensor, "rows dim"], two: Float[Tensor, "rows dim"]
) -> dict[str, Tensor]:
    """Return rank and uniformity of one view's vectors, and the alignment of two views."""
    return {
        "effective_rank": effective_rank(one),
        "alignment": alignment(one, two),
        "uniformity": uniformity(one),
    }
