"""What a stage reads beside its inputs enters the keys of its units."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild import languages, sentences
from dsbuild.filters import data, funnel_rules
from dsbuild.filters.checks import CheckTranslations
from dsbuild.filters.decide_rows import DecideRows
from dsbuild.filters.identify import IdentifyRows
from dsbuild.filters.mask_pii import MaskPii
from dsbuild.filters.mend import MendMojibake
from dsbuild.filters.score_rows import ScoreRows
from dsbuild.stage import parameters
from dsbuild.translate.segments import SegmentRows


def test_data_files_and_versions_are_parameters() -> None:
    assert parameters(CheckTranslations("en", "hi"))["data"] == data.checks_digest()
    assert parameters(DecideRows("corpus", "hi", "doc_id"))["data"] == data.thresholds_digest()
    assert parameters(ScoreRows({}, {}))["data"] == data.scorers_digest()
    assert parameters(IdentifyRows())["data"] == data.checks_digest()
    assert parameters(MaskPii("corpus", "doc_id", ("text",)))["data"] == data.personal_digest()
    assert parameters(MendMojibake("corpus", "doc_id", ("text",)))["library"]
    assert parameters(SegmentRows("en", ("text",)))["rules"]


@pytest.mark.parametrize("name", [*data.CHECKS, *data.SCORERS, "thresholds.yaml"])
def test_a_changed_data_file_is_another_digest(name, tmp_path, monkeypatch) -> None:
    for path in data._FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes() + (b"x" if path.name == name else b""))
    digest = {"thresholds.yaml": data.thresholds_digest, **dict.fromkeys(data.SCORERS, data.scorers_digest)}.get(
        name, data.checks_digest
    )
    before = digest(), data.personal_digest()
    every = (data.checks_digest, data.scorers_digest, data.thresholds_digest, data.personal_digest)
    for one in every:
        one.cache_clear()
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    try:
        assert digest() != before[0]
        assert (data.personal_digest() != before[1]) == (name == data.PERSONAL)
    finally:
        for one in every:
            one.cache_clear()


@pytest.mark.parametrize("name", ["languages.tsv", "abbreviations.tsv"])
def test_a_changed_table_of_the_core_is_another_digest(name, tmp_path, monkeypatch) -> None:
    core = Path(languages.__file__).parent
    for table in ("languages.tsv", "abbreviations.tsv"):
        (tmp_path / table).write_bytes((core / table).read_bytes() + (b"x" if table == name else b""))
    before = data.checks_digest()
    caches = (data.checks_digest, sentences.rules_digest)
    for one in caches:
        one.cache_clear()
    monkeypatch.setattr(languages, "__file__", str(tmp_path / "languages.py"))
    monkeypatch.setattr(sentences, "__file__", str(tmp_path / "sentences.py"))
    try:
        assert data.checks_digest() != before
    finally:
        for one in caches:
            one.cache_clear()


def test_every_data_file_of_the_room_is_covered() -> None:
    files = {path.name for path in data._FOLDER.iterdir() if path.suffix in (".json", ".tsv", ".yaml", ".ftz")}
    # The funnel's own are in its digests (below); question words describe a release and decide nothing.
    funnel = {"funnel.yaml", *funnel_rules.LISTS, "question_words.tsv"}
    assert files == {*data.CHECKS, *data.SCORERS, *data.RULES, *funnel}


@pytest.mark.parametrize("name", ["funnel.yaml", *funnel_rules.LISTS])
def test_a_changed_file_of_the_funnel_is_another_digest(name, tmp_path, monkeypatch) -> None:
    def said() -> tuple[str, str]:
        funnel_rules.lists_digest.cache_clear()
        return funnel_rules.funnel_digest(("form", "copied")), funnel_rules.lists_digest()

    before = said()
    for one in ("funnel.yaml", *funnel_rules.LISTS):
        added = b"# x\n" if one == name else b""
        (tmp_path / one).write_bytes((data._FOLDER / one).read_bytes() + added)
    monkeypatch.setattr(funnel_rules, "_FOLDER", tmp_path)
    monkeypatch.setattr(funnel_rules, "_FILE", tmp_path / "funnel.yaml")
    try:
        assert [one != two for one, two in zip(before, said(), strict=True)] == [
            name == "funnel.yaml",
            name in funnel_rules.LISTS,
        ]
    finally:
        funnel_rules.lists_digest.cache_clear()
