"""The types that every method speaks: batches in, features between, a loss out.

A boolean is True where the thing is real: `observed`, `valid`. One series a row.
Elements that were not observed are 0 in `values` and False in `observed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

PART_NAMES = ("encoder", "decoder", "head", "tokenizer", "prior", "teacher")
"""The closed list of what may survive a stage: the names of an objective's `parts()`."""


class Movable:
    """Moves every tensor of a frozen dataclass; nested types move with it."""

    def _each(self, move: Callable[[Any], Any]) -> Self:
        changed: dict[str, Any] = {}
        for entry in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, entry.name)
            if isinstance(value, Tensor | Movable):
                changed[entry.name] = move(value)
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the same with each tensor moved as by `Tensor.to` (device, non_blocking)."""
        return self._each(lambda value: value.to(*args, **kwargs))

    def pin_memory(self) -> Self:
        """Return the same with each tensor in page-locked memory."""
        return self._each(lambda value: value.pin_memory())


@dataclass(frozen=True)
class Scale(Movable):
    """What values were normalised by: (value - center) / spread, and asinh of that where `bent`.

    Of a grid for each row and channel, (batch, channels, 1); of tokens for each row and element
    of a token, (batch, 1, size), or of a causal encoder for each token, (batch, tokens, size).
    """

    center: Float[Tensor, "#batch #places #size"]
    spread: Float[Tensor, "#batch #places #size"]
    bent: bool = False

    def normalised(self, values: Float[Tensor, "batch places size"]) -> Tensor:
        """Return the values on the normalised scale."""
        straight = (values - self.center) / self.spread
        return straight.asinh() if self.bent else straight

    def restored(self, values: Float[Tensor, "batch places size"]) -> Tensor:
        """Return normalised values in their own unit."""
        straight = values.sinh() if self.bent else values
        return straight * self.spread + self.center


@dataclass(frozen=True)
class Grid(Movable):
    """Regularly sampled series: channels in rows, one rate in hertz (None: unknown).

    `valid` is False on padding (None: there is none); a sample that was not measured is valid
    and not observed. `scale` is what an encoder must normalise by; None: what it sees.
    """

    values: Float[Tensor, "batch channels time"]
    observed: Bool[Tensor, "batch channels time"]
    weight: Float[Tensor, "batch channels time"] | None = None
    rate_hz: float | None = None
    valid: Bool[Tensor, "batch time"] | None = None
    scale: Scale | None = None

    def without_values(self) -> Grid:
        """Return the query form: the samples to ask for, no value and none observed."""
        return replace(
            self,
            values=torch.zeros_like(self.values),
            observed=torch.zeros_like(self.observed),
            weight=None,
        )


@dataclass(frozen=True)
class Tokens(Movable):
    """Observations or patches at real-valued positions; `valid` is False on padding.

    `observed` marks the elements within a token that were measured; `weight` carries the
    trust in each element (from observation errors), 1 where it is None.
    """

    values: Float[Tensor, "batch tokens size"]
    observed: Bool[Tensor, "batch tokens size"]
    positions: Float[Tensor, "batch tokens axes"]
    valid: Bool[Tensor, "batch tokens"]
    weight: Float[Tensor, "batch tokens size"] | None = None

    def select(self, index: Int64[Tensor, "batch kept"], valid: Tensor) -> Tokens:
        """Return the tokens at `index` of each row, real where `valid` (batch, kept)."""

        first = torch.arange(len(index), device=index.device)[:, None] * self.valid.shape[1]
        place = (index + first).flatten()

        def pick(x: Tensor) -> Tensor:
            return x.flatten(0, 1).index_select(0, place).view(*index.shape, x.shape[2])

        return Tokens(
            values=pick(self.values) * valid[..., None],
            observed=pick(self.observed) & valid[..., None],
            positions=pick(self.positions),
            valid=valid,
            weight=None if self.weight is None else pick(self.weight),
        )

    def without_values(self) -> Tokens:
        """Return the query form: places and times to ask for, no value and none observed."""
        return replace(
            self,
            values=torch.zeros_like(self.values),
            observed=torch.zeros_like(self.observed),
            weight=None,
        )


@dataclass(frozen=True)
class Batch(Movable):
    """What an objective receives.

    `index` keys what is drawn for each row: the number of its series in the store, or of its
    window's first sample on a grid.
    """

    inputs: Grid | Tokens
    index: Int64[Tensor, " batch"]
    target: Tensor | None = None
    condition: Float[Tensor, "batch features"] | None = None


@dataclass(frozen=True)
class Level(Movable):
    """Features at one resolution; `hop_s` and `reach_s` are its step and receptive field.

    What stands on places that are not `valid` is unspecified.
    """

    features: Float[Tensor, "batch places dim"]
    valid: Bool[Tensor, "batch places"]
    positions: Float[Tensor, "batch places axes"]
    hop_s: float | None = None
    reach_s: float | None = None


@dataclass(frozen=True)
class Features:
    """An encoder's answer: levels from fine to coarse, and [CLS], never among the levels.

    `scale` is what the encoder normalised its input by, for whoever predicts values from the
    features: a decoder answers on the normalised scale.
    """

    levels: tuple[Level, ...]
    summary: Float[Tensor, "batch dim"] | None = None
    scale: Scale | None = None


@dataclass(frozen=True)
class Loss:
    """A mean over `count` real elements, so that steps can be joined over parts and ranks.

    `parts` are the named terms for the log, detached. `carry` holds detached statistics of
    this batch that `Objective.after_step` receives, reduced over micro-batches and ranks.
    """

    total: Float[Tensor, ""]
    count: Float[Tensor, ""]
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    carry: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Encoder(Protocol):
    """A module that turns one kind of input into features."""

    @property
    def consumes(self) -> type[Grid] | type[Tokens]:
        """The kind of input that `forward` takes."""

    @property
    def reads_tokens(self) -> bool:
        """Whether `forward` also takes what `tokenise` gives, so that tokens can be left out."""

    @property
    def order(self) -> Literal["full", "causal"]:
        """Whether a place sees all places or earlier ones only."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Feature width of each level, fine to coarse."""

    @property
    def summary_width(self) -> int:
        """Width of the summary; 0 where there is none."""

    def tokenise(self, inputs: Grid | Tokens) -> Tokens:
        """Cut the input into tokens, without parameters; the identity on Tokens."""

    def __call__(self, inputs: Any, every_layer: bool = False) -> Features:
        """Encode. With `every_layer` the levels are the layers, first to last."""


