"""The documentation's code runs, and its commands exist; `make docs` builds the site."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

from caesura.cli.main import app
from caesura.recipes.tables import OBJECTIVES
from caesura.types import Objective

DOCS = Path(__file__).parents[1] / "docs"
SKIPPED = {"decisions", "results"}
COMMANDS = typer.main.get_command(app)


def test_the_objective_of_the_page_trains():
    blocks = re.findall(
        r"```python\n(.*?)```", (DOCS / "add-an-objective.md").read_text(), re.DOTALL
    )
    rng = np.random.default_rng(0)
    names = {"series": [rng.standard_normal((2, n)) for n in range(9, 29)]}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"add-an-objective.md, block {number}", "exec"), names)
        assert "hidden_mean" in OBJECTIVES
    finally:
        OBJECTIVES.pop("hidden_mean", None)
    assert names["vectors"].shape[0] == 20
    assert len(blocks) == 3
    from test_tables import generator, make_batch, make_encoder

    objective = names["HiddenMean"](make_encoder(), names["HiddenMeanConfig"]())
    assert isinstance(objective, Objective)
    loss = objective(make_batch((9, 6, 4)), generator(0))
    loss.total.backward()
    grads = [p.grad for p in objective.parameters() if p.requires_grad]
    assert all(grad is not None for grad in grads)


def commands():
    for page in sorted(p for p in DOCS.rglob("*.md") if p.parent.name not in SKIPPED):
        text = page.read_text()
        cells = re.findall(r"```{code-cell}\n%%shell\n(.*?)```", text, re.DOTALL)
        for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) + cells:
            for line in block.replace("\\\n", " ").splitlines():
                found = re.search(r"caesura(?:\.cli\.main)?\s+(.*)", line)
                if found and not line.startswith("pip"):
                    yield page.name, re.split(r"\s[|>]", found[1])[0]


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_the_commands_of_the_pages_exist(page, line):
    words = [word for word in shlex.split(line, comments=True) if word != "--quiet"]
    command = COMMANDS
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, (page, line)
        command = command.commands[words.pop(0)]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, (page, line)


def test_every_page_is_in_the_site():
    listed = set(re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(), re.MULTILINE))
    pages = {str(p.relative_to(DOCS).with_suffix("")) for p in DOCS.rglob("*.md")}
    assert {page for page in pages if not page.startswith("decisions/")} == listed | {"index"}
