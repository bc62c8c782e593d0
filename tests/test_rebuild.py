"""Releases that are made again: byte for byte, or with the name of what differs."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.releases import cut
from dsbuild.builders.releases.rebuild import pins, rebuild
from dsbuild.builders.releases.verification import verify
from dsbuild.errors import DsbuildError, ReleaseError
from tests.small_set import LANGS, MARKET, cli, digests, make, said, write_memory, write_set

ALL = cut.RENDERERS


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    """Without the further files of other parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "RENDERERS", ())
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, a memory, a draft of two languages and two versions of it, with the store."""
    folder = tmp_path_factory.mktemp("built")
    make(folder, write_set(folder / "set"), write_memory(folder / "memory.tsv"))
    for version in ("1.0.0", "1.0.1"):
        cut.cut(folder / "out", cut.wanted("small", version, license="cc-by-4.0", date="2026-11-25"), folder / "small")
    return folder


def again(folder: Path, release: Path, **more: Any) -> dict[str, Any]:
    given = {
        "src": f"beir:{folder / 'set'}",
        "settings": [f"engine.file={folder / 'memory.tsv'}"],
        "store": folder / "store",
    }
    return rebuild(release, **{**given, "executor": "in-process", **more})


def test_a_draft_and_a_release_from_the_store(built: Path) -> None:
    for name in ("out", "small/1.0.0", "small/1.0.1"):
        before = digests(built / name)
        found = again(built, built / name)
        assert (found["exact"], found["different"], found["pins"]) == (True, [], [])
        assert found["files"] == len(before)
        assert digests(built / name) == before
    assert not list((built / "store").glob("rebuild-*"))


def test_without_the_store_too(built: Path, tmp_path: Path) -> None:
    found = again(built, built / "small/1.0.1", store=tmp_path / "store", out=tmp_path / "kept")
    assert found["exact"], found
    assert digests(tmp_path / "kept/1.0.1") == digests(built / "small/1.0.1")
    with pytest.raises(ReleaseError, match="not an empty folder"):
        again(built, built / "small/1.0.1", out=tmp_path / "kept")


def test_with_the_files_of_every_renderer(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "RENDERERS", ALL)
    cut.cut(built / "out", cut.wanted("small", "1.0.0", license="cc-by-4.0"), tmp_path / "small")
    folder = tmp_path / "small/1.0.0"
    assert {"CHANGELOG.md", "DATASHEET.md", "README.md", "croissant.json", "facts.json", "report.html"} <= digests(
        folder
    ).keys()
    assert verify(folder)["problems"] == []
    found = again(built, folder)
    assert found["exact"], found


def test_another_source_file_is_named(built: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(built / "set", tmp_path / "set"))
    with (other / "queries.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps({"_id": "q9", "text": "River"}) + "\n")
    found = again(built, built / "small/1.0.0", src=f"beir:{other}")
    assert not found["exact"]
    assert "manifest.json" in found["different"]
    assert [one["pin"] for one in found["pins"]] == ["source file queries.jsonl (sha256)"]


def test_another_model_is_named(built: Path, tmp_path: Path) -> None:
    memory = write_memory(tmp_path / "memory.tsv", changed={(MARKET, "hi"): said(MARKET, "hi") + "।"})
    found = again(built, built / "out", settings=[f"engine.file={memory}"], store=tmp_path / "store")
    assert not found["exact"]
    assert any(path.startswith("hi-corpus/") for path in found["different"])
    assert all(one["pin"].startswith("engine memory") for one in found["pins"])
    assert found["pins"]


def test_versions_and_parameters_are_named(built: Path) -> None:
    folder = built / "out"
    new = json.loads((folder / "manifest.json").read_text("utf-8"))
    old = json.loads(json.dumps(new))
    assert pins(folder, old, folder, new) == []
    old["dsbuild"], old["recipe"]["parallel"], old["stages"][0]["version"] = "0.0.9", True, 99
    found = pins(folder, old, folder, new)
    assert [one["pin"] for one in found] == [
        "dsbuild version",
        "parameter parallel",
        f"stage {old['stages'][0]['node']} version",
    ]
    assert found[0] == {"pin": "dsbuild version", "recorded": "0.0.9", "now": new["dsbuild"]}
    changed = json.loads(json.dumps(new))
    changed["stages"][2]["keys"] = "0"
    (one,) = pins(folder, changed, folder, new)
    assert one["pin"].startswith(f"stage {new['stages'][2]['node']} keys of units")


def test_a_missing_source_is_one_line(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DsbuildError, match="name where it lies now with --src KIND:PATH"):
        again(built, built / "out", src=None)
    broken = Path(shutil.copytree(built / "out", tmp_path / "broken"))
    (broken / "README.md").unlink()
    with pytest.raises(ReleaseError, match="nothing to compare with"):
        again(built, broken)


def test_the_command(built: Path, tmp_path: Path) -> None:
    given = [
        "--src",
        f"beir:{built / 'set'}",
        "--set",
        f"engine.file={built / 'memory.tsv'}",
        "--store",
        built / "store",
        "--executor",
        "in-process",
    ]
    code, out, _ = cli("rebuild", built / "small/1.0.1", *given)
    assert (code, "the same bytes in all" in out) == (0, True)
    other = Path(shutil.copytree(built / "set", tmp_path / "set"))
    (other / "qrels/test.tsv").write_text((other / "qrels/test.tsv").read_text("utf-8") + "q1\td9\t1\n", "utf-8")
    code, out, _ = cli("rebuild", built / "small/1.0.1", *given, "--src", f"beir:{other}")
    assert code == 1
    assert "pin: source file" in out
    assert LANGS[0] == "hi"


def test_a_place_that_cannot_be_written_is_one_line(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    for option in ("--out", "--store"):
        code, _, err = cli("rebuild", built / "small/1.0.0", option, built / "elsewhere")
        assert (code, err.count("\n")) == (2, 1)
        assert (
            "elsewhere: cannot write: Read-only file system; see that the folder can be written, or name another" in err
        )


def test_a_set_with_a_limit_says_the_same_from_the_store(tmp_path: Path) -> None:
    source, memory = write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv")
    make(tmp_path, source, memory, settings=["source.limit=2"])
    assert any(
        "--limit leaves out" in note for note in json.loads((tmp_path / "out/manifest.json").read_text())["notes"]
    )
    found = again(tmp_path, tmp_path / "out")
    assert (found["exact"], found["different"]) == (True, [])


def test_files_beside_the_source_are_named_by_their_settings(tmp_path: Path) -> None:
    """A recipe holds names alone, so a projected set is made again only where the user says where both files lie."""
    span = {"id": "1", "start": 0, "end": 4, "label": "PER"}
    for lang, text in (("en", "Asha lives in a village."), ("de", "Asha lebt in einem Dorf.")):
        row = {"id": "a", "text": text, "lang": lang, "spans": [span]}
        (tmp_path / f"{lang}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    given = ["--store", tmp_path / "store", "--out", tmp_path / "draft"]
    files = ["--src", f"spans:{tmp_path}/en.jsonl", "--target", f"spans:{tmp_path}/de.jsonl"]
    code, _, err = cli("project", *files, "--src-lang", "en", "--langs", "de", "--method", "fuzzy", *given)
    assert code == 0, err
    code, _, err = cli(
        "rebuild", tmp_path / "draft", "--store", tmp_path / "store", "--src", f"spans:{tmp_path}/en.jsonl"
    )
    assert code == 2
    assert err.rstrip().endswith("name where it lies now with --set target.de.src=KIND:PATH")
    assert len(err.splitlines()) == 1
