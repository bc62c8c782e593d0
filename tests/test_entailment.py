"""The entailment scorer: what the lexical baseline goes by, and what it refuses."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dsbuild.errors import SourceError
from dsbuild.filters.entailment import Entailment

TEXT = "Ada Winter was born in Larchmont and studied law. Many years later her cousin David Osei moved to Brindle on the coast."


def score(
    subject: str | None, relation: str | None, object_: str | None, text: str | None = TEXT, lang: str = "en"
) -> float | None:
    return Entailment().scores([(subject, relation, object_, text)], [lang])[0]


def test_a_stated_triple_scores_above_others() -> None:
    stated = score("Ada Winter", "born in", "Larchmont")
    far = score("Ada Winter", "born in", "Brindle")
    other = score("Ada Winter", "employer", "Larchmont")
    absent = score("Ada Winter", "born in", "Paris")
    assert stated is not None
    assert far is not None
    assert other is not None
    assert stated > other > 0
    assert stated > far > 0
    assert absent == 0.0


def test_part_of_a_name_counts_as_part() -> None:
    whole, part = score("David Osei", "moved to", "Brindle"), score("David Mensah Osei", "moved to", "Brindle")
    assert whole is not None
    assert part is not None
    assert 0 < part < whole


def test_forms_of_a_word_are_one_word() -> None:
    text = "Die Bundesministerin besuchte die Universitäten in Köln."
    assert score("Bundesminister", "besuchen", "Universität", text, "de") == score(
        "Bundesministerin", "besuchen", "Universitäten", text, "de"
    )


def test_relations_as_data_sets_write_them() -> None:
    text = "Ada Winter's city of birth is Larchmont."
    assert score("Ada Winter", "per:city_of_birth", "Larchmont", text) == score(
        "Ada Winter", "city of birth", "Larchmont", text
    )


@pytest.mark.parametrize(
    ("text", "subject", "object_"),
    [
        ("阿达出生在上海，后来搬到北京。", "阿达", "上海"),
        ("अनीता का जन्म पुणे में हुआ।", "अनीता", "पुणे"),
        ("ولدت آدا في القاهرة.", "آدا", "القاهرة"),
    ],
)
def test_scripts(text: str, subject: str, object_: str) -> None:
    found = score(subject, "x", object_, text, {"阿": "zh-Hans", "अ": "hi"}.get(text[0], "ar"))
    assert found is not None
    assert found > 0.3


@pytest.mark.parametrize(
    "missing", [(None, "r", "o", "t"), ("s", "", "o", "t"), ("s", "r", " ", "t"), ("s", "r", "o", None)]
)
def test_a_missing_part_has_no_score(missing: tuple[str | None, ...]) -> None:
    assert score(*missing) is None


def test_columns() -> None:
    rows = pa.table(
        {"subject": ["Ada Winter"], "relation": ["born in"], "object": ["Larchmont"], "text": [TEXT], "lang": ["en"]}
    )
    assert Entailment().score_rows(rows)["entailment_score"].to_pylist() == [
        score("Ada Winter", "born in", "Larchmont")
    ]
    renamed = rows.rename_columns(["head", "relation", "object", "text", "lang"])
    assert Entailment(subject="head").score_rows(renamed)["entailment_score"].null_count == 0
    with pytest.raises(SourceError, match="no column 'subject'"):
        Entailment().score_rows(renamed)
    with pytest.raises(SourceError, match="a part of a triple is a text"):
        Entailment().score_rows(rows.set_column(0, "subject", pa.array([1])))


@pytest.mark.parametrize("template", ["{subject} {predicate}", "says nothing", "{subject"])
def test_templates(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        Entailment(template=template)
