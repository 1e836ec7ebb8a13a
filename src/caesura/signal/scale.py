"""What tokens of a row are normalised by: the mean and deviation of what is seen of it."""

from __future__ import annotations

from torch import Tensor

from caesura.types import Scale, Tokens

_FLOOR = 1e-5
"""Added to the variance, for constant rows."""
_CAUSAL_FLOOR = 1e-2
"""The same where statistics come from the past alone: the first patch may be nearly constant,
and what follows it would be huge. In the units of the door, where a channel's variance is 1."""


def token_scale(tokens: Tokens, channels: int, *, causal: bool = False) -> Scale:
    """Return mean and deviation of the observed values of each row and channel.

    Tokens hold samples x channels elements, channels last. causal: those of each token come
    from the tokens up to it, (batch, tokens, size); else one for the row, (batch, 1, size).
    """
    shape = (*tokens.valid.shape, -1, channels)
    real = (tokens.observed & tokens.valid[..., None]).view(shape).float()
    # float64: sums of squares, less the square of sums, in a running form
    values = tokens.values.view(shape).double() * real

    def summed(x: Tensor) -> Tensor:
        within = x.sum(2)
        return within.cumsum(1) if causal else within.sum(1, keepdim=True)

    count = summed(real.double()).clamp(min=1)
    mean = summed(values) / count
    variance = (summed(values.square()) / count - mean.square()).clamp(min=0)
    spread = (variance + (_CAUSAL_FLOOR if causal else _FLOOR)).sqrt()
    size = tokens.values.shape[-1] // channels
    repeated = [part.repeat(1, 1, size).to(tokens.values.dtype) for part in (mean, spread)]
    return Scale(repeated[0], repeated[1])


def row_deviation(tokens: Tokens) -> Tensor:
    """Return the deviation of all observed values of a row, (batch, 1, 1), at least 0.1.

    It weighs rows alike; no prediction reads it.
    """
    real = (tokens.observed & tokens.valid[..., None]).float()
    count = real.sum((1, 2), keepdim=True).clamp(min=1)
    mean = (tokens.values * real).sum((1, 2), keepdim=True) / count
    variance = ((tokens.values - mean) * real).square().sum((1, 2), keepdim=True) / count
    return variance.float().sqrt().clamp(min=0.1)
