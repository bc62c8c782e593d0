"""Licences: what their names mean, which go together, and that a build stops before it begins."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from dsbuild.cards.licences import conflict, licence, of_rows, table
from tests.small_set import cli, translate, write_memory, write_set


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("CC BY-SA 3.0", "cc-by-sa-3.0"), ("cc-by-4.0", "cc-by-4.0"), ("CC-BY-NC-ND 4.0 International", "cc-by-nc-nd-4.0"), ("MIT License", "mit"),
        ("The Apache License 2.0", "apache-2.0"), ("CC0", "cc0-1.0"), ("ODC-BY 1.0", "odc-by"),
    ],
)  # fmt: skip
def test_names_are_found_however_they_are_written(said: str, name: str) -> None:
    found = licence(said)
    assert found is not None
    assert found.known
    assert found.id == name


def test_words_that_are_no_name_are_read_for_what_they_forbid() -> None:
    found = licence("MS MARCO: non-commercial research purposes only")
    assert found is not None
    assert not found.known
    assert found.non_commercial
    assert not found.share_alike
    assert licence("Sunday licence").limits() == ["name the author"]  # type: ignore[union-attr]
    assert [licence(said) for said in (None, "", "unknown", "Other")] == [None] * 4


def test_the_table_says_what_the_names_say() -> None:
    for name, one in table().items():
        if name.startswith("cc-by"):
            parts = name.split("-")
            assert (one.share_alike, one.non_commercial, one.no_derivatives) == (
                "sa" in parts,
                "nc" in parts,
                "nd" in parts,
            ), name
        assert all(other in table() for other in one.goes_into), name
        assert not (one.share_alike and one.no_derivatives), name


@pytest.mark.parametrize(
    ("sources", "derived", "stops"),
    [
        (["cc-by-nd-4.0"], True, "allows no adaptations"),
        (["cc-by-nd-4.0"], False, None),
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], True, None),
        (["cc-by-sa-4.0", "gpl-3.0"], True, None),
        (["cc-by-sa-4.0", "odbl"], True, "no licence serves both"),
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], True, "no licence serves both"),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], True, "allows no further limits"),
        (["cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-4.0", None], True, None),
        (["apache-2.0", "mit", "cc0-1.0"], True, None),
        ([], True, None),
    ],
)
def test_which_licences_go_together(sources: list[str | None], derived: bool, stops: str | None) -> None:
    for order in itertools.permutations(sources):
        found = conflict(order, derived=derived)
        assert found is None if stops is None else found is not None and stops in found and "\n" not in found


@pytest.mark.parametrize(
    ("sources", "stated", "rows"),
    [
        ({"a": "CC BY 4.0"}, None, "cc-by-4.0"),
        ({"a": "cc0-1.0", "b": "cc-by-4.0"}, None, "cc-by-4.0"),
        ({"a": "cc-by-sa-3.0", "b": "cc-by-sa-4.0"}, None, "cc-by-sa-4.0"),
        ({"a": "cc-by-4.0", "b": "cc-by-nc-4.0"}, None, "cc-by-nc-4.0"),
        ({"a": "cc-by-4.0", "b": None}, None, "unknown"),
        ({"a": None}, "my own", "my own"),
    ],
)
def test_what_rows_carry(sources: dict[str, str | None], stated: str | None, rows: str) -> None:
    assert of_rows(sources, stated) == rows


def test_a_translation_of_what_may_not_be_adapted_stops_before_work_starts(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    (source / "README.md").write_text("---\nlicense: cc-by-nd-4.0\nlanguage: en\n---\n", "utf-8")
    arguments = translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), langs="hi")
    code, _, err = cli(*arguments)
    assert code == 2
    assert "allows no adaptations" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store/units").exists()
    code, _, err = cli(*arguments, "--set", "release.license=cc-by-4.0")
    assert code == 0, err
    code, _, err = cli("filter", "--src", f"beir:{source}", "--lang", "en", "--profile", "sentence", "--out", tmp_path / "chosen",
                       "--store", tmp_path / "store")  # fmt: skip
    assert code == 0, err


def test_a_memory_of_other_share_alike_terms_stops_too(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    (source / "README.md").write_text("---\nlicense: cc-by-sa-4.0\nlanguage: en\n---\n", "utf-8")
    arguments = translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), langs="hi")
    code, _, err = cli(*arguments, "--set", "engine.license=odbl", "--set", "engine.origin=human")
    assert code == 2
    assert "odbl" in err
    assert "cc-by-sa-4.0" in err


def test_masking_what_may_not_be_adapted_stops_and_choosing_does_not(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    (source / "README.md").write_text("---\nlicense: cc-by-nd-4.0\nlanguage: en\n---\n", "utf-8")
    (tmp_path / "items.jsonl").write_text('{"id": "1", "text": "where does the river flow", "lang": "en"}\n', "utf-8")
    arguments = [
        "contamination", "--src", f"beir:{source}", "--lang", "en", "--against", tmp_path / "items.jsonl", "--out", tmp_path / "out",
        "--store", tmp_path / "store",
    ]  # fmt: skip
    code, _, err = cli(*arguments, "--policy", "mask")
    assert (code, err.count("\n")) == (2, 1)
    assert "allows no adaptations" in err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store/units").exists()
    assert cli(*arguments, "--policy", "flag")[0] == 0
    assert cli(*arguments, "--policy", "mask", "--set", "release.license=cc-by-4.0")[0] == 0


@pytest.mark.parametrize("command", ["split", "contamination"])
def test_a_release_of_texts_whose_licences_cannot_stand_together_stops(tmp_path: Path, command: str) -> None:
    """Only somebody's own manifest says so: a build of ours would have stopped."""
    source = write_set(tmp_path / "set")
    assert cli(*translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), langs="hi"))[0] == 0
    path = tmp_path / "out/manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["source"]["license"] = "cc-by-sa-4.0"
    for engine in manifest["engines"].values():
        engine |= {"license": "odbl", "origin": "human"}
    path.write_text(json.dumps(manifest), "utf-8")
    more = (
        ["--against", tmp_path / "out"] if command == "contamination" else ["--train", 0.5, "--dev", 0.5, "--test", 0]
    )
    code, _, err = cli(
        command, "--src", tmp_path / "out", *more, "--out", tmp_path / "made", "--store", tmp_path / "new"
    )
    assert (code, err.count("\n")) == (2, 1)
    assert "no licence serves both" in err
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "new/units").exists()
