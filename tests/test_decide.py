"""Thresholds and decisions."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.decide import Rule, decide, load_thresholds

RULES = [
    Rule("empty", "empty", "is", None, "drop", ("corpus",)),
    Rule("loop", "loop", ">", 0.2, "drop", ("corpus",)),
    Rule("length", "length_z", "abs>", 3.0, "drop", ("corpus",)),
    Rule("language", "language", "<", 0.1, "flag", ("corpus",)),
    Rule("absent", "no such column", ">", 0.0, "drop", ("corpus",)),
]


def test_decide_records_every_failed_rule() -> None:
    table = pa.table(
        {
            "empty": pa.array([False, True, None, False]),
            "loop": pa.array([0.2, 0.9, None, 0.1]),
            "length_z": pa.array([0.0, -3.5, 3.0, None], pa.float64()),
            "language": pa.array([0.5, None, 0.0, 0.1], pa.float32()),
        }
    )
    decision = decide(table, RULES)
    assert decision.keep.to_pylist() == [True, False, True, True]
    found = [(one.index, one.rule, one.value, one.primary) for one in decision.verdicts]
    assert found == [
        (1, "empty", 1.0, True),
        (1, "loop", 0.9, False),
        (1, "length", -3.5, False),
        (2, "language", 0.0, True),
    ]
    assert [(one.op, one.threshold, one.action) for one in decision.verdicts][2:] == [
        ("abs>", 3.0, "drop"),
        ("<", 0.1, "flag"),
    ]


def test_nothing_to_decide() -> None:
    assert decide(pa.table({"x": [1.0]}), []).keep.to_pylist() == [True]
    assert decide(pa.table({"loop": pa.array([], pa.float64())}), RULES).verdicts == ()


@given(st.lists(st.tuples(*[st.none() | st.floats(-5, 5)] * 2), max_size=20))
def test_decisions_can_be_told_from_the_stored_values(rows: list[tuple[float | None, float | None]]) -> None:
    table = pa.table(
        {
            "loop": pa.array([row[0] for row in rows], pa.float64()),
            "length_z": pa.array([row[1] for row in rows], pa.float64()),
        }
    )
    decision = decide(table, RULES)
    for index, (loop, z) in enumerate(rows):
        expected = [
            name
            for name, failed in (("loop", loop is not None and loop > 0.2), ("length", z is not None and abs(z) > 3))
            if failed
        ]
        found = [one for one in decision.verdicts if one.index == index]
        assert [one.rule for one in found] == expected
        assert [one.primary for one in found] == [True, False][: len(found)]
        assert decision.keep[index].as_py() is not bool(expected)


def test_default_thresholds() -> None:
    rules = {rule.name: rule for rule in load_thresholds(tgt="hi")}
    assert rules["empty"].op == "is"
    assert "logprob" not in rules, "off until it is set"
    assert all(rule.source == "default" for rule in rules.values())
    assert rules["length_ratio"].value == 3.0
    assert {rule.action for rule in rules.values()} == {"drop", "flag"}
    assert all("corpus" in rule.tables and "queries" in rule.tables for rule in rules.values())
    assert rules["unrelated"].value != next(
        rule.value for rule in load_thresholds(tgt="fr") if rule.name == "unrelated"
    )


def test_settings() -> None:
    rules = {
        rule.name: rule for rule in load_thresholds({"bitext.max_length_ratio": 2, "min_logprob": "-1.5"}, tgt="hi")
    }
    assert (rules["length_ratio"].value, rules["length_ratio"].source) == (2.0, "user")
    assert rules["logprob"].value == -1.5
    assert load_thresholds({"max_copy_share": 0.9})


def test_bounds_of_the_prior_are_not_widened() -> None:
    with pytest.raises(RecipeError, match="prior's bound 3"):
        load_thresholds({"bitext.max_length_ratio": 4})
    assert (
        next(rule for rule in load_thresholds({"max_length_ratio": 4}, force=True) if rule.name == "length_ratio").value
        == 4
    )


@pytest.mark.parametrize("value", ["much", True, float("nan"), float("inf"), [1]])
def test_a_threshold_is_a_number(value: object) -> None:
    with pytest.raises(RecipeError, match="a threshold is a number"):
        load_thresholds({"max_loop": value})


def test_null_turns_a_rule_off_but_no_bound_of_the_prior() -> None:
    assert "loop" not in [rule.name for rule in load_thresholds({"max_loop": None})]
    with pytest.raises(RecipeError, match="max_length_ratio=off is wider"):
        load_thresholds({"max_length_ratio": None})


def test_unknown_settings_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match="bitext.max_length_ratio"):
        load_thresholds({"bitext.max_lenght_ratio": 2})


def test_a_missing_term_flags_the_row() -> None:
    table = pa.table({"terms_missing": pa.array([0, 2, None], pa.int32())})
    decision = decide(table, load_thresholds())
    assert decision.keep.to_pylist() == [True, True, True]
    assert [(one.index, one.rule, one.action, one.value) for one in decision.verdicts] == [(1, "terms", "flag", 2.0)]
