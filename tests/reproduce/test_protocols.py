"""The protocols of RoMAE's experiments: what is hidden, dropped, mirrored, and never seen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from caesura.data.config import Columns
from caesura.data.synthetic.pendulum import SIDE, pendulum
from caesura.data.synthetic.smooth import hetvae_curves
from caesura.data.table import table_to_store
from caesura.reproduce.romae import frequencies, images
from caesura.reproduce.romae import pendulum as table5
from caesura.reproduce.romae.masked import MaskedSettings, build, predict, random_hidden
from caesura.reproduce.romae.patched import Patched, PatchedSettings, _gather
from caesura.reproduce.romae.physionet import _COLUMNS, hide_moments
from caesura.reproduce.romae.uea import _cut, drop_steps
from caesura.tasks.rocket import same_length


def test_steps_are_dropped_whole_and_one_is_left():
    rng = np.random.default_rng(0)
    panel = [rng.standard_normal((3, 40)), rng.standard_normal((3, 2)), np.ones((3, 1))]
    holed = drop_steps(panel, rng)
    lost = [np.isnan(one).any(0) for one in holed]
    assert [int(one.sum()) for one in lost] == [12, 0, 0]
    assert all((np.isnan(one).all(0) == gone).all() for one, gone in zip(holed, lost, strict=True))
    assert np.isfinite(panel[0]).all()  # the input is untouched
    filled = same_length(holed, 40)
    assert filled.shape == (3, 3, 40)
    assert np.isfinite(filled).all()
    kept = ~lost[0]
    np.testing.assert_allclose(filled[0][:, kept], panel[0][:, kept], rtol=1e-5)
    assert _cut(np.array([[1.0, np.nan, 2.0, np.nan]])).shape == (1, 3)


def test_moments_are_hidden_whole_and_static_values_never():
    import pyarrow as pa

    rng = np.random.default_rng(0)
    rows = []
    for record in range(12):
        rows += [(record, 0.0, name, 1.0) for name in ("Age", "Height")]
        for minute in sorted(rng.choice(500, 9, replace=False)):
            names = rng.choice(["HR", "Temp", "pH"], rng.integers(1, 4), replace=False)
            rows += [(record, float(minute), name, 2.0) for name in names]
    names = ("RecordID", "minute", "param", "value")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    columns = Columns(**(_COLUMNS | {"value": ("value",), "missing": ()}))
    store, _ = table_to_store(table, columns, per_observation=True)
    seen, hidden = hide_moments(store, np.random.default_rng(1))
    names = np.array(store.channels)[store.channel]
    static = np.isin(names, ("Age", "Height"))
    assert not static[hidden].any()
    gone = np.zeros(len(names), dtype=bool)
    gone[hidden] = True
    for record in range(12):
        own = (store.series == record) & ~static
        times = store.times[own]
        share = [gone[own][times == t].mean() for t in np.unique(times)]
        assert set(share) <= {0.0, 1.0}
        assert sum(share) == len(share) // 2
    assert len(seen.clock) == len(names) - len(hidden)


def test_augmented_frames_keep_their_angles():
    data = pendulum(30, 4)
    rows = np.arange(30)
    batch = table5._gather(data, rows, table5._Cell(table5.OURS), np.random.default_rng(0))
    values = batch.inputs.values * table5._SCALE + table5._CENTER
    frames = values.view(30, -1, SIDE, SIDE).numpy()
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    chosen = (data.clarity > 0.97) & batch.inputs.valid.numpy()
    seen = np.arctan2((frames * x).sum((2, 3)), (frames * y).sum((2, 3)))
    target = batch.target.numpy()
    gap = np.angle(np.exp(1j * (seen - np.arctan2(target[..., 0], target[..., 1]))))
    assert np.median(np.abs(gap[chosen])) < 0.1  # a third of the frames is covered by noise
    assert 0.6 < batch.inputs.valid.float().mean() < 0.9
    plain = table5._gather(data, rows, table5._Cell(table5.OURS), None)
    assert plain.inputs.valid.all()
    assert torch.equal(plain.target, torch.from_numpy(data.targets))


def test_hidden_values_reach_no_answer_and_only_hidden_places_have_one():
    model = build(MaskedSettings(width=16, depth=1, decoder_width=16, decoder_depth=1), 1, 0)
    curves = hetvae_curves()
    _, noisy = curves.draw(6, 0)
    hidden = random_hidden(np.random.default_rng(0), 6, 51, np.array([3, 4, 5, 6, 9, 10]))
    assert (~hidden).sum(1).tolist() == [3, 4, 5, 6, 9, 10]
    one = predict(model, noisy[..., None], curves.times, hidden, 0.01)
    spoiled = np.where(hidden, 1e6, noisy)
    two = predict(model, spoiled[..., None], curves.times, hidden, 0.01)
    assert np.array_equal(np.isnan(one[..., 0]), ~hidden)
    np.testing.assert_array_equal(one, two)


def test_the_spectrum_of_a_sine_is_its_amplitude():
    times = np.arange(100) / 100
    spectrum = frequencies._spectrum(0.7 * np.sin(2 * np.pi * 6 * times)[None])
    assert spectrum[0].argmax() == 6
    assert spectrum[0, 6] == pytest.approx(0.7)


def test_padding_of_a_spectrogram_is_no_token():
    arrays = np.ones((2, 8, 4, 1), np.float32)
    data = Patched(arrays, np.zeros(2, np.int64), *(np.arange(2),) * 3, np.zeros(1, np.float32),
                   np.ones(1, np.float32), steps=np.array([3, 8]))  # fmt: skip
    tokens = _gather(data, PatchedSettings(patch=2), np.arange(2), None).inputs
    assert tokens.valid.sum(1).tolist() == [4, 8]  # 2 of 4 patches along, 2 across
    assert not tokens.values[~tokens.valid].any()


def test_digits_share_no_row_between_roles():
    data = images._digits(None, None)
    parts = [set(rows.tolist()) for rows in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(data.labels)


@pytest.mark.parametrize(
    ("paper", "measured"),
    [
        ("romae", {"romae-positions", "romae-synthetic", "romae-spirals", "romae-options"}),
        ("himae", {"himae-resolution", "himae-generative", "himae-pvc"}),
    ],
)
def test_the_page_of_results_says_what_its_lines_say(paper, measured):
    """Tables are written by scripts/collect_results.py from the same files."""
    folder = Path(__file__).parents[2] / "docs" / "results"
    whole = (folder / f"{paper}.md").read_text()
    rows = [json.loads(line) for line in (folder / f"{paper}.jsonl").read_text().splitlines()]
    assert measured <= {r["experiment"] for r in rows}
    for row in rows:
        _, found, page = whole.partition(f"<!-- table: {row['experiment']} ")
        if found:
            shown = f"| {row['row']} | {row['metric']} |"
            line = next(line for line in page.splitlines() if line.startswith(shown))
            ours = line.split("|")[4].split("±")[0]
            assert float(ours) == pytest.approx(row["value"], rel=1e-3), line
