"""The package itself: names that stay, a cheap import, files of one subject."""

import subprocess
import sys
from pathlib import Path

import caesura

SOURCE = Path(caesura.__file__).parent


def test_public_names_load():
    for name in caesura.__all__:
        assert getattr(caesura, name) is not None
    from caesura.recipes import himae, romae
    from caesura.types import Batch, Features, Grid, Level, Tokens

    assert all((Batch, Features, Grid, Level, Tokens, romae.encoder, romae.objective))
    assert all((himae.encoder, himae.objective))


def test_import_is_lazy():
    code = "import sys, caesura, caesura.types; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"lightning_fabric", "pandas", "pyarrow", "sklearn", "matplotlib"}


def test_files_and_functions_stay_small():
    import ast

    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and "cli" not in path.parts:
                body = node.body[-1].end_lineno - node.body[0].end_lineno
                assert body <= 60, (path, node.name)


def test_bundled_data_have_their_attribution():
    from caesura.data.bundled import bundled

    folder = bundled("physionet2012.parquet").parent
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    assert size < 1_500_000
    text = (folder / "ATTRIBUTION.md").read_text()
    assert "ODC-BY 1.0" in text
    assert "Not for clinical use" in text
