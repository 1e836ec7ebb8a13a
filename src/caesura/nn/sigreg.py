"""SIGReg: how far projections of vectors are from a standard normal (LeJEPA, arXiv 2511.08544).

The Epps-Pulley statistic on random directions, T = N int |phi_N(t) - e^(-t^2/2)|^2 e^(-t^2/2) dt,
by the trapezoid rule with 17 knots on [-5, 5]. The integrand is even, so nine knots do; the
cosines and sines at the knots follow from those at the first by the addition formula. The
gradient is written out, so that memory does not grow with the knots.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from caesura.nn.gather import is_spread

KNOTS, LAST = 8, 5.0
"""Knots above 0 and the last of them: 17 on [-5, 5] with step 0.625."""
_CHUNK = 2**22
"""Projections held at once: samples x slices beyond go in parts."""


def random_slices(
    dim: int, slices: int, rng: torch.Generator, device: torch.device
) -> Float[Tensor, "dim slices"]:
    """Return unit directions, uniform on the sphere."""
    drawn = torch.randn(dim, slices, generator=rng)
    return F.normalize(drawn, dim=0).to(device)


def sigreg(
    z: Float[Tensor, "samples dim"], directions: Float[Tensor, "dim slices"]
) -> Float[Tensor, ""]:
    """Return the mean over directions of T / N, the statistic for each sample.

    T of exactly normal samples has the expectation sqrt(2 pi) (1 - 3^(-1/2)) = 1.059 at any N,
    that of a collapse to 0 is 0.409 N. T / N keeps the weight of a loss at any number of
    samples; N counts those of all processes. float32 throughout.
    """
    with torch.autocast(z.device.type, enabled=False):
        z, directions = z.float(), directions.float()
        most = max(1, _CHUNK // max(len(z), 1))
        parts = [
            _EppsPulley.apply(z @ some) * some.shape[1]  # type: ignore[no-untyped-call]
            for some in torch.split(directions, most, dim=1)
        ]
        total: Tensor = torch.stack(parts).sum() / directions.shape[1]
        return total


class _EppsPulley(torch.autograd.Function):
    """Mean over columns of the statistic over N, with its gradient.

    d/du of |C - g|^2 + S^2, C = mean cos(t u), S = mean sin(t u):
    2 t ((g - C) sin(t u) + S cos(t u)) / N.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        step = LAST / KNOTS
        count = torch.tensor(float(len(u)), device=u.device)
        first = (u * step).cos(), (u * step).sin()
        means = torch.empty(2 * KNOTS, u.shape[1], device=u.device)
        for k, (cosine, sine) in enumerate(_multiples(*first)):
            torch.sum(cosine, 0, out=means[2 * k])
            torch.sum(sine, 0, out=means[2 * k + 1])
        if is_spread():
            torch.distributed.all_reduce(means)
            torch.distributed.all_reduce(count)
        means /= count
        t = step * torch.arange(1, KNOTS + 1, device=u.device, dtype=u.dtype)
        target = (-t.square() / 2).exp()
        weight = 2 * step * target  # both halves of the axis
        weight[-1] /= 2
        gap_cosine, gap_sine = means[0::2] - target[:, None], means[1::2]
        value = (weight[:, None] * (gap_cosine.square() + gap_sine.square())).sum(0)
        if ctx.needs_input_grad[0]:
            scale = (2 * weight * t / (count * u.shape[1]))[:, None]
            by_sine, by_cosine = -scale * gap_cosine, scale * gap_sine
            gradient = torch.zeros_like(u)
            for k, (cosine, sine) in enumerate(_multiples(*first)):
                gradient.addcmul_(sine, by_sine[k]).addcmul_(cosine, by_cosine[k])
            ctx.save_for_backward(gradient)
        return value.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (gradient,) = ctx.saved_tensors
        given = grads[0].clone()
        if is_spread():  # every rank's loss reads the joint statistic
            torch.distributed.all_reduce(given)
        result: Tensor = gradient * given
        return result


def _multiples(cosine: Tensor, sine: Tensor) -> Any:
    """Yield cos and sin of 1, 2, ... times an angle; what is yielded is changed by the next."""
    c, s = cosine.clone(), sine.clone()
    spare = torch.empty_like(c)
    for k in range(KNOTS):
        yield c, s
        if k + 1 < KNOTS:
            torch.mul(c, sine, out=spare)
            c.mul_(cosine).addcmul_(s, sine, value=-1)
            s.mul_(cosine).add_(spare)
