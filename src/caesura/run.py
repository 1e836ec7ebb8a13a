"""A run: a folder with weights, recipe, schema and figures, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor, nn

from caesura.answers import (
    completed_table,
    detection_table,
    forecast_table,
    imputed_table,
    synthetic_table,
)
from caesura.card import model_card
from caesura.data.column_types import beside, free_name, typed
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.labels import Labels, Rare, read_labels
from caesura.data.queries import Queries, lay_out_queries, read_queries
from caesura.data.read import with_columns
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.errors import CheckpointError, DataError, RecipeError
from caesura.files import claim, write_json, write_text
from caesura.folder import (
    CALIBRATION,
    CARD,
    METRICS,
    RECIPE,
    SCHEMA,
    SIGNS,
    WEIGHTS,
    read_schema,
)
from caesura.metrics.conformal import Conformal
from caesura.nn.heads import Pooling
from caesura.recipes.parts import read_parts
from caesura.recipes.schema import Recipe, make_recipe, read_recipe, to_toml
from caesura.tasks.conditions import condition_of
from caesura.tasks.detect import DetectSettings, detect
from caesura.tasks.embed import embed
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.generate import generate
from caesura.tasks.generate_given import generate_given
from caesura.tasks.impute import impute
from caesura.tasks.interpolate import interpolate
from caesura.tasks.needs import Result
from caesura.tasks.predict import decided, predict
from caesura.tasks.probe import probe
from caesura.tasks.spans import chosen_spans
from caesura.tasks.stream import Stream
from caesura.training.checkpoint import read_json, save_tensors, with_prefix
from caesura.training.device import chosen_device

Report = Callable[[int, int], None]


def _quiet(done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass
class Run:
    """A trained model with all that is needed to use it.

    Tables, frames, paths, arrays and lists of arrays are all data; where none is given, the
    path that the run was trained on is read again.
    """

    recipe: Recipe
    schema: Schema
    parts: Mapping[str, nn.Module]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Conformal | None = None
    coverage: list[dict[str, Any]] = field(default_factory=list)
    folder: Path | None = None

    @property
    def probe_levels(self) -> int:
        """Number of levels or layers that a probe scores, where it is not asked by spans."""
        config = self.recipe.encoder
        return len(getattr(config, "widths", ())) or int(getattr(config, "depth", 0))

    def to(self, device: str) -> Self:
        """Move the model to "cpu", "cuda", "cuda:N" or "auto", and return this run."""
        where = chosen_device(device)
        for part in self.parts.values():
            part.to(where)
        return self

    def open(self, data: Any = None, *, partial: bool = False, exact: bool = False) -> RaggedStore:
        """Read data as this run's schema wants it; partial: columns of values may lack. exact: keep
        all digits of values, to write them again."""
        source = self.recipe.data.path if data is None else data
        if isinstance(source, str) and not source:
            raise DataError("this run was trained on data in memory; pass the data (--data PATH)")
        if partial:
            source = with_columns(source, self.schema.columns.value, self.schema.columns.names)
        return open_data(source, self.reading(), lenient=True, exact=exact)[0]

    def reading(self) -> DataConfig:
        """Return how this run's data are read."""
        sampling = self.schema.sampling
        rate, every = (0.0, 1) if sampling is None else (sampling.rate_hz, sampling.every)
        tokens: Literal["observation", "step"] = (
            "observation" if self.schema.per_observation else "step"
        )
        return DataConfig(columns=self.schema.columns, tokens=tokens, rate=rate, every=every)

    def embed(
        self, data: Any = None, *, pooling: Pooling = "auto", on_progress: Report = _quiet
    ) -> NDArray[np.float32]:
        """Return one vector a series, (series, dim), in the order of the data; NaN for a series
        without a value."""
        store = self.open(data)
        return store.spread(embed(self, store, pooling, on_progress))

    def predict(self, data: Any = None) -> pa.Table:
        """Return a table: id, prediction, and a probability column for each class; the prediction
        is empty and numbers are NaN for a series without a value."""
        store = self.open(data)
        return self.prediction_table(store, predict(self, store))

    def prediction_table(self, store: RaggedStore, outputs: NDArray[np.float64]) -> pa.Table:
        """Lay predictions out as a table."""
        target = self.schema.target
        if target is None:
            raise CheckpointError("this run was not fine-tuned; `caesura finetune` it first")
        name = self.schema.columns.id
        ids = typed(store.all_ids, store.column_types.get(name, ""))
        outputs = store.spread(outputs)
        columns: dict[str, Any] = {}
        if target.task == "classification":
            kind = target.label_type or ("int64" if target.whole_numbers else "")
            names = typed(pa.array(target.classes, pa.string()), kind)
            empty = np.isnan(outputs).any(1)
            columns["prediction"] = names.take(pa.array(decided(target, outputs), mask=empty))
        if target.task == "regression":
            single = len(target.names) == 1
            for each, values in zip(target.names, outputs.T, strict=True):
                columns["prediction" if single else f"prediction_{each}"] = values
        else:
            for each, values in zip(target.classes, outputs.T, strict=True):
                columns[f"p_{each}"] = values
        return pa.table(beside({name: ids}, columns))

    def interpolate(
        self,
        data: Any,
        query: Any,
        *,
        level: float = 0.9,
        on_progress: Report = _quiet,
    ) -> pa.Table:
        """Return the queries with value, lower, upper and trust ("high" or "low").

        query: a table with the data's id, time and channel columns, or "every:STEP" or
        "t1,t2,...". Rows keep their order. See `tasks.interpolate`.
        """
        store = self.open(data)
        textual = isinstance(query, str) and not Path(query).suffix[1:].isalpha()
        read = lay_out_queries if textual else read_queries
        queries, table = read(query, store, self.schema)
        return self.answer(store, queries, table, level, on_progress)

    def answer(
        self,
        store: RaggedStore,
        queries: Queries,
        table: pa.Table,
        level: float = 0.9,
        on_progress: Report = _quiet,
    ) -> pa.Table:
        """Add the answers to a table of queries."""
        if self.schema.sampling is not None:
            raise CheckpointError(
                "this run reads a regular grid and cannot be asked at any time; pre-train `romae` "
                "for interpolation"
            )
        if self.calibration is None:
            raise CheckpointError("this run has no calibration; pre-train it with a decoder")
        there = np.flatnonzero(np.isfinite(queries.times))
        added = {name: np.full(len(queries), np.nan) for name in ("value", "lower", "upper")}
        added["trust"] = np.full(len(queries), "low", dtype=object)
        if len(there):
            asked = queries.take(there)
            found = interpolate(self, store, asked, self.calibration, level, on_progress)
            for name in ("value", "lower", "upper"):
                added[name][there] = getattr(found, name)
            added["trust"][there[found.trusted]] = "high"
        for name, values in added.items():
            if name in table.column_names and table[name].null_count == len(table):
                table = table.drop_columns([name])  # left empty, to be filled in
            table = table.append_column(free_name(name, table.column_names), pa.array(values))
        return table

    def forecast(
        self,
        data: Any = None,
        *,
        horizon: int,
        season: int = 0,
        draws: int | None = None,
        seed: int = 0,
        way: str = "",
    ) -> pa.Table:
        """Return what follows each regular series: id, time, channel, value, lower, upper, way.

        See `tasks.forecast.ForecastSettings`.
        """
        store = self.open(data)
        found = forecast(self, store, ForecastSettings(horizon, season, draws, seed, way))
        return forecast_table(found.schema, store, found.lengths, found)

    def detect(
        self, data: Any = None, *, normal: Any = None, by: str = "auto", seed: int = 0
    ) -> pa.Table:
        """Return id, time, score, p_value of each time stamp against normal data, by default those
        that the run was trained on. by: a detector's name (`tasks.detect.DetectSettings`)."""
        store, known = self.open(data), self.open(normal)
        detected = detect(self, store, known, DetectSettings(by, seed))
        return detection_table(self.schema, store, detected)

    def impute(self, data: Any = None, *, draws: int = 64, seed: int = 0) -> pa.Table:
        """Return regular series with their gaps filled, and 90 % intervals (`tasks.impute`)."""
        store = self.open(data, exact=True)
        return imputed_table(self.schema, store, impute(self, store, draws, seed=seed))

    def generate(
        self,
        number: int = 1000,
        *,
        condition: Mapping[str, Any] | None = None,
        given: Any = None,
        seed: int = 0,
    ) -> pa.Table:
        """Return synthetic windows in the columns of the training data.

        condition: of each static column a value for all windows or one of each
        (`tasks.conditions`). given: a table of what is known of windows, each of which is completed
        `number` times; its own static columns count.
        """
        if given is None:
            asked = condition_of(self, condition or {}, number)
            made = generate(self, number, seed=seed, condition=asked.numbers)
            return synthetic_table(self, made, seed, asked.columns)
        if condition:
            raise RecipeError("a condition and given windows, whose own static columns count")
        store = self.open(given, partial=True, exact=True)
        return completed_table(self.schema, store, generate_given(self, store, number, seed=seed))

    def read_labels(
        self,
        labels: Any,
        store: RaggedStore,
        target: tuple[str, ...] = (),
        task: str = "",
        id_column: str = "",
        rare: Rare = "keep",
    ) -> Labels:
        """Join a label table to a store, by this run's id column where none is named."""
        name = id_column or self.schema.columns.id
        return read_labels(labels, store, name, target, task, rare)

    def probe(
        self,
        labels: Any,
        data: Any = None,
        *,
        target: tuple[str, ...] = (),
        folds: int = 5,
        spans: str = "",
    ) -> Result:
        """Score linear models on every level or layer and on controls (`tasks.probe`).

        spans: "auto" or "A,B,..." in the table's unit of time (seconds for dates): what an
        encoder of irregular series knows from spans of that length, in place of its layers.
        """
        store = self.open(data)
        chosen = chosen_spans(spans, self, store) if spans else ()
        known = self.read_labels(labels, store, target)
        return probe(self, store, known, num_folds=folds, spans=chosen)

    def stream(self) -> Stream:
        """Return a reader of one recording, chunk by chunk (`tasks.stream`)."""
        return Stream(self)

    def save(self, folder: str | Path) -> None:
        """Write the run folder; `metrics.json` comes last and marks it as whole.

        A folder that holds another run, or what is not ours, is a RecipeError.
        """
        folder = Path(folder)
        claim(folder, SIGNS, "folder")
        same = self.folder is not None and folder.resolve() == self.folder.resolve()
        if (folder / METRICS).is_file() and not same:
            raise RecipeError(f"{folder} holds a run; name a new folder, nothing is overwritten")
        write_text(folder / RECIPE, to_toml(self.recipe))
        write_text(folder / SCHEMA, self.schema.model_dump_json(indent=2) + "\n")
        tensors: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            tensors |= with_prefix(name, part.state_dict())
        save_tensors(folder / WEIGHTS, tensors, {"parts": list(self.parts)})
        if self.calibration is not None:
            tree = {"conformal": self.calibration.to_json(), "coverage": self.coverage}
            write_json(folder / CALIBRATION, tree)
        write_text(folder / CARD, model_card(self))
        write_json(folder / METRICS, dict(self.metrics))
        self.folder = folder


