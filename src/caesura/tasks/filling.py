"""What interpolation must beat: simple filling in, and ridge regressions on neighbours.

All work in scaled units, so that a squared error means the same for every variable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore


@dataclass(frozen=True)
class Neighbours:
    """Each query's simple predictions, from its series' observations of the same variable.

    previous, following, linear (ends held), own_mean: scaled values, 0 (the mean of the
    training rows) where the variable was never seen in the series; `seen` says where it was.
    others: (queries, variables) every variable of the series, linear at the query's time.
    """

    previous: NDArray[np.float64]
    following: NDArray[np.float64]
    linear: NDArray[np.float64]
    own_mean: NDArray[np.float64]
    seen: NDArray[np.float64]
    others: NDArray[np.float64]

    def last_value(self) -> NDArray[np.float64]:
        """Return the last value before each query, the first one seen if there is none."""
        return self.previous

    def own(self) -> NDArray[np.float64]:
        """Return the features of a ridge on the query's own variable."""
        columns = (self.previous, self.following, self.linear, self.own_mean, self.seen)
        return np.stack(columns, axis=1)

    def everything(self) -> NDArray[np.float64]:
        """Return the features of a ridge on all variables."""
        return np.concatenate([self.own(), self.others], axis=1)


def neighbours(store: RaggedStore, queries: Queries, schema: Schema) -> Neighbours:
    """Look up each query's neighbours among the observations of its series."""
    size = len(schema.value_names)
    count = len(schema.variables)
    channel = schema.channel_codes(store)
    scaled = ScaleTable(schema.scales).exactly(store.values, channel)
    table = {name: np.zeros(len(queries)) for name in ("prev", "next", "line", "mean", "seen")}
    others = np.zeros((len(queries), count))
    order = np.argsort(queries.series, kind="stable")
    bounds = np.searchsorted(queries.series[order], np.arange(len(store) + 1))
    for number in range(len(store)):
        asked = order[bounds[number] : bounds[number + 1]]
        if not len(asked):
            continue
        rows = slice(store.offsets[number], store.offsets[number + 1])
        row, element = np.nonzero(store.observed[rows])
        variable = channel[rows][row].astype(np.int64) * size + element
        times, values = store.times[rows][row], scaled[rows][row, element]
        for v in np.unique(variable):
            own = variable == v
            seen_times, seen_values = times[own], values[own]
            others[asked, v] = np.interp(queries.times[asked], seen_times, seen_values)
            same = asked[queries.variable[asked] == v]
            if not len(same):
                continue
            place = np.searchsorted(seen_times, queries.times[same], side="right")
            table["prev"][same] = seen_values[np.maximum(place - 1, 0)]
            table["next"][same] = seen_values[np.minimum(place, len(seen_values) - 1)]
            table["line"][same] = others[same, v]
            table["mean"][same] = seen_values.mean()
            table["seen"][same] = 1.0
    return Neighbours(
        table["prev"], table["next"], table["line"], table["mean"], table["seen"], others
    )


def ridge_predictions(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    variable: NDArray[np.int64],
    new_features: NDArray[np.float64],
    new_variable: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fit one ridge a variable, its strength by leave-one-out; 0 for a variable not fitted."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predicted = np.zeros(len(new_features))
    for v in np.unique(new_variable):
        own, new = variable == v, new_variable == v
        if own.sum() < 20:
            continue
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 4, 6)))
        predicted[new] = model.fit(features[own], truth[own]).predict(new_features[new])
    return predicted
