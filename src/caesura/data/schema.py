"""What a model must remember of its data: channels, units, scaling; saved with the weights."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from caesura.data.calendars import Calendar
from caesura.data.clock import TickUnit, TimeKind
from caesura.data.config import Columns, DataConfig
from caesura.data.scaling import ScaleTable, ValueScale, fit_scale, standard
from caesura.data.statics import Names
from caesura.data.store import RaggedStore
from caesura.data.units import Units
from caesura.errors import DataError

GAP_IN_UNITS = 4.0
"""Rotary units between consecutive observations of a channel. The fastest rotation turns by
1 radian a unit; trials on three sets did best with gaps of 2 to 24 units (docs/log.md)."""


class Target(BaseModel):
    """What a fine-tuned head predicts; classes or the scaling of each regression target.

    label_type: of the column of classes, in which predictions are given (`data.column_types`);
    classes are its texts. whole_numbers: what runs of before had of that. weights: of the classes;
    a prediction is the class whose probability times its weight is highest, the likeliest one
    where there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["classification", "regression", "multilabel"]
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    whole_numbers: bool = False
    label_type: str = ""
    centers: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()


_ON_GRID = 0.05
"""Part of a step up to which a time lies on it."""


class Sampling(BaseModel):
    """The regular grid that a model reads: hertz, samples of a window, band-pass, statistics.

    centers, spreads: of each variable, what a model reads it by (`data.units`); none: as it is.
    means, deviations: of each variable over the training series, in the table's units; medians,
    quartile_ranges: what stands for them where a few values are far away; least, most: its range;
    limits: whether values reach each end of it often; whole: whether all of it are whole numbers;
    value_steps: of what all of it are multiples, 0 for nothing; copies: the first variable that
    each is equal to, its own number or another's (`data.lattice`).
    begins: the first time of the training data, as the table counts it; time_zone, time_form,
    tick_unit: how it writes times (`data.clock`); time_step: of what all times since that one are
    multiples, of fractions the last decimal, 0 for nothing. numbered: whether the table names
    channels by whole numbers.
    next_id: the first number after those of all series, if these have numbers and leave room.
    every: steps of the data's own of which one is taken, unfiltered; `rate_hz` is what is left.
    gaps: whether samples are missing in the training data. binned: whether times there are
    irregular, or most of a grid is missing, and each was laid on the nearest step; offsets:
    quantiles of where within a step they were, in steps, -1/2 to 1/2. calendar: what dates keep to
    where that is not seconds; those are of a mean step then (`data.calendars`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: float = Field(gt=0)
    window: int = Field(gt=0)
    band: tuple[float, ...] = ()
    centers: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    medians: tuple[float, ...] = ()
    quartile_ranges: tuple[float, ...] = ()
    least: tuple[float, ...] = ()
    most: tuple[float, ...] = ()
    limits: tuple[tuple[bool, bool], ...] = ()
    whole: tuple[bool, ...] = ()
    value_steps: tuple[float, ...] = ()
    copies: tuple[int, ...] = ()
    begins: int | float = 0.0
    time_zone: str = ""
    time_form: str = ""
    tick_unit: TickUnit = "us"
    time_step: float = 0.0
    numbered: bool = False
    next_id: int | None = None
    every: int = Field(default=1, ge=1)
    gaps: bool = False
    binned: bool = False
    offsets: tuple[float, ...] = ()
    calendar: Calendar = ""

    @property
    def units(self) -> Units:
        """What a model is given of the table's values."""
        return Units.of(self.centers, self.spreads, len(self.means))

    @property
    def on_grid(self) -> bool:
        """Whether times were those of the steps, or were resampled to them."""
        return not self.binned or max(map(abs, self.offsets), default=1.0) < _ON_GRID


