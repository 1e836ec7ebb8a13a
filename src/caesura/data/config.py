"""Settings of the data door: where the columns are, how series are cut into tokens."""

from __future__ import annotations

from shlex import quote
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)


class Columns(BaseModel):
    """Names the columns of a table; `missing` are sentinel values that mean "not measured".

    static: constant in a series; text there is a class, as is whatever `classes` names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = "id"
    time: str = "time"
    channel: str = ""
    value: tuple[str, ...] = ("value",)
    error: str = ""
    group: str = ""
    static: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()
    duplicates: Literal["mean", "error", "last"] = "mean"

    @property
    def constant(self) -> tuple[str, ...]:
        """Columns that are constant in a series, numbers and classes."""
        return tuple(dict.fromkeys((*self.static, *self.classes)))

    def as_options(self) -> str:
        """Return what differs from the defaults as options of the command line, ready for a shell:
        "--id star --value flux"."""
        options = []
        for name, value in self.model_dump(exclude_defaults=True).items():
            several = isinstance(value, tuple)
            text = ",".join(f"{one:g}" if name == "missing" else one for one in value)
            options.append(f"--{name} {quote(text if several else value)}")
        return " ".join(options)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns whose cells are names: kept as they are written."""
        return tuple(name for name in (self.id, self.channel, self.group, *self.classes) if name)

    @property
    def id_given(self) -> bool:
        """Say whether `id` was named: only a table that lacks the default one is one series."""
        return "id" in self.model_fields_set

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an `id` that was not named, so that what is read again knows it too."""
        tree: dict[str, Any] = handler(self)
        if not self.id_given:
            tree.pop("id", None)
        return tree


class DataConfig(BaseModel):
    """The data part of a recipe.

    `tokens`: "observation" makes a token of each (time, channel) value, "step" one of all
    values of a row; "auto" takes "step" for a wide table, which has no channel column.
    `time_unit`: how much of the table's time (seconds, for dates) is one rotary unit; 0
    lets the data decide (`data.schema.choose_time_unit`).
    `stream`: read Parquet by row group during training; "auto": if it would fill half of the
    memory.
    `rate`: samples a second of the grid that a model of regular series reads, 0 for irregular
    ones; channels of other rates are resampled. Times count seconds then, and the steps of an
    array are 1 / rate apart. `window`: its seconds; 0: whole series of one length, else 10 s.
    `own_rate`: take the data's own rate where none is given; `window` counts samples then.
    `every`: take one step of so many of the data's own, as the plan of a longer series does.
    `binned`: lay irregular times on steps of a grid, their mean where several meet in one.
    `overlap`: share by which training windows overlap. `band`: (low, high) hertz of a
    band-pass, here and wherever the model is used. `quality`: least template match of a
    training window (`data.quality`), for pulse-like signals. `constant`: train on windows in which
    nothing changes too, as a generator must. `by_time`: the last part of each series validates,
    not whole series, where all are long: a generator must have seen every season.
    `scaling`: "standard" (per channel, training rows); "auto" bends heavy-tailed channels
    first (`data.scaling`); "off" leaves the values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = ""
    columns: Columns = Columns()
    tokens: Literal["auto", "observation", "step"] = "auto"
    time_unit: float = Field(default=0.0, ge=0)
    stream: Literal["auto", "on", "off"] = "auto"
    scaling: Literal["auto", "standard", "off"] = "auto"
    rate: float = Field(default=0.0, ge=0, le=1e9)
    window: float = Field(default=0.0, ge=0)
    own_rate: bool = False
    binned: bool = False
    every: int = Field(default=1, ge=1, le=1_000_000)
    overlap: float = Field(default=0.0, ge=0, lt=1)
    band: tuple[float, ...] = ()
    quality: float = Field(default=0.0, ge=0, lt=1)
    constant: bool = False
    by_time: bool = False
    validation: float = Field(default=0.1, gt=0, lt=0.5)
    calibration: float = Field(default=0.1, gt=0, lt=0.5)

    @field_validator("band")
    @classmethod
    def _two(cls, band: tuple[float, ...]) -> tuple[float, ...]:
        if band and (len(band) != 2 or not 0 < band[0] < band[1]):
            raise ValueError("give band as [low, high] hertz, low above 0")
        return band
