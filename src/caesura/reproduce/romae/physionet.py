"""Table 7, PhysioNet 2012: half of the times of intensive-care records, from the other half.

arXiv 2505.20535, sec. 5.5, D.9, by HeTVAE's protocol: whole moments are hidden. Values are
standardised by variable on training records; of the 41 parameters the four static ones are
always seen and never asked. Set a alone (4,000 of the 8,000 records that the paper uses).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.store import RaggedStore
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published, Settings
from caesura.reproduce.romae.runs import pretrained
from caesura.run import Run
from caesura.tasks.calibrate import hidden_queries
from caesura.tasks.filling import neighbours
from caesura.tasks.interpolate import predict_scaled

_STATIC = ("Age", "Gender", "Height", "ICUType")
_COLUMNS = {"id": "RecordID", "time": "minute", "channel": "param", "value": ["value"],
            "missing": [-1]}  # fmt: skip
_FILE = "irregular/physionet2012/set_a.parquet"
_FEWEST = 20
"""Hidden values of a variable that make its error worth counting."""


class PhysioNetSettings(Settings):
    """`records`: how many of the set are used, 0 for all; a fifth of them tests."""

    records: int = 0
    steps: int = 2_000
    width: int = 96
    depth: int = 3
    settings: tuple[str, ...] = ()


def _run(cell: str, context: Context) -> Outcome:
    own: PhysioNetSettings = context.settings
    pool, test = _tables(context, own.records)
    run = pretrained(context, pool, _COLUMNS, _recipe(own), own.steps)
    store = run.open(test)
    seen, rows = hide_moments(store, np.random.default_rng(77_000))  # the same for every seed
    queries, truth = hidden_queries(run, store, rows)
    near = neighbours(seen, queries, run.schema)
    center, scale = _pool_moments(run, pool)
    own_center, own_scale = (
        np.array([getattr(row[0], key) for row in run.schema.scales]) for key in ("center", "scale")
    )
    guesses = {
        "RoMAE": predict_scaled(run, seen, queries),
        "linear": near.linear,
        "last value": near.last_value(),
        "mean": ((center - own_center) / own_scale)[queries.variable],
    }
    # in deviations of the whole pool: those of a seed's training records differ by its outliers
    ratio = (own_scale / scale)[queries.variable]
    truth = truth * ratio
    squares = {name: np.square(guess * ratio - truth) for name, guess in guesses.items()}
    outcome = {name: {"MSE": float(one.mean())} for name, one in squares.items()}
    wins, counted = _wins(run, squares, queries.variable)
    outcome["RoMAE"] |= {"variables better than all three": wins, "variables counted": counted}
    tails = np.abs(truth) < 5
    outcome["RoMAE"]["MSE, values within 5 deviations"] = float(squares["RoMAE"][tails].mean())
    return Outcome(outcome)


def _pool_moments(run: Run, pool: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of each variable over all records that do not test."""
    store = run.open(pool)
    code = run.schema.channel_codes(store)
    values = [
        store.values[code == one, 0].astype(np.float64) for one in range(len(run.schema.channels))
    ]
    spread = np.array([one.std() if len(one) else 1.0 for one in values])
    center = np.array([one.mean() if len(one) else 0.0 for one in values])
    return center, np.where(spread > 0, spread, 1.0)  # one variable is constant


def _recipe(own: PhysioNetSettings) -> tuple[str, ...]:
    return (
        f"encoder.width={own.width}",
        f"encoder.depth={own.depth}",
        f"stages.0.decoder.width={own.width}",
        "stages.0.objective.mask=moment",
        "encoder.relative_scale=1.0",
        "data.scaling=standard",
        "training.patience=0",
        *own.settings,
    )


def _tables(context: Context, records: int) -> tuple[Any, Any]:
    """Return (pool, test) tables, split by record: the same test records for every seed."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(context.file(_FILE))
    names = np.unique(table["RecordID"].to_numpy())
    order = np.random.default_rng(7).permutation(names)[: records or None]
    test, pool = order[: len(order) // 5], order[len(order) // 5 :]
    return tuple(
        table.filter(pc.is_in(table["RecordID"], pa.array(chosen))) for chosen in (pool, test)
    )


def hide_moments(
    store: RaggedStore, rng: np.random.Generator
) -> tuple[RaggedStore, NDArray[np.int64]]:
    """Hide all values of half of each record's times, static ones excepted."""
    static = np.isin(np.array(store.channels)[store.channel], _STATIC)
    key = np.stack([store.series.astype(np.float64), store.times])[:, ~static]
    moments, of_row = np.unique(key, axis=1, return_inverse=True)
    noise = rng.random(moments.shape[1])
    order = np.lexsort((noise, moments[0]))
    _, first, count = np.unique(moments[0][order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, count)
    lost = np.zeros(len(order), dtype=np.bool_)
    lost[order] = place < np.repeat(count // 2, count)
    hidden = np.zeros(len(static), dtype=np.bool_)
    hidden[~static] = lost[of_row.ravel()]
    return store.without(hidden), np.flatnonzero(hidden)


def _wins(
    run: Run, squares: dict[str, NDArray[np.float64]], variable: NDArray[np.int64]
) -> tuple[int, int]:
    """Return on how many variables the model is below every simple method, and of how many."""
    wins = counted = 0
    for code in range(len(run.schema.variables)):
        own = variable == code
        if own.sum() >= _FEWEST:
            counted += 1
            means = {name: float(one[own].mean()) for name, one in squares.items()}
            wins += means["RoMAE"] < min(v for name, v in means.items() if name != "RoMAE")
    return wins, counted


PHYSIONET = Experiment(
    name="romae-physionet",
    title="Table 7, PhysioNet 2012: half of the times hidden, MSE of standardised values",
    settings={
        "quick": PhysioNetSettings(records=200, steps=20),
        "medium": PhysioNetSettings(),
        "full": PhysioNetSettings(steps=40_000, width=180, depth=12),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells=dict.fromkeys(("quick", "medium", "full"), ("set a",)),
    cost={"quick": "20 s", "medium": "8 min a seed", "full": "days on a CPU"},
    run=_run,
    published={("RoMAE", "MSE"): Published(0.467, 0.021)},
    goal="0.562 or less (HeTVAE), better than all simple methods in 30 of 37 variables",
    data=f"{_FILE} (PhysioNet Challenge 2012, set a)",
    notes=(
        "The paper's table says 0.467, its discussion 0.570; HeTVAE prints 0.562. Their data are "
        "another preparation of sets a and b: figures are near, not equal, in kind.",
    ),
)