class Schema(BaseModel):
    """Channel vocabulary, units and scaling, fitted on training rows only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Columns
    per_observation: bool
    channels: tuple[str, ...]
    value_names: tuple[str, ...]
    time_kind: TimeKind
    time_unit: float
    scales: tuple[tuple[ValueScale, ...], ...]
    within_deviation: float = 1.0
    static_names: tuple[str, ...] = ()
    static_scales: tuple[ValueScale, ...] = ()
    static_classes: tuple[Names, ...] = ()
    column_types: dict[str, str] = {}
    target: Target | None = None
    sampling: Sampling | None = None

    @property
    def position_axes(self) -> int:
        """Time, and the channel where there is more than one."""
        return 2 if len(self.channels) > 1 else 1

    @property
    def statics(self) -> list[tuple[str, ValueScale, Names]]:
        """Name, scaling and classes of each static column; no classes where it has numbers."""
        each = self.static_classes or ((),) * len(self.static_names)
        return list(zip(self.static_names, self.static_scales, each, strict=True))

    @property
    def conditions(self) -> int:
        """How many numbers the static columns of a series are to a model."""
        return sum(len(names) or 1 for _, _, names in self.statics)

    @property
    def variables(self) -> list[str]:
        """Name of each (channel, value) pair, as queries and reports show it."""
        if len(self.value_names) == 1:
            return [name or self.value_names[0] for name in self.channels]
        if self.channels == ("",):
            return list(self.value_names)
        return [f"{c}:{v}" for c in self.channels for v in self.value_names]

    def channel_numbers(self, store: RaggedStore) -> NDArray[np.int32]:
        """Return this schema's number of each of the store's channels, or raise a DataError.

        Checks all that makes other data unreadable to the model: unknown channels, other
        value columns, another kind of time.
        """
        if store.value_names != self.value_names:
            raise DataError(
                f"values {', '.join(store.value_names)}; the model was trained on "
                f"{', '.join(self.value_names)}, in this order"
            )
        if store.time_kind != self.time_kind:
            raise DataError(
                f"times are {store.time_kind}s; the model was trained on {self.time_kind}s"
            )
        missing = [name for name in self.static_names if name not in store.static_names]
        if missing:
            raise DataError(f"static columns {', '.join(missing)} are missing; the model uses them")
        known = {name: code for code, name in enumerate(self.channels)}
        unknown = [name for name in store.channels if name not in known]
        if unknown:  # a vocabulary may name more than is there
            used = np.bincount(store.channel, minlength=len(store.channels)) > 0
            unknown = [n for n, u in zip(store.channels, used, strict=True) if u and n in unknown]
        if unknown:
            raise DataError(
                f"unknown channels {', '.join(map(repr, unknown[:5]))}; the model knows "
                f"{', '.join(map(repr, self.channels[:20]))}. Drop those rows, or pre-train anew"
            )
        return np.array([known.get(name, -1) for name in store.channels], dtype=np.int32)

    def channel_codes(self, store: RaggedStore) -> NDArray[np.int32]:
        """Return this schema's number of each observation's channel, checked."""
        codes: NDArray[np.int32] = self.channel_numbers(store)[store.channel]
        return codes


def fit_schema(store: RaggedStore, train: NDArray[np.int64], config: DataConfig) -> Schema:
    """Fit scaling and time unit on the training series."""
    seen = store.take(train)
    scales = tuple(
        tuple(fit_scale(seen, channel, element, config) for element in range(len(seen.value_names)))
        for channel in range(len(store.channels))
    )
    static_scales = tuple(
        ValueScale() if names else standard(column[np.isfinite(column)], bend=False)
        for column, names in zip(
            seen.static.T if seen.static is not None else (), seen.static_classes, strict=True
        )
    )
    return Schema(
        within_deviation=within_deviation(seen, scales),
        columns=config.columns,
        per_observation=config.tokens == "observation",
        channels=store.channels,
        value_names=store.value_names,
        time_kind=store.time_kind,
        time_unit=config.time_unit or choose_time_unit(seen),
        scales=scales,
        static_names=store.static_names,
        static_scales=static_scales,
        static_classes=store.static_classes,
        column_types=dict(store.column_types),
    )


def choose_time_unit(store: RaggedStore) -> float:
    """Return the time of one rotary unit: a quarter of the median gap within a channel.

    The gap is between consecutive observations of the same channel of the same series, so
    that channels measured together do not count as close. Rounded to two digits.
    """
    order = np.lexsort((store.times, store.channel, store.series))
    same = (np.diff(store.series[order]) == 0) & (np.diff(store.channel[order]) == 0)
    gaps = np.diff(store.times[order])[same]
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return 1.0
    unit = float(np.median(gaps)) / GAP_IN_UNITS
    return float(f"{unit:.2g}")


def within_deviation(store: RaggedStore, scales: tuple[tuple[ValueScale, ...], ...]) -> float:
    """Return the deviation of scaled values about their channel's mean in their own series.

    1 where series do not differ in level; near 0 where they differ in level alone.
    """
    scaled = ScaleTable(scales).exactly(store.values, store.channel)
    squares = 0.0
    size = len(store.value_names)
    for element in range(size):
        seen = store.observed[:, element]
        key = store.series[seen] * len(store.channels) + store.channel[seen]
        values = scaled[seen, element]
        count = np.maximum(np.bincount(key), 1)
        mean = np.bincount(key, weights=values) / count
        squares += float(np.square(values - mean[key]).sum())
    return float(np.sqrt(squares / max(int(store.observed.sum()), 1)))
