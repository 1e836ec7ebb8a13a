"""Shapes written in signatures are checked while tests run (jaxtyping with beartype)."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / name) for name in ("", "contracts", "data", "training")]
# a busy machine must not fail a property by the clock
settings.register_profile("caesura", deadline=None)
settings.load_profile("caesura")
_CACHE = tempfile.TemporaryDirectory(prefix="caesura-cache-")
os.environ["CAESURA_CACHE"] = _CACHE.name  # derived files of tests, children's too
CHECKED = ["nn", "signal", "encoders", "decoders", "objectives"]
install_import_hook([f"caesura.{part}" for part in CHECKED], "beartype.beartype")


def pytest_collection_modifyitems(items):
    """Begin with the longest file: several processes end together then."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A tiny pre-trained run on disk, and the file of its data."""
    import pyarrow.parquet as pq

    from builders import long_table, tiny_run

    folder = tmp_path_factory.mktemp("shared")
    data = folder / "data.parquet"
    pq.write_table(long_table(), data)
    tiny_run(folder / "run", table=str(data), steps=40)
    return folder / "run"
