"""A window's shape follows from its samples."""

import pytest

from caesura.nn.quantise import QuantiserConfig, geometric_scales
from caesura.recipes import timemar


@pytest.mark.parametrize(
    ("window", "most"),
    # 65 samples are 17 places, whose last two scales have 16 and 17
    [(24, 0.6), (64, 0.6), (65, 0.75), (96, 0.6), (128, 0.6), (256, 0.6)],
)
def test_longer_windows_have_as_many_more_codes(window, most):
    places = -(-window // 2 ** timemar.shape_of(window)["halvings"])
    codes = sum(geometric_scales(places, QuantiserConfig().ratio))
    assert 0.45 <= codes / window <= most


def test_places_of_irregular_windows_hold_more_steps_as_few_are_measured():
    halvings = {
        binned: [timemar.shape_of(window, binned)["halvings"] for window in (64, 65, 256, 257)]
        for binned in (False, True)
    }
    assert halvings == {False: [2, 2, 2, 3], True: [2, 3, 3, 3]}
