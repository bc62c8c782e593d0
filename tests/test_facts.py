"""Facts of a release: each number counted again from its files, and a number changed by hand is found."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsbuild import parquet, release
from dsbuild.builders.releases.facts import (
    answers_of,
    check_facts,
    compute,
    missing_answers,
    render_croissant,
    render_datasheet,
    render_facts,
)
from dsbuild.cards.facts import as_text, differences
from dsbuild.errors import ReleaseError
from dsbuild.text import words
from tests.small_set import MARKET, QRELS, WOOL, cli, digests, make, rows, write_memory, write_set


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    memory = write_memory(folder / "memory.tsv", missing={"hi": [MARKET], "ta": [WOOL]})
    source = write_set(folder / "set", qrels={"train": QRELS})
    (source / "README.md").write_text("---\nlicense: cc-by-sa-4.0\nlanguage: en\n---\n", "utf-8")
    make(folder, source, memory, settings=["engine.origin=human", "engine.license=CC BY-SA 3.0"])
    return folder / "out"


@pytest.fixture
def cut(draft: Path, tmp_path: Path) -> Path:
    """A copy with facts, datasheet and Croissant in it, listed in its manifest."""
    folder = tmp_path / "set/1.0.0"
    shutil.copytree(draft, folder)
    answers = tmp_path / "set/answers.yaml"
    answers.write_text("motivation: {purpose: 'Tests, 12 of them.'}\n", "utf-8")
    manifest = release.read_manifest(folder)
    for render in (render_facts, render_datasheet, render_croissant):
        render(folder, manifest, answers)
    listed(folder)
    return folder


def listed(folder: Path) -> None:
    """Write the manifest's list of files again, as somebody would who wants to hide a change."""
    manifest = release.read_manifest(folder)
    entries = {entry["path"]: entry["rows"] for entry in manifest["files"]}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != release.MANIFEST)
    names = [path.relative_to(folder).as_posix() for path in paths]
    manifest["files"] = [
        {"path": name, "rows": entries.get(name, 0), "size_bytes": path.stat().st_size, "sha256": parquet.sha256(path)}
        for name, path in zip(names, paths, strict=True)
    ]
    (folder / release.MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False), "utf-8")


def test_numbers_are_those_of_the_rows(draft: Path) -> None:
    manifest = release.read_manifest(draft)
    facts = compute(draft, manifest)
    splits = {(one["config"], one["split"]): one for one in facts["splits"]}
    assert set(splits) == {
        (config, split) for config, about in manifest["configs"].items() for split in about["splits"]
    }
    for (config, split), one in splits.items():
        found = rows(draft, f"{config}/{split}-*")
        assert one["rows"] == len(found)
        if one["table"] == "qrels":
            assert one["grades"] == {str(grade): n for grade, n in Counter(row["relevance"] for row in found).items()}
            assert one["judged"]["n"] == len({row["query_id"] for row in found})
            continue
        assert one["langs"] == dict(Counter(row["lang"] for row in found))
        for name, texts in one["texts"].get(one["lang"], {}).items():
            assert texts["characters"] == sum(len(row[name]) for row in found)
            assert texts["words"] == sum(len(words(row[name])) for row in found)
        columns = {name for name, _ in one["columns"]}
        assert one["nulls"] == {name: n for name in columns if (n := sum(row[name] is None for row in found))}
    assert facts["rows"] == sum(one["rows"] for one in splits.values())
    assert facts["lost"] == {
        lang: {table: len(rows(draft, f"dropped/{lang}-{table}-*")) for table in ("corpus", "queries")}
        for lang in ("hi", "ta")
    }
    verdicts = Counter(
        (row["lang"], row["table"], row["outcome"], row["rule"]) for row in rows(draft, "dropped/verdicts-*")
    )
    said = {
        (lang, table, outcome, rule): n["all"]
        for lang, tables in facts["verdicts"].items() for table, outcomes in tables.items()
        for outcome, rules in outcomes.items() for rule, n in rules.items()
    }  # fmt: skip
    assert said == verdicts


def test_origins_and_licences(draft: Path) -> None:
    manifest = release.read_manifest(draft)
    facts = compute(draft, manifest)
    assert set(facts["origins"]["hi"]) == set(facts["origins"]["ta"]) == {"human-translated"}
    assert set(facts["origins"]["en"]) == {"as in the source", "written by people"}
    assert {name: one["id"] for name, one in facts["licences"]["sources"].items()} == {
        "set": "cc-by-sa-4.0",
        "memory": "cc-by-sa-3.0",
    }
    assert facts["licences"]["models"] == {}
    assert facts["licences"]["rows"]["id"] == "cc-by-sa-4.0"
    engines = {name: {**one, "origin": "machine"} for name, one in manifest["engines"].items()}
    other = compute(draft, {**manifest, "engines": engines})
    assert set(other["origins"]["hi"]) == {"machine-translated"}
    assert list(other["licences"]["models"]) == ["memory"]


def test_facts_are_the_same_bytes_each_time(cut: Path) -> None:
    before = digests(cut)
    manifest = release.read_manifest(cut)
    render_facts(cut, manifest)
    assert digests(cut) == before
    assert as_text(compute(cut, manifest)) == (cut / "facts.json").read_text("utf-8")


def test_a_release_in_order_has_nothing_to_say(cut: Path, draft: Path) -> None:
    assert check_facts(cut) == []
    assert check_facts(draft) == []
    code, out, err = cli("verify", cut)
    assert code == 0, out + err


