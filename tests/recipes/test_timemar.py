"""A window's shape follows from its samples."""

import pytest

from caesura.nn.quantise import geometric_scales
from caesura.recipes import timemar


@pytest.mark.parametrize("window", [24, 64, 96, 128, 256])
def test_longer_windows_have_as_many_more_codes(window):
    places = -(-window // 2 ** timemar.shape_of(window)["halvings"])
    codes = sum(geometric_scales(places, 2.0))
    assert 0.45 <= codes / window <= 0.6
