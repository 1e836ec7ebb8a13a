"""Series that never change, or have one observation, and windows of a few steps."""

import logging

import numpy as np
import pyarrow as pa
import pytest
import torch

import caesura
from caesura.errors import DataError, RecipeError
from caesura.recipes.presets import PRESETS

TINY = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "training.threads=1")
TOKENS = ("romae", "mae", "next-patch", "denoise", "jepa", "lejepa", "dino", "vicreg")


def table(steps, value):
    return pa.table(
        {
            "id": np.repeat(np.arange(12), steps),
            "time": np.tile(np.arange(steps) * 1.0, 12),
            "value": np.broadcast_to(value, (12, steps)).ravel().astype(float),
        }
    )


def test_all_recipes_of_tokens_are_tested():
    sizes = {"romae-tiny", "romae-small", "romae-base"}
    grids = {"himae", "himae-small", "timemar", "timemar-large"}
    assert set(PRESETS) == set(TOKENS) | sizes | grids


@pytest.mark.parametrize("recipe", TOKENS)
@pytest.mark.parametrize("value", [np.arange(12)[:, None], 0.1], ids=["levels", "same"])
def test_series_that_never_change_train(recipe, value):
    data = table(8, value)
    run = caesura.pretrain(data, recipe, steps=1, settings=TINY)
    assert run.recipe.encoder.relative_scale == 0
    assert np.isfinite(run.embed(data)).all()


@pytest.mark.parametrize("recipe", TOKENS)
def test_single_observations_train_or_say_why(recipe):
    data = table(1, np.arange(12)[:, None])
    if recipe in ("lejepa", "dino", "vicreg"):
        run = caesura.pretrain(data, recipe, steps=1, settings=TINY)
        assert np.isfinite(run.embed(data)).all()
        return
    with pytest.raises(DataError, match="each of 10 series has a single observation"):
        caesura.pretrain(data, recipe, steps=1, settings=TINY)


def waves(window):
    rng = np.random.default_rng(0)
    return [np.sin(np.arange(64) / 3 + i)[None] + rng.normal(0, 0.1, (1, 64)) for i in range(9)]


@pytest.mark.parametrize("window", [2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("recipe", ["himae", "himae-small"])
def test_short_windows_have_levels_that_fit_and_finite_gradients(recipe, window, monkeypatch):
    norms, clip = [], torch.nn.utils.clip_grad_norm_

    def watched(*args):
        norms.append(float(clip(*args)))
        return torch.tensor(norms[-1])

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    settings = ["data.rate=1", f"data.window={window}", "training.threads=1"]
    run = caesura.pretrain(waves(window), recipe, steps=2, settings=settings)
    assert max(norms) < 1e3
    widths = run.recipe.encoder.widths
    assert len(widths) == min(len(PRESETS[recipe]()["encoder"]["widths"]), window.bit_length() - 1)
    assert np.isfinite(run.embed(waves(window))).all()


def test_a_window_of_one_patch_is_refused():
    for settings in (["data.rate=1", "data.window=1"], ["data.rate=100", "data.window=0.04"]):
        with pytest.raises(RecipeError, match="choose --window of"):
            caesura.pretrain(waves(1), "himae", steps=1, settings=settings)


@pytest.mark.parametrize("recipe", ["mae", "next-patch", "denoise", "jepa"])
@pytest.mark.parametrize("window", [2, 16, 31])
def test_patches_are_shorter_in_short_windows(recipe, window, caplog):
    settings = [*TINY, "data.rate=1", f"data.window={window}"]
    with caplog.at_level(logging.WARNING, "caesura"):
        run = caesura.pretrain(waves(window), recipe, steps=1, settings=settings)
    assert run.recipe.encoder.patch == max(1, window // 4)
    assert f"patches are of {max(1, window // 4)}" in caplog.text
    assert run.metrics["validation_loss"] > 0
