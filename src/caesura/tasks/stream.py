"""A pyramid that reads a signal as it comes: chunks of any length in, features of each level out.

Every convolution keeps what it has not yet used, so no sample is computed twice, and the features
are those of the whole signal, from its first sample on; only the last ones wait for samples that
have not come (`delay_s`), or for `finish`, which takes the end as the end.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.encoders.conv_pyramid import ConvPyramid
from caesura.errors import DataError, RecipeError
from caesura.nn.conv import ResidualBlock, receptive_fields
from caesura.tasks.needs import Trained, need
from caesura.training.inference import device_of, run_once


class Stream:
    """Reads one recording of a run; `push` chunks, then `finish`.

    The run's statistics must be "running" or "fixed": those of a window are not known before
    its end (RecipeError). Samples are (channels, samples) in the data's units, NaN where not
    measured, at the run's rate, band-passed before if the run was.
    """

    def __init__(self, run: Trained) -> None:
        encoder = need(run, "encoder")
        if not isinstance(encoder, ConvPyramid) or run.schema.sampling is None:
            raise RecipeError("only runs with levels (himae) read streams")
        if encoder.config.statistics == "window":
            raise RecipeError(
                "this run scales each window by its own samples, which a stream does not know "
                "before its end; pre-train with --set encoder.statistics=running, or fixed"
            )
        if encoder.config.absent == "mean":
            raise RecipeError("absent samples filled by a window's mean cannot be streamed")
        self._encoder, self._blocks = encoder, [_Block(block) for block in encoder.blocks]
        self._units = run.schema.sampling.units
        rate = run.schema.sampling.rate_hz
        fields = receptive_fields(encoder.config.kernel, encoder.config.steps)
        self.delay_s = tuple((field - 1) / 2 / rate for field in fields)
        """Seconds between a sample and the feature that stands on it, of each level."""

    def push(self, samples: Tensor | ArrayLike) -> list[Tensor]:
        """Return the new features of each level, (places, width), none where all still wait.

        samples: (channels, samples), a tensor, an array or lists; NaN, or masked: not measured.
        """
        channels = self._encoder.config.channels
        samples = _as_tensor(samples)
        if samples.ndim != 2 or samples.shape[0] != channels:
            raise DataError(f"a chunk of shape {tuple(samples.shape)}; give ({channels}, samples)")
        return self._read(samples, last=False)

    def finish(self) -> list[Tensor]:
        """Return the features that were waiting, as at the end of a whole signal."""
        return self._read(torch.zeros(self._encoder.config.channels, 0), last=True)

    def _read(self, samples: Tensor, *, last: bool) -> list[Tensor]:
        def read(samples: Tensor) -> list[Tensor]:
            return self._through(self._shown(samples), last=last)

        given = torch.from_numpy(self._units.model(samples.numpy())).float()
        return [torch.from_numpy(one) for one in run_once(self._encoder, given, read)]

    def _shown(self, samples: Tensor) -> Tensor:
        module, config = self._encoder.normalise, self._encoder.config
        absent = samples.isnan()[None]
        x = ((samples.nan_to_num(0.0) - module.center) / module.spread).float()[None]
        x = x.masked_fill(absent, 0.0)
        if config.absent == "flag":
            x = torch.cat([x, absent.to(x.dtype)], dim=1)
        elif self._encoder.absent is not None:
            x = torch.where(absent, self._encoder.absent, x)
        return x[:, :, None]

    def _through(self, x: Tensor, *, last: bool) -> list[Tensor]:
        found = []
        for block in self._blocks:
            x = block(x, last=last)
            found.append(x[0, :, 0].T.clone())
        return found


def _as_tensor(samples: Tensor | ArrayLike) -> Tensor:
    """Return samples as numbers, in float64 where they are; what has none is a DataError."""
    if isinstance(samples, Tensor) and not samples.is_complex():
        exact = samples.dtype == torch.float64
        return samples.detach().to("cpu", torch.float64 if exact else torch.float32)
    try:
        if isinstance(samples, np.ma.MaskedArray):
            samples = np.ma.filled(samples.astype(np.float64), np.nan)
        array = np.asarray(samples)
        exact = array.dtype == np.float64
        return torch.from_numpy(array.astype(np.float64 if exact else np.float32))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"a chunk of {type(samples).__name__} is no array of numbers ({error}); give "
            "(channels, samples)"
        ) from None


class _Conv:
    """A padded convolution fed piece by piece: zeros before the first sample, and at the end."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.conv, self.kernel, self.stride = conv, conv.kernel_size[1], conv.stride[1]
        self.half = self.kernel // 2
        self.left = torch.zeros(1, conv.in_channels, 1, self.half, device=conv.weight.device)
        self.skip = 0  # samples to come that no place reads: a stride beyond the kernel

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        taken = min(self.skip, x.shape[-1])
        self.skip -= taken
        x = torch.cat([self.left, x[..., taken:]], dim=-1)
        if last:
            x = F.pad(x, (0, self.half))
        places = max(0, (x.shape[-1] - self.kernel) // self.stride + 1)
        self.left = x[..., places * self.stride :]
        self.skip += max(0, places * self.stride - x.shape[-1])
        if not places:
            return x.new_zeros(1, self.conv.out_channels, 1, 0)
        used = x[..., : (places - 1) * self.stride + self.kernel]
        return F.conv2d(used, self.conv.weight, self.conv.bias, self.conv.stride)


class _Block:
    """A residual block fed piece by piece; the shortcut waits for the main path."""

    def __init__(self, block: nn.Module) -> None:
        if not isinstance(block, ResidualBlock):
            raise TypeError(f"{type(block).__name__} is no ResidualBlock")
        self.block = block
        self.first, self.second = _Conv(block.first), _Conv(block.second)
        self.shortcut = _Conv(block.shortcut)
        device = device_of(block)
        self.waiting = torch.zeros(1, block.shortcut.out_channels, 1, 0, device=device)

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        block = self.block
        short = _or_empty(block.shortcut_norm, self.shortcut(x, last=last))
        self.waiting = torch.cat([self.waiting, short], dim=-1)
        between = F.gelu(_or_empty(block.first_norm, self.first(x, last=last)))
        main = _or_empty(block.second_norm, self.second(between, last=last))
        ready = main.shape[-1]
        out = F.gelu(main + self.waiting[..., :ready])
        self.waiting = self.waiting[..., ready:]
        return out


def _or_empty(norm: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = norm(x) if x.shape[-1] else x
    return out
