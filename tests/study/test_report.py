"""The report stands alone, escapes what it shows, and says who won in words."""

import numpy as np
import pytest

from caesura.metrics.bootstrap import Interval
from caesura.study.demo_report import in_words
from caesura.study.figures import bars, interpolated_series, loss_curves
from caesura.study.report import Section, Table, write_report


@pytest.mark.parametrize(
    ("gap", "higher", "verdict"),
    [
        ((0.1, 0.02, 0.2), True, "A against B: A is better"),
        ((0.1, 0.02, 0.2), False, "A against B: B is better"),
        ((-0.1, -0.2, -0.02), True, "A against B: B is better"),
        ((-0.1, -0.2, -0.02), False, "A against B: A is better"),
        ((0.1, -0.02, 0.2), True, "A against B: undecided"),
    ],
)
def test_words_follow_the_interval_whoever_wins(gap, higher, verdict):
    text = in_words("A", "B", Interval(*gap), higher_is_better=higher)
    assert text.startswith(verdict)
    assert ("holds 0" in text) == ("undecided" in verdict)


def test_the_page_needs_nothing_else_and_escapes_names(tmp_path):
    panel = {"variable": "HR", "hours": np.arange(3.0), "value": np.ones(3), "lower": np.zeros(3),
             "upper": np.full(3, 2.0), "seen": [(0.0, 1.0)], "hidden": [(1.0, 1.5)]}  # fmt: skip
    rows = [{"step": 1, "train_loss": 1.0, "validation_loss": 0.9}]
    figures = [(bars({"a": 1.0}, "x"), "1"), (loss_curves([rows]), "2"),
               (interpolated_series([panel], "h"), "3")]  # fmt: skip
    table = Table([{"name": "<script>", "value": 0.5}], "t", frozenset({(0, "value")}))
    path = tmp_path / "report.html"
    write_report(path, "T & T", "lead", [Section("S", ["p"], figures, [table])])
    page = path.read_text()
    assert "&lt;script&gt;" in page
    assert "T &amp; T" in page
    assert page.count("<svg") == 3
    assert 'class="n b"' in page
    for foreign in ("<script", "<link", 'src="', "@import"):
        assert foreign not in page