@runtime_checkable
class ScaledEncoder(Encoder, Protocol):
    """An encoder of grids that says what it normalises by.

    Members are methods or attributes of the class: from Python 3.12 on a protocol does not see
    what a module holds as its part.
    """

    def scale_of(self, inputs: Grid) -> Scale:
        """Return what an input is normalised by."""


def as_module(part: object) -> torch.nn.Module:
    """Return an encoder, decoder or objective as the module it is; a TypeError if it is none.

    The protocols say what methods need and cannot say so.
    """
    if not isinstance(part, torch.nn.Module):
        raise TypeError(f"{type(part).__name__} is no torch.nn.Module, which trains and is saved")
    return part


def as_encoder(module: object) -> Encoder:
    """Return a module as the encoder it is; a TypeError if it lacks what encoders declare."""
    if not isinstance(module, Encoder):
        raise TypeError(f"{type(module).__name__} is no encoder: see caesura.types.Encoder")
    return module


@runtime_checkable
class Decoder(Protocol):
    """A module that predicts values at queried places from features."""

    def __call__(self, features: Features, query: Any) -> Tensor:
        """Predict at `query`, Tokens or a Grid, whose values are absent and are never read.

        The answer has the shape of the query's values, on the scale of `features.scale`.
        """


@runtime_checkable
class Objective(Protocol):
    """A module whose forward gives the loss of a batch.

    `carry_rules` names, for each key of `Loss.carry`, how micro-batches and ranks join it:
    "sum", or "mean" weighted by `Loss.count`.
    """

    @property
    def needs_random_batches(self) -> bool:
        """Whether the loss has statistics of the batch, which must be a fair sample then."""

    @property
    def comparable(self) -> bool:
        """Whether a lower validation loss means a better model.

        Not where the target moves with the model: a collapse lowers such losses. The last
        weights are kept then, and nothing stops early.
        """

    target: Literal["none", "required"]
    carry_rules: Mapping[str, Literal["sum", "mean"]]

    def __call__(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss; all randomness of the method comes from `rng`."""

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Update what no gradient updates; `progress` runs from 0 to 1 over the training."""

    def parts(self) -> Mapping[str, torch.nn.Module]:
        """The modules that survive the training, by names from `PART_NAMES`."""
