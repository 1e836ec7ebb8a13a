"""Augmentations keep places, gaps and strength, draw by series, and refuse what has no meaning."""

import dataclasses

import pytest
import torch

from builders import generator, make_grid, make_tokens
from caesura.errors import RecipeError
from caesura.signal.grid_views import bridged
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import CropConfig, crop_time, draw_view, several_views, stretched
from caesura.types import Grid

GRID_KINDS = ["jitter", "crop", "time_mask", "frequency_mask", "scale", "dwt", "dwt_soft",
              "dwt_high", "dwt_band_scale", "dwt_low_pass"]  # fmt: skip
TOKEN_KINDS = ["jitter", "crop", "time_mask", "scale", "drop", "channel_drop"]
INDEX = torch.tensor([5, 9, 2])


def series(kind):
    return make_grid((96, 96, 96)) if kind == "grid" else make_tokens((20, 14, 9))


def cases():
    return [("grid", k) for k in GRID_KINDS] + [("tokens", k) for k in TOKEN_KINDS]


@pytest.mark.parametrize(("form", "kind"), cases())
def test_a_view_differs_and_its_clean_side_has_the_same_places(form, kind):
    inputs = series(form)
    copy = {f.name: getattr(inputs, f.name) for f in dataclasses.fields(inputs)}
    copy = {k: v.clone() for k, v in copy.items() if isinstance(v, torch.Tensor)}
    seen, clean = draw_view(inputs, INDEX, generator(1), ViewConfig(kind=kind))
    assert seen.values.shape == clean.values.shape
    assert not torch.equal(seen.values, inputs.values)
    assert (seen.values[~seen.observed] == 0).all()
    assert seen.values.isfinite().all()
    if kind != "crop":
        assert clean is inputs
        assert not (seen.observed & ~clean.observed).any()
    for name, old in copy.items():
        assert torch.equal(getattr(inputs, name), old)


@pytest.mark.parametrize(("form", "kind"), [c for c in cases() if c[1] != "crop"])
def test_a_series_has_the_same_view_in_any_company(form, kind):
    inputs = series(form)
    alone = type(inputs)(**{
        f.name: x[1:2] if isinstance(x := getattr(inputs, f.name), torch.Tensor) else x
        for f in dataclasses.fields(inputs)
    })  # fmt: skip
    config = ViewConfig(kind=kind)
    together = draw_view(inputs, INDEX, generator(1), config).seen
    by_itself = draw_view(alone, INDEX[1:2], generator(1), config).seen
    torch.testing.assert_close(by_itself.values[0], together.values[1], atol=1e-5, rtol=1e-4)


def test_jitter_has_the_strength_of_the_wavelet_view():
    walk = torch.randn(400, 1, 336, generator=generator(0)).cumsum(-1)
    grid = Grid(walk, torch.ones_like(walk, dtype=torch.bool))
    gaps = []
    for kind in ("jitter", "dwt"):
        seen = draw_view(grid, torch.arange(400), generator(3), ViewConfig(kind=kind)).seen
        gaps.append(float((seen.values - walk).square().mean(-1).sqrt().mean()))
    assert gaps[0] == pytest.approx(gaps[1], rel=0.1)  # other draws of the same law


def test_low_pass_leaves_a_slow_wave_and_removes_a_fast_one():
    t = torch.arange(256.0)
    slow, fast = torch.sin(t / 40), torch.sin(2.5 * t)
    grid = Grid((slow + fast)[None, None], torch.ones(1, 1, 256, dtype=torch.bool))
    seen = draw_view(grid, INDEX[:1], generator(0), ViewConfig(kind="dwt_low_pass")).seen
    inner = slice(20, 236)
    assert (seen.values[0, 0, inner] - slow[inner]).abs().max() < 0.05


def test_strengths_of_the_wavelet_views_are_those_measured_for_the_paper():
    """Mean correlation to the original, 336 steps: soft .995 on walks and .853 on white noise."""
    for make, expected in ((lambda x: x.cumsum(-1), 0.995), (lambda x: x, 0.853)):
        values = make(torch.randn(200, 1, 336, generator=generator(0)))
        values = (values - values.mean(-1, keepdim=True)) / values.std(-1, keepdim=True)
        grid = Grid(values, torch.ones_like(values, dtype=torch.bool))
        seen = draw_view(grid, torch.arange(200), generator(1), ViewConfig(kind="dwt_soft")).seen
        found = torch.cosine_similarity(seen.values[:, 0], values[:, 0], dim=-1).mean()
        assert float(found) == pytest.approx(expected, abs=0.01)


def test_crops_are_contiguous_parts_of_the_share_asked_for():
    for form in ("grid", "tokens"):
        inputs = series(form)
        part = crop_time(inputs, INDEX, generator(2), 0.5, 0.5)
        if form == "grid":
            assert part.values.shape[-1] == 48
            whole, cut = inputs.values[0, 0], part.values[0, 0]
            starts = [s for s in range(49) if torch.equal(whole[s : s + 48], cut)]
            assert len(starts) == 1
        else:
            assert part.valid.sum(1).tolist() == [10, 7, 5]
            time = inputs.positions[0, :20, 0].sort().values
            kept = part.positions[0, part.valid[0], 0]
            inside = (time >= kept.min()) & (time <= kept.max())
            assert int(inside.sum()) == 10


def test_a_stretched_crop_of_a_line_is_a_line():
    line = Grid(torch.arange(11.0)[None, None], torch.ones(1, 1, 11, dtype=torch.bool))
    torch.testing.assert_close(stretched(line, 21).values[0, 0], torch.arange(21.0) / 2)


def test_gaps_are_bridged_by_lines_and_ends_held():
    values = torch.tensor([[[0.0, 1.0, 0.0, 0.0, 4.0, 0.0]]])
    grid = Grid(values, torch.tensor([[[False, True, False, False, True, False]]]))
    torch.testing.assert_close(bridged(grid)[0, 0], torch.tensor([1.0, 1, 2, 3, 4, 4]))


def test_several_views_are_global_then_local():
    crops = CropConfig(global_views=2, local_views=3)
    views = several_views(series("grid"), INDEX, generator(0), crops, ViewConfig())
    lengths = [view.values.shape[-1] for view in views]
    assert all(length >= 48 for length in lengths[:2])
    assert all(20 <= length <= 48 for length in lengths[2:])


def test_what_has_no_meaning_is_refused_with_its_reason():
    with pytest.raises(RecipeError, match="'dwt' needs regular sampling: a filter over"):
        draw_view(series("tokens"), INDEX, generator(0), ViewConfig(kind="dwt"))
    with pytest.raises(RecipeError, match="choose time_mask"):
        draw_view(series("grid"), INDEX, generator(0), ViewConfig(kind="drop"))
    with pytest.raises(RecipeError, match="unknown wavelet 'db77'"):
        draw_view(series("grid"), INDEX, generator(0), ViewConfig(kind="dwt", wavelet="db77"))
    with pytest.raises(ValueError, match="in order"):
        CropConfig(global_share=(0.9, 0.5))
