"""Inner folds: by group where groups allow it, and whatever classes are there."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from caesura.cli.use import carrier_in_words
from caesura.data.labels import Labels
from caesura.data.schema import Target
from caesura.errors import DataError
from caesura.tasks.probe import CHOSEN, NAMED_IN, SURE, inner_folds, probe


def labels(values, classes="abc"):
    target = Target(task="classification", names=("y",), classes=tuple(classes))
    return Labels(np.arange(len(values)), np.array(values), target)


def test_groups_are_kept_whole_where_each_has_every_class():
    values, groups = [0, 1] * 12, np.arange(24) // 4
    for train, test in inner_folds(labels(values, "ab"), groups, 0):
        assert not set(groups[train]) & set(groups[test])


def test_a_class_of_one_group_falls_back_to_single_series():
    values = [0, 1] * 9 + [2] * 6
    groups = np.concatenate([np.arange(18) // 3, np.full(6, 9)])
    for train, test in inner_folds(labels(values), groups, 0):
        assert set(np.array(values)[train]) == {0, 1, 2}
        assert set(np.array(values)[test]) == {0, 1, 2}


def test_a_class_that_is_absent_is_no_error():
    cuts = inner_folds(labels([0, 2] * 9), np.arange(18) // 3, 0)
    assert sorted(np.concatenate([test for _, test in cuts])) == list(range(18))


@pytest.mark.parametrize(("names", "said"), [
    ({CHOSEN: "level 2", SURE: "level 2", NAMED_IN: "3 of 5 folds"}, "carried by level 2"),
    ({CHOSEN: "level 2", NAMED_IN: "2 of 5 folds"}, r"no level .*level 2 in 2 of 5 folds"),
])  # fmt: skip
def test_a_level_of_few_folds_is_not_said_to_carry_a_label(names, said):
    assert re.search(said, carrier_in_words(names))


@pytest.mark.parametrize(("name", "advice"), [("c", "drop or --rare other"), ("other", "drop, or")])
def test_too_few_of_a_class_is_said_before_anything_is_embedded(name, advice):
    """A store that cannot be embedded, and the advice to join what is joined already."""
    store = SimpleNamespace(take=lambda series: SimpleNamespace(group_codes=np.arange(22)))
    with pytest.raises(DataError, match=f"'{name}' has 2 labelled.*Pass --rare {advice}"):
        probe(None, store, labels([0, 1] * 10 + [2] * 2, ("a", "b", name)))