def in_readme(text: str) -> str:
    rows_kept = next(line for line in text.splitlines() if line.startswith("| hi-corpus |"))
    return text.replace(rows_kept, rows_kept.replace("| hi-corpus | corpus | ", "| hi-corpus | corpus | 1"))


def in_datasheet(text: str) -> str:
    total = next(line for line in text.splitlines() if line.startswith("In all "))
    return text.replace(total, total.replace("In all ", "In all 9"))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("README.md", in_readme, "README.md: the files give"),
        ("DATASHEET.md", in_datasheet, "DATASHEET.md: the files give"),
        ("DATASHEET.md", lambda text: text + "\nIt is perfect.\n", "DATASHEET.md"),
        ("facts.json", lambda text: text.replace('"table": "queries"', '"table": "corpus"', 1), "facts.json: splits["),
        ("croissant.json", lambda text: text.replace("rows in", "lines in", 1), "croissant.json"),
        ("answers.yaml", lambda text: text.replace("12", "13"), "DATASHEET.md: the files give"),
    ],
)
def test_a_number_changed_by_hand_is_found(cut: Path, name: str, change: Callable[[str], str], says: str) -> None:
    path = cut / name
    before = path.read_text("utf-8")
    path.write_text(change(before), "utf-8")
    assert path.read_text("utf-8") != before
    code, out, _ = cli("verify", cut)
    assert code == 1
    assert f"{name}: changed since" in out
    listed(cut)
    code, out, _ = cli("verify", cut)
    assert code == 1
    assert says in out


def test_a_row_that_goes_is_found(cut: Path) -> None:
    import pyarrow.parquet as pq

    path = next(cut.glob("hi-corpus/*.parquet"))
    pq.write_table(pq.read_table(path).slice(1), path)
    found = check_facts(cut)
    assert any(line.startswith("README.md") for line in found)
    assert any(line.startswith("facts.json: ") for line in found)


def test_another_version_words_it_otherwise(cut: Path) -> None:
    manifest = release.read_manifest(cut)
    (cut / release.MANIFEST).write_text(json.dumps({**manifest, "dsbuild": "0.0.1"}), "utf-8")
    found = check_facts(cut)
    assert found == ['facts.json: dsbuild is "0.1.0", the files give "0.0.1"']


def test_damaged_facts_are_one_line(cut: Path) -> None:
    (cut / "facts.json").write_text("{", "utf-8")
    with pytest.raises(ReleaseError, match=r"facts\.json: damaged"):
        check_facts(cut)


def test_where_answers_lie(cut: Path, draft: Path) -> None:
    assert answers_of(cut) == cut / "answers.yaml"
    (cut / "answers.yaml").unlink()
    assert answers_of(cut) == cut.parent.resolve() / "answers.yaml"
    assert answers_of(draft) is None
    assert "motivation.purpose" in missing_answers({}, None)
    assert "motivation.purpose" not in missing_answers({}, cut.parent / "answers.yaml")


def test_differences_name_the_place() -> None:
    said: dict[str, Any] = {"a": [1, {"b": 2}], "c": "x" * 90}
    assert differences(said, said) == []
    assert differences(said, {"a": [1, {"b": 3}], "c": 1, "d": None}) == [
        "a[1].b is 2, the files give 3", f'c is "{"x" * 56}..., the files give 1',
    ]  # fmt: skip


def test_what_reviewers_said_comes_along_without_their_names(cut: Path) -> None:
    answers = cut.parent / "answers.yaml"
    manifest = release.read_manifest(cut)
    hi = {
        "lang": "hi", "table": "corpus", "judged": 4, "yes": 3, "no": 1, "unsure": 0, "disputed": 0, "rate": 0.75, "low": 0.3006,
        "high": 0.9544, "categories": {"term": 1}, "spans": {},
    }  # fmt: skip
    kappa = {"lang": "hi", "reviewers": ["Asha", "Ravi"], "rows": 4, "raw": 0.75, "kappa": 1 / 3}
    review = {
        "releases": [manifest["build_key"]],
        "reviewers": ["Asha", "Ravi"],
        "answers": 8,
        "agreement": [kappa],
        "tables": [hi],
    }
    for name, said in (("review-draft", review), ("review-other", {**review, "releases": ["other"], "answers": 9})):
        (cut.parent / name).mkdir()
        (cut.parent / name / "review.json").write_text(json.dumps(said), "utf-8")
    for render in (render_facts, render_datasheet, render_croissant):
        render(cut, manifest, answers)
    listed(cut)
    assert check_facts(cut) == []
    text = (cut / "DATASHEET.md").read_text("utf-8")
    assert "| hi | corpus | 4 | 3 | 1 | 0 | 0 | 75.0 | 30.1 to 95.4 |" in text
    assert "agreed on 75.0 % of 4 rows, kappa 0.3333." in text
    assert not any(b"Asha" in path.read_bytes() for path in cut.rglob("*") if path.is_file())
    (cut / "review.json").write_text((cut / "review.json").read_text("utf-8").replace('"yes": 3', '"yes": 4'), "utf-8")
    assert any("review.tables[0].yes is 3" in line for line in check_facts(cut))
    (cut / "review.json").write_text("[]", "utf-8")
    with pytest.raises(ReleaseError, match="not a summary of dsbuild review"):
        check_facts(cut)
