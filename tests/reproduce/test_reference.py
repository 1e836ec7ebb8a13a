"""The reference study: sets scored the same for all encoders, and what its tables say."""

import numpy as np
import pytest
import torch

from caesura.errors import DataError
from caesura.recipes.build import build_encoder, build_objective
from caesura.recipes.dividend import CAUSAL, OBJECTIVES
from caesura.reproduce.dividend.analysis import (
    Frozen,
    arm_rows,
    asymmetry,
    baseline_rows,
    critical_difference,
    family_rows,
    latent_rows,
    rank_table,
    share_rows,
    verdict,
    view_rows,
)
from caesura.reproduce.dividend.corpus import batches, corpus, windows_from
from caesura.reproduce.dividend.encoders import (
    AUGMENTATIONS,
    DividendSettings,
    pretrained,
    random_encoder,
    recipe_of,
)
from caesura.reproduce.dividend.followups import (
    BANDS,
    Variants,
    band_rows,
    horizon_rows,
    resample_rows,
    tuned_family_rows,
    tuned_rows,
)
from caesura.reproduce.dividend.horizons import SETS as HORIZON_SETS
from caesura.reproduce.dividend.horizons import STEPS
from caesura.reproduce.dividend.rates import QUICK, best_arms, chosen_rate
from caesura.reproduce.dividend.sets import (
    CHOICE,
    CLASSIFICATION,
    REPORTED,
    drawn_split,
    resampled,
    series_features,
)
from caesura.reproduce.dividend.tuned import SCRATCH, SCRATCH_CAUSAL, SETS
from caesura.reproduce.dividend.tuned_families import FAMILY_SETS
from caesura.reproduce.experiment import Context
from caesura.tasks.bands import band_decodability
from caesura.tasks.budget import operations_a_row, tokens_a_row


