"""Runs as plain modules: tensors in, one tensor out, the form in which they are exported."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from caesura.data.grid import FURTHEST
from caesura.data.units import Units
from caesura.encoders.conv_pyramid import ConvPyramid
from caesura.errors import RecipeError
from caesura.nn.heads import Pooling, pooled
from caesura.nn.normalise import window_scale
from caesura.objectives.supervised import SupervisedConfig
from caesura.signal.statistics import input_statistics
from caesura.tasks.needs import Trained, need, units_of
from caesura.tasks.probe_head import ProbeHead
from caesura.training.inference import device_of
from caesura.types import Features, Grid, Tokens

Task = Literal["classification", "regression", "multilabel"]


class Answer(nn.Module):
    """A vector to probabilities or values, as the task has them; without a head, the vector."""

    def __init__(self, head: nn.Module | None, task: Task | None, target: Any = None) -> None:
        super().__init__()
        self.head, self.task = head, task
        if task == "regression" and target is not None and target.scales:
            self.register_buffer("scale", torch.tensor(target.scales, dtype=torch.float32))
            self.register_buffer("center", torch.tensor(target.centers, dtype=torch.float32))

    def forward(self, vector: Tensor) -> Tensor:
        """Answer for each row."""
        if self.head is None:
            return vector
        out: Tensor = self.head(vector)
        if self.task == "classification":
            return out.softmax(-1)
        if self.task == "multilabel":
            return out.sigmoid()
        scale = self._buffers.get("scale")
        center = self._buffers.get("center")
        return out if scale is None or center is None else out * scale + center


class InUnits(nn.Module):
    """The table's samples in the model's units, so that a graph takes what a table holds.

    wide: samples are float64, as channels stand too far from 0 for float32.
    """

    def __init__(self, units: Units | None, channels: int) -> None:
        super().__init__()
        own = units or Units.of((), (), channels)
        self.wide = bool((np.abs(own.center) > FURTHEST * own.spread).any())
        self.plain = bool((own.center == 0).all() and (own.spread == 1).all())
        kind = torch.float64 if self.wide else torch.float32
        self.register_buffer("center", torch.from_numpy(own.center).to(kind))
        self.register_buffer("spread", torch.from_numpy(own.spread).to(kind))

    def forward(self, samples: Tensor) -> Tensor:
        """Return samples as a model is given them, float32."""
        if self.plain:
            return samples
        center, spread = self._buffers["center"], self._buffers["spread"]
        if center is None or spread is None:
            raise TypeError("a buffer of units was removed")
        given: Tensor = ((samples - center) / spread).float()
        return given


class PyramidForm(nn.Module):
    """Raw samples (batch, channels, samples) to the means of levels, or to an answer on them.

    Normalisation is inside; batch normalisation is folded into the convolutions. missing: NaN
    marks samples that were not measured (a few operations more); without, all must be there.
    """

    def __init__(
        self,
        encoder: ConvPyramid,
        levels: tuple[int, ...],
        answer: Answer,
        *,
        missing: bool,
        maxima: bool = False,
        units: Units | None = None,
    ) -> None:
        super().__init__()
        self.units = InUnits(units, encoder.config.channels)
        self.encoder = folded(encoder)
        self.levels, self.answer, self.missing, self.maxima = levels, answer, missing, maxima

    def forward(self, samples: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        if self.missing:
            observed = ~samples.isnan()
            values = self.units(samples).nan_to_num(0.0)
            features = self.encoder(Grid(values, observed))
            chosen = tuple(features.levels[number - 1] for number in self.levels)
            pooling: Pooling = "levels+max" if self.maxima else "levels"
            answer: Tensor = self.answer(pooled(Features(chosen), pooling))
            return answer
        x = self._normalised(samples)
        if self.encoder.config.absent == "flag":
            x = torch.cat([x, torch.zeros_like(x)], dim=1)
        x, means, maxima = x[:, :, None], [], []
        for number, block in enumerate(self.encoder.blocks, 1):
            if number > max(self.levels):
                break
            x = block(x)
            if number in self.levels:
                means.append(x.mean((2, 3)))
                if self.maxima:
                    maxima.append(x.amax((2, 3)))
        means += maxima
        answer = self.answer(torch.cat(means, dim=-1) if len(means) > 1 else means[0])
        return answer

    @property
    def parameters_used(self) -> int:
        """Number of parameters that the levels asked for need."""
        used = [*list(self.encoder.blocks)[: max(self.levels)], self.answer]
        return sum(p.numel() for part in used for p in part.parameters())

    @property
    def wide(self) -> bool:
        """Whether samples are float64: float32 would lose what windows hold."""
        return self.units.wide

    def _normalised(self, samples: Tensor) -> Tensor:
        module = self.encoder.normalise
        samples = self.units(samples)
        if module.statistics != "window":
            return (samples - module.center) / module.spread
        if module.kind == "min-max":
            low, high = samples.amin(-1, keepdim=True), samples.amax(-1, keepdim=True)
            half = (high - low) / 2
            return (samples - (low + high) / 2) / torch.where(half > 5e-7, half, 1.0)
        whole = torch.ones_like(samples, dtype=torch.bool)
        return window_scale(samples, whole, module.kind).normalised(samples)


class TokenForm(nn.Module):
    """Tokens as the data door makes them, as four tensors, to an embedding or an answer."""

    def __init__(
        self, encoder: nn.Module, pooling: Pooling, answer: Answer, channels: int = 0
    ) -> None:
        """Take a run's parts; channels: those of whose statistics the head reads, 0 for none."""
        super().__init__()
        self.encoder, self.pooling, self.answer = encoder, pooling, answer
        self.channels = channels

    @property
    def parameters_used(self) -> int:
        """Number of parameters of the encoder and what answers."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, values: Tensor, observed: Tensor, positions: Tensor, valid: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        inputs = Tokens(values, observed, positions, valid)
        answer: Tensor = self.answer(_vector(self, inputs))
        return answer


class PatchForm(nn.Module):
    """Raw samples, NaN where not measured, to an embedding of a Transformer of patches."""

    missing = True

    def __init__(
        self,
        encoder: nn.Module,
        pooling: Pooling,
        answer: Answer,
        channels: int = 0,
        units: Units | None = None,
    ) -> None:
        """Take a run's parts; channels: those of whose statistics the head reads, 0 for none."""
        super().__init__()
        self.encoder, self.pooling, self.answer = encoder, pooling, answer
        self.channels, self.units = channels, InUnits(units, 1)

    @property
    def wide(self) -> bool:
        """Whether samples are float64: float32 would lose what windows hold."""
        return self.units.wide

    @property
    def parameters_used(self) -> int:
        """Number of parameters of the encoder and what answers."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, samples: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        inputs = Grid(self.units(samples).nan_to_num(0.0), ~samples.isnan())
        answer: Tensor = self.answer(_vector(self, inputs))
        return answer


def _vector(form: TokenForm | PatchForm, inputs: Tokens | Grid) -> Tensor:
    """Return the pooled features, and the plain statistics beside them that a head reads."""
    vector = pooled(form.encoder(inputs), form.pooling)
    if form.channels:
        vector = torch.cat([vector, input_statistics(inputs, form.channels)], dim=-1)
    return vector


Form = PyramidForm | PatchForm | TokenForm


def folded(encoder: ConvPyramid) -> ConvPyramid:
    """Return a copy whose batch normalisations are part of the convolutions before them."""
    own = copy.deepcopy(encoder).eval()
    for block in own.blocks.modules():
        for name in ("first", "second", "shortcut"):
            norm = getattr(block, f"{name}_norm", None)
            if isinstance(norm, nn.BatchNorm2d):
                setattr(block, name, fuse_conv_bn_eval(getattr(block, name), norm))
                setattr(block, f"{name}_norm", nn.Identity())
    for parameter in own.parameters():
        parameter.data = parameter.data.contiguous()  # exporters know one layout
    return own


def form_of(
    run: Trained, level: str = "all", head: ProbeHead | None = None, *, missing: bool = False
) -> Form:
    """Return the module to export: embeddings, a probe's answer, or a fine-tuned run's.

    level: "all", or the number of one level of a pyramid.
    """
    encoder = _on_cpu(need(run, "encoder"))
    config = run.recipe.stages[-1].objective
    pooling: Pooling = "auto"
    answer, channels = Answer(None, None), 0
    own_head = "head" in run.parts and isinstance(config, SupervisedConfig)
    if level != "all" and (own_head or head is not None):
        raise RecipeError(
            "--level chooses among embeddings; a head reads the levels it was made for"
        )
    if "head" in run.parts and isinstance(config, SupervisedConfig):
        if head is not None:
            raise RecipeError("this run has a head of its own; leave --head out")
        if config.conditions:
            raise RecipeError("this run's head reads static columns, which no graph here takes")
        if config.statistics and isinstance(encoder, ConvPyramid):
            raise RecipeError(
                "this run's head reads statistics, which the graph of a pyramid has not; fine-tune "
                "with --set stages.0.objective.statistics=0"
            )
        channels = len(run.schema.channels) if config.statistics else 0
        answer = Answer(_on_cpu(need(run, "head")), config.task, run.schema.target)
        pooling = config.pooling
    elif head is not None:
        answer = Answer(_linear(head), head.target.task)
    if not isinstance(encoder, ConvPyramid):
        if head is not None or level != "all" or missing:
            raise RecipeError("--level, --head and --missing are for runs with levels (himae)")
        if run.schema.sampling is None:
            return TokenForm(encoder, pooling, answer, channels)
        return PatchForm(encoder, pooling, answer, channels, units=units_of(run))
    levels = _levels(encoder, level, head, pooling)
    maxima = pooling == "levels+max"
    units = units_of(run)
    return PyramidForm(encoder, levels, answer, missing=missing, maxima=maxima, units=units)


def _on_cpu(module: nn.Module) -> nn.Module:
    """Return a module where graphs are traced, checked and timed."""
    return module if device_of(module).type == "cpu" else copy.deepcopy(module).cpu()


def _levels(
    encoder: ConvPyramid, level: str, head: ProbeHead | None, pooling: Pooling
) -> tuple[int, ...]:
    count = len(encoder.widths)
    if head is not None:
        if max(head.levels) > count or len(head.weight) != sum(
            encoder.widths[number - 1] for number in head.levels
        ):
            raise RecipeError("this probe was fitted to a run of another shape")
        return head.levels
    if pooling == "mean":
        return (count,)
    if level == "all":
        return tuple(range(1, count + 1))
    if not level.isdigit() or not 1 <= int(level) <= count:
        raise RecipeError(f"--level {level!r}; choose all, or one of 1 to {count}")
    return (int(level),)


def _linear(head: ProbeHead) -> nn.Linear:
    weight = torch.tensor(head.weight, dtype=torch.float32)
    linear = nn.Linear(*weight.shape)
    with torch.no_grad():
        linear.weight.copy_(weight.T)
        linear.bias.copy_(torch.tensor(head.bias))
    return linear
