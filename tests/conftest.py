"""Shapes written in signatures are checked while tests run (jaxtyping with beartype)."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "contracts")]
# a busy machine must not fail a property by the clock
settings.register_profile("caesura", deadline=None)
settings.load_profile("caesura")
CHECKED = ["nn", "signal", "encoders", "decoders", "objectives"]
install_import_hook([f"caesura.{part}" for part in CHECKED], "beartype.beartype")


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
