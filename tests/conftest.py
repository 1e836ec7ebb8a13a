"""Shapes written in signatures are checked while tests run (jaxtyping with beartype)."""

import sys
from pathlib import Path

from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent / "contracts"))
CHECKED = ["nn", "signal", "encoders", "decoders", "objectives"]
install_import_hook([f"caesura.{part}" for part in CHECKED], "beartype.beartype")
