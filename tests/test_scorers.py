"""Scorers from settings."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters import SCORERS
from dsbuild.filters.score_rows import ScoreRows
from dsbuild.filters.scorers import option_names, scorers_of
from dsbuild.stage import Workspace, parameters


@pytest.mark.parametrize("group", SCORERS.names())
def test_what_may_be_set_of_each_is_a_field_of_it(group: str) -> None:
    names = option_names(group)
    assert "groups" not in names
    assert "data" not in names
    assert len(names) == len(set(names))


def test_groups_of_one_class_are_scored_in_one_pass() -> None:
    options = {"gopher": {"variant": "peer"}, "fineweb": {"min_lines": 2}, "length": {}}
    made = scorers_of(["gopher", "length", "fineweb"], options)
    assert list(made) == ["gopher+fineweb", "length"]
    both = made["gopher+fineweb"]
    assert (both.groups, both.variant, both.min_lines) == (("gopher", "fineweb"), "peer", 2)


def test_wrong_settings_are_one_line() -> None:
    with pytest.raises(RecipeError, match="there are unicode and peer"):
        scorers_of(["gopher"], {"gopher": {"variant": "quick"}})
    with pytest.raises(UnknownName, match="Did you mean 'gopher'"):
        scorers_of(["gophr"], {"gophr": {}})


def test_what_scores_enters_the_key_and_its_columns_come_last() -> None:
    stage = ScoreRows.of(scorers_of(["length"], {"length": {}}))
    other = ScoreRows.of(scorers_of(["length", "c4"], {"length": {}, "c4": {}}))
    assert parameters(stage) != parameters(other)
    rows = pa.table({"doc_id": ["a"], "text": ["two words"], "lang": ["en"]})
    (shard,) = stage.run({"rows": rows}, Workspace.__new__(Workspace)).outputs["out"]
    assert shard.table.column_names[:3] == ["doc_id", "text", "lang"]
    assert shard.table["length_letters"].to_pylist() == [8]
