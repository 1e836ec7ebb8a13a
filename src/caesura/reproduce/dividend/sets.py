"""The evaluation sets, three families, and how a frozen encoder is scored on each.

The pre-training is univariate, so every channel is a row of its own and features are joined
over channels. The same probes serve all encoders: a logistic model with inner folds on official
splits, a ridge on all tokens of a window of 336 (LTSF's bounds), nearest normal places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.metrics.detect import vus_pr
from caesura.metrics.forecast import mae, mse, seasonal_error, seasonal_naive
from caesura.metrics.skill import anomaly_skill, classification_skill, forecast_skill
from caesura.tasks.detector_table import feature_scores
from caesura.tasks.forecast_examples import examples_of
from caesura.tasks.forecast_head import dlinear_features, fit_head, predict_with
from caesura.tasks.linear import fit_and_predict, linear_model
from caesura.tasks.plain_detectors import DETECTORS
from caesura.tasks.rocket import has_rocket, rocket_predictions
from caesura.tasks.window_features import pooled_features, sequence_features, window_statistics

WINDOW = 336
Floats = NDArray[np.floating[Any]]
Family = Literal["classification", "forecasting", "anomaly"]


@dataclass(frozen=True)
class EvaluationSet:
    """A set of one family: `score` gives the skill of an encoder, `beside` that of baselines."""

    name: str
    family: Family
    score: Callable[[nn.Module], float]
    beside: Callable[[], Mapping[str, float]]
    tags: Mapping[str, Any] = field(default_factory=dict)


CLASSIFICATION = (
    "ECG200",
    "GunPoint",
    "SyntheticControl",
    "Trace",
    "Epilepsy",
    "UWaveGestureLibrary",
)
FORECASTING = ("ETTh1", "ETTm1", "bike_sharing", "us_births")
ANOMALY = ("UCR-136", "UCR-138", "SMD-1-6", "SMD-2-1")
CHOICE = ("CBF", "ECGFiveDays", "exchange_rate", "UCR-135", "UCR-137")
"""Sets that choose learning rates, and are in no report."""
REPORTED = (*CLASSIFICATION, *FORECASTING, *ANOMALY)


def family_of(name: str) -> Family:
    """Return the family of a set."""
    if name in FORECASTING or name == "exchange_rate":
        return "forecasting"
    return "anomaly" if name.startswith(("UCR-", "SMD-")) else "classification"


def load_set(name: str, root: Path) -> EvaluationSet:
    """Return an evaluation set from the data folder."""
    made = {"classification": classification_set, "forecasting": forecasting_set}
    return made.get(family_of(name), _anomaly)(name, root)


# --- classification


def resampled(x: Floats, length: int = WINDOW) -> Floats:
    """Return (cases, channels, length): each series, less its NaN padding, on lines between its
    samples. Paths of 24 to 1,000 steps become one length, the same for all encoders."""
    out = np.zeros((*x.shape[:2], length), dtype=np.float32)
    for case, rows in enumerate(x):
        for channel, row in enumerate(rows):
            seen = row[np.isfinite(row)]
            if len(seen):
                at = np.linspace(0, len(seen) - 1, length)
                out[case, channel] = np.interp(at, np.arange(len(seen)), seen)
    return out


def drawn_split(
    y: NDArray[Any], y_new: NDArray[Any], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of both parts joined, drawn anew: as many of each class train as officially."""
    rng = np.random.default_rng(number)
    whole, first = np.concatenate([y, y_new]), []
    for kind in np.unique(whole):
        mine = np.flatnonzero(whole == kind)
        first.append(rng.permutation(mine)[: int((y == kind).sum())])
    train = np.sort(np.concatenate(first))
    return train, np.setdiff1d(np.arange(len(whole)), train)


def by_channel(encoder: nn.Module, x: Floats) -> Floats:
    """Return features of each case, its channels' joined."""
    cases, channels, time = x.shape
    rows: Floats = pooled_features(encoder, x.reshape(cases * channels, 1, time), 1.0)
    return np.asarray(rows.reshape(cases, -1))


