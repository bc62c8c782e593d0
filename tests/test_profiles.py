"""Profiles and rules as data: where a threshold comes from, and which goes before which."""

from __future__ import annotations

import pytest
import yaml

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters import FILTERS, profiles
from dsbuild.filters.profiles import group_rules, profile, profile_names, rules_for, split_settings


def found(
    key: str, profile_name: str = "document", lang: str = "en", thresholds: str = "default", **said: float
) -> tuple[float | None, str]:
    group, name = key.split(".")
    rules = {
        rule.name: rule for rule in rules_for([group], profile_name, lang, {group: said} if said else {}, thresholds)
    }
    wanted = next(one.rule.name for one in group_rules(group) if one.rule.key == name)
    return (rules[wanted].value, rules[wanted].source) if wanted in rules else (None, "off")


def test_every_profile_names_filters_that_there_are() -> None:
    assert profile_names() == ["document", "sentence", "query", "pair", "triple"]
    for name in profile_names():
        assert set(profile(name).groups) <= set(FILTERS.names())
    with pytest.raises(UnknownName, match="Did you mean 'document'"):
        profile("docment")


@pytest.mark.parametrize("group", profiles.groups_with_rules())
def test_rule_files_are_sound(group: str) -> None:
    rules = [one.rule for one in group_rules(group)]
    assert rules
    assert len({(rule.name, rule.column, rule.op) for rule in rules}) == len(rules)
    # One setting may bound both sides of a pair, under one name.
    named = {(rule.key, rule.name) for rule in rules if rule.key}
    assert len(named) == len({key for key, _ in named})
    for one in group_rules(group):
        assert one.rule.name.startswith(f"{group}.")
        assert one.rule.op in (">", ">=", "<", "abs>", "is")
        assert one.rule.action in ("drop", "flag")
        assert set(one.by_profile) <= set(profile_names())


def test_precedence_of_thresholds() -> None:
    raw = yaml.safe_load((profiles._RULES / "gopher.yaml").read_text("utf-8"))["rules"]
    short = next(rule for rule in raw if rule["key"] == "min_words")
    assert found("gopher.min_words") == (short["value"], "gopher")
    assert found("gopher.min_words", "sentence") == (short["by_profile"]["sentence"], "profile:sentence")
    assert found("gopher.min_words", min_words=7) == (7.0, "user")
    value, source = found("gopher.max_mean_word_length", lang="ta", thresholds="fineweb2")
    assert source.startswith("fineweb2:tam_Taml")
    assert value != found("gopher.max_mean_word_length", lang="ta")[0]
    assert found("gopher.max_mean_word_length", lang="ta", thresholds="fineweb2", max_mean_word_length=3) == (
        3.0,
        "user",
    )


def test_a_rule_that_is_off_stays_off_until_it_is_set() -> None:
    assert found("length.max_characters") == (None, "off")
    assert found("length.max_characters", max_characters=10) == (10.0, "user")


def test_settings_are_options_or_thresholds_or_wrong() -> None:
    assert split_settings("gopher", {"min_words": 3, "variant": "peer"}, ["variant"]) == (
        {"variant": "peer"},
        {"min_words": 3},
    )
    with pytest.raises(UnknownName, match=r"Did you mean 'gopher\.min_words'"):
        split_settings("gopher", {"min_word": 3}, ["variant"])
    with pytest.raises(RecipeError, match="is a number"):
        split_settings("gopher", {"min_words": "few"}, ["variant"])