def load(folder: str | Path, *, device: str = "auto") -> Run:
    """Load a run folder; one that is missing, half-written or damaged is a CheckpointError.

    device: "cpu", "cuda", "cuda:N", or "auto": CUDA where there is one (`training.device`).
    """
    where = chosen_device(device)
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no run folder at {folder}")
    if not (folder / METRICS).is_file():
        begun = (folder / RECIPE).is_file()
        advice = "its training did not finish: continue it with --resume" if begun else "not a run"
        raise CheckpointError(f"{folder} holds no {METRICS}; {advice}")
    recipe = make_recipe(read_recipe(folder / RECIPE))
    schema = read_schema(folder)
    parts = read_parts(recipe, folder / WEIGHTS)
    for part in parts.values():
        part.to(where)
    calibration, coverage = None, []
    if (folder / CALIBRATION).is_file():
        tree = read_json(folder / CALIBRATION)
        try:
            calibration, coverage = Conformal.from_json(tree["conformal"]), tree["coverage"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{folder / CALIBRATION} is not a calibration ({error!r}); pre-train again"
            ) from None
    metrics = read_json(folder / METRICS)
    if not isinstance(metrics, dict):
        raise CheckpointError(f"{folder / METRICS} holds no figures; this is no run")
    return Run(recipe, schema, parts, metrics, calibration, coverage, folder)