def classification_set(name: str, root: Path, resample: int = 0) -> EvaluationSet:
    """Return a classification set on its official split, or on the resample of a number."""
    with np.load(root / "ucr_uea" / f"{name}.npz", allow_pickle=False) as z:
        x, y, x_new, y_new = (z[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    x, x_new = resampled(x), resampled(x_new)
    if resample:
        first, second = drawn_split(y, y_new, resample)
        x, x_new = (np.concatenate([x, x_new])[rows] for rows in (first, second))
        y, y_new = (np.concatenate([y, y_new])[rows] for rows in (first, second))
    classes = int(max(y.max(), y_new.max())) + 1

    def fitted(a: Floats, b: Floats) -> float:
        said = fit_and_predict(
            linear_model("classification", 0), "classification", a, y, b, classes
        )
        return classification_skill(y_new, said.argmax(1), classes)

    def score(encoder: nn.Module) -> float:
        return fitted(by_channel(encoder, x), by_channel(encoder, x_new))

    def beside() -> Mapping[str, float]:
        raw = [v.reshape(len(v), -1)[:, ::4] for v in (x, x_new)]
        simple = [window_statistics(v) for v in (x, x_new)]
        features = [series_features(v) for v in (x, x_new)]
        found = {
            "raw samples": fitted(*raw),
            "mean and deviation": fitted(*simple),
            "series features": fitted(*features),
        }
        if has_rocket():
            said = rocket_predictions(list(x), y, list(x_new), 0)
            found["MiniRocket"] = classification_skill(y_new, said, classes)
        return found

    tags = {"x": x, "y": y, "x_new": x_new, "y_new": y_new, "classes": classes}
    return EvaluationSet(name, "classification", score, beside, tags)


def series_features(x: Floats) -> Floats:
    """Return 18 plain features of each channel: moments, autocorrelation, spectrum, crossings.

    In the manner of catch22 (Lubba et al. 2019), not its list.
    """
    from scipy.stats import kurtosis, skew

    z = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-6)
    power = np.square(np.abs(np.fft.rfft(z)))[..., 1:]
    share = power / (power.sum(-1, keepdims=True) + 1e-12)
    place = np.arange(power.shape[-1])
    change = np.diff(z, axis=-1)
    lags = [(z[..., k:] * z[..., :-k]).mean(-1) for k in (1, 2, 4, 8, 16, 32)]
    rows = [
        x.mean(-1), np.log(x.std(-1) + 1e-6), skew(z, -1), kurtosis(z, -1), *lags,
        (np.diff(np.sign(z), axis=-1) != 0).mean(-1), np.abs(change).mean(-1),
        change.std(-1), np.quantile(z, 0.05, -1), np.quantile(z, 0.95, -1),
        (share * place).sum(-1), -(share * np.log(share + 1e-12)).sum(-1),
        place[power.argmax(-1)],
    ]  # fmt: skip
    return np.asarray(np.nan_to_num(np.stack(rows, -1).reshape(len(x), -1)))


# --- forecasting


def _columns(name: str, root: Path) -> tuple[Floats, tuple[int, int], int]:
    """Return (channels, time), the bounds of LTSF and the season."""
    import pyarrow.parquet as pq

    folder = root / "forecasting"
    if name == "us_births":
        table = pq.read_table(folder / "monash_us_births_dataset.parquet")
        values = table["value"].to_numpy().astype(np.float64)[None]
        season = 7
    elif name == "bike_sharing":
        table = pq.read_table(folder / "bike_sharing.parquet")
        values = table["users"].to_numpy().astype(np.float64)[None]
        season = 24
    else:
        table = pq.read_table(folder / f"{name}.parquet")
        names = [n for n in table.column_names if n != "date"]
        values = np.stack([table[n].to_numpy().astype(np.float64) for n in names])
        season = {"ETTh1": 24, "ETTm1": 96, "exchange_rate": 7}[name]
    time = values.shape[1]
    known = {"ETTh1": (8640, 11520, 14400), "ETTm1": (34560, 46080, 57600)}
    first, second, last = known.get(name, (int(0.7 * time), int(0.8 * time), time))
    return values[:, :last], (first, second), season


def forecasting_set(name: str, root: Path, horizon: int = 96) -> EvaluationSet:
    """Return a forecasting set at a horizon; its tags have `errors` of an encoder, None: DLinear.

    Values are standardised by the part that fits, and windows thinned to about 6,000 in all.
    """
    values, bounds, season = _columns(name, root)
    center = values[:, : bounds[0]].mean(1, keepdims=True)
    spread = values[:, : bounds[0]].std(1, keepdims=True) + 1e-9
    scaled = (values - center) / spread
    series = [row[None] for row in scaled]
    scale = np.array([seasonal_error(row[0, : bounds[0]], season) for row in series])
    examples = examples_of(series, WINDOW, horizon, [bounds] * len(series))
    where = examples.series[examples.role == 2]
    past, future = examples.of(2)

    def mase_of(predicted: Floats) -> float:
        pairs = zip(future, predicted, where, strict=True)
        return float(np.mean([mae(f, p) / scale[s] for f, p, s in pairs]))

    naive = mase_of(seasonal_naive(past, horizon, season))

    def with_reader(read: Callable[[Floats], Floats]) -> dict[str, float]:
        head = fit_head(examples, read)
        predicted = predict_with(head, read, past, horizon)
        return errors_of(predicted)

    def errors_of(predicted: Floats) -> dict[str, float]:
        skill = forecast_skill(mase_of(predicted), naive)
        return {"skill": skill, "MSE": mse(future, predicted), "MAE": mae(future, predicted)}

    def errors(encoder: nn.Module | None) -> dict[str, float]:
        if encoder is None:
            return with_reader(dlinear_features)
        return with_reader(lambda p: sequence_features(encoder, p, 1.0))

    def score(encoder: nn.Module) -> float:
        return errors(encoder)["skill"]

    def beside() -> Mapping[str, float]:
        return {"seasonal naive": 0.0, "DLinear": errors(None)["skill"]}

    tags: dict[str, Any] = {
        "examples": examples,
        "mase_of": mase_of,
        "naive": naive,
        "errors": errors,
    }
    return EvaluationSet(name, "forecasting", score, beside, tags)


# --- anomalies

_CHANNELS = 8
"""Channels of a machine that are read: those of the largest variance in the training part."""


def _recording(name: str, root: Path) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return training and test part (channels, time) and the labels of the test part."""
    if name.startswith("SMD-"):
        with np.load(root / "anomaly" / "SMD" / f"machine-{name[4:]}.npz", allow_pickle=False) as z:
            train, test, labels = z["train"].T, z["test"].T, z["label"] > 0
        top = np.sort(np.argsort(-train.var(1))[:_CHANNELS])
        return train[top], test[top], labels
    with np.load(root / "anomaly" / "ucr_anomaly_sample.npz", allow_pickle=False) as z:
        key = next(k for k in z.files if k.startswith(name[4:]))
        whole = z[key]
    first, start, stop = (int(part) for part in key.split("_")[-3:])
    labels = np.zeros(len(whole), dtype=bool)
    labels[start : stop + 1] = True
    return whole[None, :first], whole[None, first:], labels[first:]


def _anomaly(name: str, root: Path) -> EvaluationSet:
    train, test, labels = _recording(name, root)
    center, spread = train.mean(1, keepdims=True), train.std(1, keepdims=True) + 1e-3
    train, test = (train - center) / spread, np.clip((test - center) / spread, -20, 20)
    rng = np.random.default_rng(0)
    noise = float(np.mean([vus_pr(labels, rng.random(len(labels))) for _ in range(5)]))

    def by_channels(one: Callable[[Floats, Floats], Floats]) -> float:
        total = np.zeros(len(labels))
        for row, new in zip(train, test, strict=True):
            found = one(row[None], new[None])
            total += (found - found.mean()) / (found.std() + 1e-12)
        return anomaly_skill(vus_pr(labels, total), noise)

    def score(encoder: nn.Module) -> float:
        return by_channels(partial(feature_scores, encoder, window=WINDOW, rate_hz=1.0, seed=0))

    def beside() -> Mapping[str, float]:
        def of(way: Callable[[Floats, Floats], Floats]) -> float:
            return by_channels(lambda row, new: way(row[0], new[0]))

        found = {"uniform noise": 0.0} | {name: of(way) for name, way in DETECTORS.items()}
        return found

    return EvaluationSet(name, "anomaly", score, beside, {"noise": noise, "normal": train})