def planted(seeds=2, missing=()):
    """Results in which lejepa is worth .1 on classification and dwt .02 everywhere."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(seeds):
        for o in OBJECTIVES:
            for v in AUGMENTATIONS:
                cell = f"{o}, {v}"
                twin = {name: 0.5 + 0.01 * rng.standard_normal() for name in REPORTED}
                own = {
                    name: value + 0.1 * (o == "lejepa" and k < 6) + 0.02 * (v == "dwt")
                    for k, (name, value) in enumerate(twin.items())
                }
                rows = {cell: own, f"{cell}, random twin": twin}
                if (cell, seed) not in missing:
                    found.append({"cell": cell, "seed": seed, "rows": rows})
    found.append({"cell": "baselines", "seed": 0, "rows": {"simple": dict.fromkeys(REPORTED, 0.7)}})
    return found


def test_planted_dividends_come_out_by_family():
    found = Frozen(planted())
    rows = {(r["objective"], r["augmentation"]): r for r in arm_rows(found)}
    assert rows["lejepa", "none"]["classification"].startswith("+0.100")
    assert rows["lejepa", "dwt"]["forecasting"].startswith("+0.020")
    assert rows["jepa", "none"]["anomaly"].startswith("+0.000")
    assert family_rows(found)[0]["best baseline a set"] == "0.700"
    shares = share_rows(found)[0]
    assert float(shares["objective"].rstrip(" %")) > 80
    gap = asymmetry(found)["classification - forecasting"]
    assert gap.value == pytest.approx(0.1 / 6, abs=1e-6)
    assert verdict(gap) == "confirmed"
    assert latent_rows(found)[0]["latent - generative"].startswith("+0.033")
    views = {row["augmentation"]: row for row in view_rows(found)}
    assert views["dwt - none"]["forecasting"].startswith("+0.020")
    assert views["crop - none"]["anomaly"].startswith("+0.000")
    (simple, *_) = baseline_rows(found)
    assert simple == {"family": "classification", "baseline": "simple", "mean skill": "0.700"}


def test_a_seed_that_is_not_whole_is_left_out():
    found = Frozen(planted(2, missing={("dino, dwt", 1)}))
    assert found.seeds == [0]
    with pytest.raises(ValueError, match="no seed has all of its cells"):
        Frozen(planted(1, missing={("dino, dwt", 0)}))


def test_planted_gains_of_fine_tuning_come_out_beside_their_own_start():
    def cell(row, seed, skill):
        return {"cell": "x", "seed": seed, "rows": {row: dict.fromkeys(SETS, skill)}}

    found = [cell(SCRATCH, s, 0.5 + 0.1 * s) for s in range(2)]
    found += [cell("jepa, none", s, 0.6 + 0.1 * s) for s in range(3)]  # the third has no start
    found += [cell(SCRATCH_CAUSAL, 0, 0.7), cell("next_patch, none", 0, 0.6)]
    rows = {row["arm"]: row for row in tuned_rows(found)}
    assert rows["jepa, none"]["classification, dividend"].startswith("+0.100 [+0.100")
    assert rows["jepa, none"]["seeds"] == "2"
    assert rows["next_patch, none"]["forecasting, dividend"].startswith("-0.100")


def test_the_best_arms_of_a_family_stand_beside_their_own_start():
    def cell(row, seed, skill, sets=SETS):
        return {"cell": "x", "seed": seed, "rows": {row: dict.fromkeys(sets, skill)}}

    tuned = [cell(SCRATCH, s, 0.5) for s in range(2)] + [cell(SCRATCH_CAUSAL, 0, 0.9)]
    anomaly = FAMILY_SETS["anomaly"]
    found = [
        cell(f"{SCRATCH}, anomaly", 0, 0.1, anomaly),
        cell("jepa, none, anomaly", 0, 0.3, anomaly),
    ]
    found += [cell("denoise, none, classification", 0, 0.7), cell("jepa, dwt, forecasting", 1, 0.6)]
    rows = {(row["family"], row["arm"]): row["dividend"] for row in tuned_family_rows(found, tuned)}
    assert {key: text[:6] for key, text in rows.items()} == {
        ("classification", "denoise, none"): "-0.200",  # it looks back only, and so does its start
        ("forecasting", "jepa, dwt"): "+0.100",
        ("anomaly", "jepa, none"): "+0.200",
    }


def test_planted_gains_of_depth_come_out_and_half_seeds_stay_out():
    def cell(objective, change, seed, gain):
        name = f"{objective}, {change}"
        own = dict.fromkeys(REPORTED, 0.5 + gain)
        rows = {name: own, f"{name}, random twin": dict.fromkeys(REPORTED, 0.5)}
        return {"cell": name, "seed": seed, "rows": rows}

    gains = {"depth 1": 0.0, "depth 3": 0.1}
    found = Variants([cell(o, c, 0, g) for o in ("masked_tokens", "lejepa")
                      for c, g in gains.items()] + [cell("lejepa", "depth 1", 1, 9.0)])  # fmt: skip
    assert found.seeds(list(gains)) == [0]
    assert found.rows(list(gains))[1]["anomaly"].startswith("+0.100")
    gap = found.gaps([("depth 3", "depth 1")])[0]
    assert (gap["verdict"], gap["difference"][:6]) == ("confirmed", "+0.100")
    assert found.rows(["real"]) == []


def test_planted_skills_come_out_by_horizon():
    def cell(row, seed, skill):
        metrics = {f"{n} {k} skill": skill - k / 1000 for n in HORIZON_SETS for k in STEPS}
        return {"cell": "x", "seed": seed, "rows": {row: metrics}}

    found = [cell("DLinear", 0, 0.9), cell("never trained", 0, 0.8), cell("dino, dwt", 0, 0.85)]
    assert horizon_rows(found[1:]) == []
    rows = horizon_rows([*found, cell("dino, dwt", 1, 9.0)])
    assert rows[0]["DLinear"] == "0.804"
    assert rows[-1]["dino, dwt, less never trained"].startswith("+0.050")


def test_drawn_splits_keep_the_classes_and_share_no_case():
    y, y_new = np.array([0, 0, 1]), np.array([0, 1, 1, 1])
    train, test = drawn_split(y, y_new, 3)
    whole = np.concatenate([y, y_new])
    assert sorted([*train, *test]) == list(range(7))
    assert np.bincount(whole[train]).tolist() == [2, 1]
    assert not all(np.array_equal(train, drawn_split(y, y_new, k)[0]) for k in range(4, 9))


def test_planted_skills_on_drawn_splits_come_out():
    def cell(row, skill):
        metrics = dict.fromkeys(CLASSIFICATION, skill)
        metrics |= {f"{name} deviation": 0.02 for name in CLASSIFICATION}
        return {"cell": "x", "seed": 0, "rows": {row: metrics}}

    assert resample_rows([cell("dino, dwt", 0.8)]) == []
    (row,) = resample_rows([cell("dino, dwt", 0.8), cell("never trained", 0.7)])
    assert row["dividend"].startswith("+0.100")
    assert row["deviation over splits"] == "0.020"


def test_a_band_that_follows_the_gain_is_found():
    results = planted()
    for one in results[:-1]:
        own, twin = one["rows"].values()
        gain = np.mean([own[name] - twin[name] for name in REPORTED])
        own.update({f"band {b}": 0.5 + (gain if b == "detail 1" else 0) for b in BANDS})
        twin.update({f"band {b}": 0.5 for b in BANDS})
    rows = {row["band"]: row for row in band_rows(Frozen(results))}
    assert rows["detail 1"]["with classification"].startswith("+0.9")
    assert rows["detail 2"]["with classification"].startswith("+nan")


def test_ranks_are_drawn():
    names, table = rank_table(Frozen(planted()))
    assert table.shape == (14, 7)
    assert critical_difference(names, table).startswith("<svg")


def test_no_set_chooses_and_reports():
    assert not set(CHOICE) & set(REPORTED)
    assert len(REPORTED) >= 12


def test_all_objectives_begin_from_one_encoder_and_see_the_same_windows():
    settings = QUICK
    full = [o for o in OBJECTIVES if o not in CAUSAL]
    weights = [random_encoder(o, settings, 3).state_dict() for o in full]
    for other in weights[1:]:
        assert all(
            torch.equal(a, b) for a, b in zip(weights[0].values(), other.values(), strict=True)
        )
    sizes = {
        sum(p.numel() for p in random_encoder(o, settings, 0).parameters()) for o in OBJECTIVES
    }
    assert len(sizes) == 1
    windows = corpus("synthetic", 40, None)
    one, two = (batches(windows, 8, 5).training(3, 0, 1)[0] for _ in range(2))
    assert torch.equal(one.inputs.values, two.inputs.values)


def test_tokens_count_views_and_teachers():
    windows = corpus("synthetic", 40, None)
    sample = batches(windows, 8, 0).training(0, 0, 1)[0]
    counted = {}
    for name in OBJECTIVES:
        recipe = recipe_of(name, "none", QUICK, 0)
        made = build_objective(recipe.stages[0], build_encoder(recipe, 0), 0)
        counted[name] = tokens_a_row(made, sample)
        assert operations_a_row(made, sample) > 0
        assert all(p.grad is None for p in made.parameters())
    assert counted["next_patch"] == counted["denoise"] == 21
    assert counted["masked_tokens"] == 10  # half of 21, rounded down to what is seen
    assert counted["jepa"] == 21 + 10
    assert 60 < counted["dino"] < 95


def test_a_rate_is_chosen_before_the_report(tmp_path):
    context = Context(DividendSettings(), 0, tmp_path, tmp_path / "dividend-frozen/medium/work/x")
    with pytest.raises(DataError, match="run `caesura reproduce dividend-rates`"):
        chosen_rate("jepa, none", context)


def test_the_best_arms_are_those_of_the_sets_that_choose():
    skill = {"jepa, none": (0.1, 0.5), "jepa, dwt": (0.2, 0.1), "dino, none": (0.3, 0.3),
             "dino, dwt": (0.0, 0.0), "next_patch, none": (9.0, 9.0)}  # fmt: skip
    found = {
        cell: {f"{cell}, 0.001": {"a": low, "b": low}, f"{cell}, 0.002": {"a": high, "b": high}}
        for cell, (low, high) in skill.items()
    }
    assert best_arms(found, ("jepa", "dino"), (0.001, 0.002), ("a", "b")) == [
        "jepa, none",  # at its better rate
        "dino, none",
    ]
    uneven = {
        "jepa, none": {"jepa, none, 0.001": {"a": 1.0, "b": 0.0}},
        "dino, none": {"dino, none, 0.001": {"a": 0.0, "b": 1.0}},
    }
    for judge, best in (("a", "jepa, none"), ("b", "dino, none")):
        assert best_arms(uneven, ("jepa", "dino"), (0.001,), ("a", "b"), (judge,))[0] == best


def test_an_encoder_is_trained_once_for_all_experiments(tmp_path):
    def context(experiment):
        return Context(QUICK, 0, None, tmp_path / experiment / "quick" / "work" / "cell")

    first, cost = pretrained("lejepa", "none", 1e-3, QUICK, context("dividend-frozen"))
    again, known = pretrained("lejepa", "none", 1e-3, QUICK, context("dividend-tuned"))
    assert known == cost
    assert not (tmp_path / "dividend-tuned").exists()
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    _, other = pretrained("lejepa", "none", 2e-3, QUICK, context("dividend-tuned"))
    assert other["minutes"] != cost["minutes"]


def test_windows_cover_series_and_short_ones_are_stretched():
    found = windows_from([np.arange(700, dtype=np.float32), np.arange(200, dtype=np.float32)])
    assert found.shape == (4, 336)
    assert found[2, -1] == 699
    assert found[3, -1] == 199
    padded = np.full((1, 1, 50), np.nan)
    padded[0, 0, :25] = np.arange(25)
    assert resampled(padded).max() == 24
    assert np.isfinite(series_features(resampled(padded))).all()


def test_bands_of_an_encoder_that_tells_all_are_decoded():
    class Whole(torch.nn.Module):
        """Features that are the normalised samples of the patch."""

        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, grid):
            from caesura.types import Features, Level

            x = grid.values[:, 0]
            x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)
            cut = x.view(len(x), -1, 16)
            valid = torch.ones(cut.shape[:2], dtype=torch.bool)
            return Features((Level(cut, valid, torch.zeros(*cut.shape[:2], 1)),))

    windows = corpus("synthetic", 40, None)[:, None]
    found = band_decodability(Whole(), np.repeat(windows, 4, 0), 16)
    assert list(found) == ["approximation", "detail 3", "detail 2", "detail 1"]
    assert found["approximation"] > 0.9
    assert min(found.values()) > 0.3
