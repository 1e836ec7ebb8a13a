"""Rules of the house that a reader of the code would otherwise have to check."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = "src/caesura/training/inference.py"
WITHOUT_GRADIENTS = {"inference_mode", "no_grad", "set_grad_enabled"}
OWN_INFERENCE = {
    ENGINE: "the engine",
    "src/caesura/training/loop.py": "measures the validation loss of an objective",
    "src/caesura/training/state.py": "leaves the best weights in evaluation",
    "src/caesura/recipes/parts.py": "loads in evaluation",
    "src/caesura/tasks/finetune.py": "sets the biases of a head",
    "src/caesura/tasks/recalibrate.py": "estimates batch statistics, in training mode",
    "src/caesura/tasks/budget.py": "counts the tokens of a training step, in training mode",
    "src/caesura/tasks/channel_basis.py": "sets a parameter",
    "src/caesura/tasks/critics.py": "trains and asks judges that are no model of ours",
}
"""Files of tasks, study and above that evaluate by themselves, and why."""
BLOCKS = {
    ENGINE: "the engine",
    "src/caesura/tasks/impute.py": "one pass through all parts of a generator",
    "src/caesura/tasks/reach.py": "one blank window",
    "src/caesura/tasks/residual.py": "fits the noise on the device, from all windows at once",
    "src/caesura/reproduce/romae/invariance.py": "one batch, at several shifts",
    "benchmarks/edge.py": "times one call",
}
"""Files that open the engine's block themselves, without a loop over batches."""
MATHEMATICS = ("nn", "signal", "objectives", "encoders", "decoders", "export")
"""Folders where a formula stops a gradient, or a graph is traced."""


@cache
def sources():
    """Return the paths and trees of all that is no mathematics."""
    return list(_sources())


def _sources():
    for folder in ("src/caesura", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.relative_to(ROOT).parts[2:3] not in [(name,) for name in MATHEMATICS]:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def evaluates(tree):
    """Yield the lines that leave out gradients or put a module into evaluation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in WITHOUT_GRADIENTS:
            yield node.lineno
        call = node.func if isinstance(node, ast.Call) else None
        if isinstance(call, ast.Attribute) and call.attr == "eval" and not node.args:
            yield node.lineno


def blocks(tree):
    """Yield each block of the engine that is opened."""
    for node in ast.walk(tree):
        for item in getattr(node, "items", []) if isinstance(node, ast.With) else []:
            call = item.context_expr
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "evaluating":
                yield node


def test_the_engine_alone_evaluates_models():
    found = {path for path, tree in sources() if any(evaluates(tree))}
    peers = {path for path in found if path.startswith("benchmarks/")}  # time others' models
    assert found - peers - set(OWN_INFERENCE) == set()


def test_a_block_of_the_engine_holds_no_loop_over_batches():
    opened = {path: list(blocks(tree)) for path, tree in sources()}
    assert {path for path, found in opened.items() if found} - set(BLOCKS) == set()
    for path in ("src/caesura/tasks/impute.py", "benchmarks/edge.py"):
        assert not [n for block in opened[path] for n in ast.walk(block) if isinstance(n, ast.For)]


@pytest.mark.parametrize(
    "code",
    [
        "with torch.no_grad():\n    model(x)",
        "@torch.inference_mode()\ndef f(): ...",
        "model.eval()",
    ],
)
def test_a_loop_of_ones_own_is_found(code):
    assert list(evaluates(ast.parse(code))) == [1]
