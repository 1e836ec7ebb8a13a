"""The rows that a probe prints beside its levels: maxima over places, and plain statistics."""

import numpy as np
import pyarrow as pa
import pytest

import caesura
from builders import label_table, long_table, tiny_run
from caesura.estimators.resolution import ResolutionProbe
from caesura.metrics.classify import main_score
from caesura.study.resolution import probe_figure
from caesura.tasks.embed import embed
from caesura.tasks.linear import folds
from caesura.tasks.probe import out_of_fold
from caesura.tasks.probe_sources import probe_sources

SMALL = ("encoder.widths=[8,16]", "data.rate=100", "training.batch_tokens=4000")


def rare_blips(count=100, length=400, seed=0):
    """Make waves with noise of many sizes (count, 1, length); half of them hold one blip of four
    samples that adds nothing to the sum, and leaves the range of the wave as it is."""
    rng = np.random.default_rng(seed)
    label, phase = np.arange(count) % 2, rng.uniform(0, 2 * np.pi, (count, 1))
    size = rng.uniform(0.1, 1.2, (count, 1))
    series = size * rng.standard_normal((count, length))
    starts = rng.integers(20, length - 20, count)
    for row in np.flatnonzero(label):
        series[row, starts[row] : starts[row] + 4] += (6.0, -6.0, 6.0, -6.0)
    series += 8 * np.sin(2 * np.pi * np.arange(length) / 200 + phase)
    return series[:, None], label


@pytest.fixture(scope="module")
def blips():
    series, label = rare_blips()
    run = caesura.pretrain(series, "himae", steps=2, settings=SMALL)
    store = run.open(series)
    known = run.read_labels(pa.table({"id": store.ids, "peak": label}), store)
    return run, store, known, probe_sources(run, store)


def test_maxima_find_a_single_peak_that_means_miss(blips):
    _, store, known, sources = blips
    cuts = folds(known, store.group_codes, 2, 0)
    means, maxima = (
        main_score(
            "classification",
            known.values,
            out_of_fold(sources.others[name].features, known, store.group_codes, cuts, 0),
        )
        for name in ("all levels", "levels+max")
    )
    assert maxima > 0.85
    assert maxima > means + 0.1


def test_maxima_are_those_that_embed_reads_the_twins_too(blips):
    run, store, _, sources = blips
    row = sources.others["levels+max"]
    np.testing.assert_allclose(row.features, embed(run, store, "levels+max"), atol=1e-5)
    assert row.twin.shape == row.features.shape
    assert not np.allclose(row.twin, row.features)


def test_every_way_in_prints_maxima_and_statistics(blips):
    wanted = {"levels+max", "channel statistics"}
    found = tiny_run(steps=1).probe(label_table(), long_table(), folds=2, spans="4")
    assert wanted <= set(found.metrics)
    assert "<svg" in probe_figure({"kind": found.tables["probe"]})
    series, label = rare_blips(24)
    estimator = ResolutionProbe(run=blips[0], folds=2).fit(series, label)
    assert wanted <= {row["features"] for row in estimator.table_}
