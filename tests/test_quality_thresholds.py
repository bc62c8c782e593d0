"""Shipped thresholds: the rules' files, FineWeb-2's values and their clamps, and what a language borrows."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsbuild import languages
from dsbuild.filters import c4, quality
from dsbuild.filters import quality_thresholds as shipped

RULES = Path(shipped.__file__).parent / "rules"
PROFILES = {"document", "sentence", "query", "pair"}


def _rules(group: str) -> list[dict[str, Any]]:
    return yaml.safe_load((RULES / f"{group}.yaml").read_text("utf-8"))["rules"]


@pytest.mark.parametrize("group", [*quality.GROUPS, "c4"])
def test_every_rule_is_of_a_column_and_every_column_has_a_rule(group: str) -> None:
    rules = _rules(group)
    columns = {**quality.COLUMNS, **c4.COLUMNS}
    assert {rule["column"] for rule in rules} <= {name for name in columns if name.startswith(f"{group}_")}
    assert {rule["column"] for rule in rules} == {name for name in columns if name.startswith(f"{group}_")}
    assert len({rule["key"] for rule in rules}) == len({rule["name"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"name", "key", "column", "op", "value", "action", "by_profile", "by_lang", "source"}
        assert rule["op"] in ("<", ">")
        assert rule["action"] in ("drop", "flag")
        assert set(rule.get("by_profile", {})) <= PROFILES


def test_all_settings_are_keys_of_rules() -> None:
    keys = {f"{group}.{rule['key']}" for group in quality.GROUPS for rule in _rules(group)}
    assert set(shipped.SETTINGS.values()) <= keys


def test_values_are_those_of_the_configurations() -> None:
    hindi = shipped.fineweb2("hi")
    assert hindi["repetition.max_dup_lines"] == shipped.Threshold(0.206, "fineweb2:hin_Deva")
    assert [hindi[f"repetition.max_top_{n}gram"].value for n in (2, 3, 4)] == [0.208, 0.198, 0.161]
    assert (hindi["gopher.min_mean_word_length"].value, hindi["gopher.max_mean_word_length"].value) == (2, 21)
    assert hindi["language.min_score"].value == 0.692
    assert shipped.fineweb2("zh-Hant") == shipped.fineweb2("zh-Hans")
    assert shipped.fineweb2("en") == shipped.fineweb2("und") == {}


def test_outliers_are_clamped_and_say_so() -> None:
    telugu, sindhi, hausa = (shipped.fineweb2(lang) for lang in ("te", "sd", "ha"))
    assert telugu["gopher.max_mean_word_length"] == shipped.Threshold(25, "fineweb2:tel_Telu clamped")
    assert sindhi["fineweb.max_newline_ratio"] == shipped.Threshold(0.6, "fineweb2:snd_Arab clamped")
    assert hausa["repetition.max_top_4gram"] == shipped.Threshold(0.32, "fineweb2:hau_Latn clamped")
    assert shipped.fineweb2("brx")["fineweb.min_terminal_lines"] == shipped.Threshold(shipped.OFF, "fineweb2:brx_Deva")


def test_the_table_is_whole() -> None:
    lines = [line for line in (RULES / "fineweb2.tsv").read_text("utf-8").splitlines() if not line.startswith("#")]
    codes = [line.split("\t")[0] for line in lines[3:]]
    assert len(codes) == len(set(codes)) >= 45
    for code in codes:
        assert languages.get(code).code == code
        assert all(-1 <= threshold.value <= 25 for threshold in shipped.fineweb2(code).values())


def test_borrowing_is_a_median_over_script_then_family() -> None:
    key = "gopher.min_alpha_words"
    cyrillic = [shipped.fineweb2(code)[key].value for code in ("ru", "uk", "bg")]
    assert shipped.borrowed("be", key) == shipped.Threshold(statistics.median(cyrillic), "script:Cyrl")
    family = shipped.borrowed("ta", key)
    assert family is not None
    assert family.source == "family:dravidian"
    assert shipped.borrowed("xx", key) is None
    assert shipped.borrowed("chr", key) is None
