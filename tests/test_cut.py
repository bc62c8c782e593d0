"""Releases that are cut from drafts: what they hold, what is refused, and that nothing is left half done."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from dsbuild import release
from dsbuild.builders.releases import cut
from dsbuild.builders.releases.verification import verify
from dsbuild.errors import DsbuildError, ReleaseError, StoreError
from tests.small_releases import DOCS, document_schema, write, write_docs
from tests.small_set import ROOT, cli, digests


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the further files of other parts."""
    monkeypatch.setattr(cut, "RENDERERS", ())


def make(draft: Path, version: str, out: Path, **more: Any) -> dict[str, Any]:
    return cut.cut(draft, cut.wanted("made", version, **more), out)


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_a_release_has_the_rows_of_its_draft(tmp_path: Path) -> None:
    draft = write_docs(tmp_path / "draft", DOCS[:-1], dropped=[DOCS[-1]])
    before = digests(draft)
    found = make(draft, "1.0.0", tmp_path / "set", date="2026-11-25")
    folder = tmp_path / "set/1.0.0"
    assert found["release"] == str(folder)
    assert (found["rows"], found["previous"], found["bump"]["reason"]) == (9, None, "first release")
    after = digests(folder)
    assert {path: digest for path, digest in after.items() if path.endswith(".parquet")} == {
        path: digest for path, digest in before.items() if path.endswith(".parquet")
    }
    assert digests(draft) == before
    assert verify(folder)["problems"] == []
    said = manifest(folder)
    assert (said["name"], said["version"], said["release"]["date"]) == ("made", "1.0.0", "2026-11-25")
    assert said["release"]["content"]["hi-documents"]["train"]["rows"] == 9
    assert {one["path"] for one in said["files"]} == after.keys() - {"manifest.json"}
    assert (folder / "README.md").read_text("utf-8").count("# made 1.0.0\n") == 1
    log = (folder / "CHANGELOG.md").read_text("utf-8")
    assert "## 1.0.0 (2026-11-25)\n\nFirst release: 9 rows in 1 configurations." in log
    assert [path.name for path in (tmp_path / "set").iterdir() if not path.name.endswith(".lock")] == ["1.0.0"]


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    one, two = write_docs(tmp_path / "one/draft", DOCS), write_docs(tmp_path / "two/draft", DOCS)
    for version in ("1.0.0", "1.0.1"):
        make(one, version, tmp_path / "one/set")
        make(two, version, tmp_path / "two/set")
        assert digests(tmp_path / "one/set" / version) == digests(tmp_path / "two/set" / version)


def test_datasets_load_it(tmp_path: Path) -> None:
    from datasets import load_dataset

    make(write(tmp_path / "draft", {"hi-documents": {"train": DOCS[:7], "test": DOCS[7:]}}), "1.0.0", tmp_path / "set")
    rows = load_dataset(str(tmp_path / "set/1.0.0"), "hi-documents", cache_dir=str(tmp_path / "cache"))
    assert {split: part["doc_id"] for split, part in rows.items()} == {
        "train": [row["doc_id"] for row in DOCS[:7]], "test": [row["doc_id"] for row in DOCS[7:]],
    }  # fmt: skip


def test_the_version_follows_the_rows(tmp_path: Path) -> None:
    home = tmp_path / "set"
    make(write_docs(tmp_path / "a", DOCS), "1.0.0", home)
    removed = write_docs(tmp_path / "b", DOCS[1:])
    with pytest.raises(
        ReleaseError,
        match=r"is a patch step from 1\.0\.0, but the change is major \(hi-documents/train: 1 row removed\); name 2\.0\.0",
    ):
        make(removed, "1.0.1", home)
    assert not (home / "1.0.1").exists()
    with pytest.raises(ReleaseError, match="minor step"):
        make(removed, "1.1.0", home)
    found = make(removed, "1.0.1", home, reason="one row\nby mistake <b>|</b>")
    assert found["bump"] == {
        "proposed": "major",
        "reason": "hi-documents/train: 1 row removed",
        "override": "one row by mistake <b>|</b>",
    }
    log = (home / "1.0.1/CHANGELOG.md").read_text("utf-8")
    assert "Numbered 1.0.1 nevertheless, because: one row by mistake &#60;b&#62;&#124;&#60;/b&#62;" in log
    assert "MAJOR change from 1.0.0: hi-documents/train: 1 row removed." in log
    assert log.index("## 1.0.1") < log.index("## 1.0.0")
    # The same rows again, then a new split, then a removed column.
    assert make(removed, "1.0.2", home)["bump"]["proposed"] == "patch"
    more = write(tmp_path / "c", {"hi-documents": {"train": DOCS[1:], "test": DOCS[:1]}})
    with pytest.raises(ReleaseError, match="change is minor"):
        make(more, "1.0.3", home)
    assert make(more, "1.1.0", home)["previous"] == "1.0.2"
    schema = document_schema()
    fewer = write(
        tmp_path / "d",
        {"hi-documents": {"train": DOCS[1:], "test": DOCS[:1]}},
        schemas={"hi-documents": schema.remove(3)},
    )
    assert make(fewer, "2.0.0", home)["bump"]["reason"] == "hi-documents: removed column score"
    # A reason that is not needed is no override; a version may lie between others.
    assert make(removed, "1.0.4", home, reason="because")["bump"] == {
        "proposed": "patch",
        "reason": "every row is the same",
        "override": None,
    }
    assert manifest(home / "1.0.4")["release"]["previous"]["version"] == "1.0.2"
    for folder in sorted(home.glob("[0-9]*")):
        assert verify(folder)["problems"] == []


def test_the_manifest_of_the_previous_release_is_pinned(tmp_path: Path) -> None:
    draft = write_docs(tmp_path / "a", DOCS)
    make(draft, "1.0.0", tmp_path / "set")
    make(draft, "1.0.1", tmp_path / "set")
    said = manifest(tmp_path / "set/1.0.1")["release"]["previous"]
    assert said == {
        "version": "1.0.0",
        "manifest_sha256": hashlib.sha256((tmp_path / "set/1.0.0/manifest.json").read_bytes()).hexdigest(),
    }


def test_content_digests_survive_another_encoding_and_see_a_changed_row(tmp_path: Path) -> None:
    make(write_docs(tmp_path / "a", DOCS), "1.0.0", tmp_path / "set")
    folder = tmp_path / "set/1.0.0"
    said = manifest(folder)
    assert cut.check_content(folder, said) == []
    (path,) = folder.glob("hi-documents/*.parquet")
    rows = pq.ParquetFile(path).read()
    path.unlink()
    pq.write_table(rows.take(list(range(9, -1, -1))), path, compression="gzip", row_group_size=3)
    assert cut.check_content(folder, said) == []
    changed = [*rows.to_pylist()[:-1], {**rows.to_pylist()[-1], "score": 0.25}]
    pq.write_table(rows.from_pylist(changed, rows.schema), path)
    assert cut.check_content(folder, said) == [
        "hi-documents/train: the rows are not those that the content digest was taken of"
    ]
    # With a manifest that was made to fit, only the content digest knows.
    for entry in said["files"]:
        if entry["path"].endswith(path.name):
            data = path.read_bytes()
            entry |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(said), "utf-8")
    assert any("content digest" in problem for problem in verify(folder)["problems"])
    assert cut.check_content(folder, {"configs": {}}) == []


def test_a_licence_must_be_known(tmp_path: Path) -> None:
    draft = write_docs(tmp_path / "a", DOCS, license=None)
    with pytest.raises(ReleaseError, match="names a licence; say it with --license"):
        make(draft, "1.0.0", tmp_path / "set")
    assert make(draft, "1.0.0", tmp_path / "set", license="cc0-1.0")["license"] == "cc0-1.0"
    folder = tmp_path / "set/1.0.0"
    card = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---")[1])
    assert card["license"] == "cc0-1.0"
    assert manifest(folder)["release"]["license_before"] is None
    assert verify(folder)["problems"] == []


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    draft, home = write_docs(tmp_path / "a", DOCS), tmp_path / "set"
    make(draft, "1.0.0", home)
    before = digests(home)
    with pytest.raises(ReleaseError, match="this version is there already"):
        make(draft, "1.0.0", home)
    with pytest.raises(ReleaseError, match="not of 'other'"):
        cut.cut(draft, cut.wanted("other", "1.0.1"), home)
    (half := tmp_path / "half").mkdir()
    with pytest.raises(ReleaseError, match=r"no manifest\.json"):
        make(half, "2.0.0", home)
    bad = Path(shutil.copytree(draft, tmp_path / "bad"))
    (bad / "README.md").write_text(
        (bad / "README.md").read_text("utf-8").replace("| hi | documents | 10 |", "| hi | documents | 11 |"), "utf-8"
    )
    with pytest.raises(ReleaseError, match="does not verify"):
        make(bad, "2.0.0", home)
    with pytest.raises(ReleaseError, match="holds no rows"):
        make(write(tmp_path / "none", {}), "2.0.0", home)
    for wrong in ({"date": "25.11.2026"}, {"reason": " "}, {"answers": tmp_path / "no.yaml"}, {"version": "2"}):
        with pytest.raises(ReleaseError, match=next(iter(wrong))):
            cut.wanted(**{"name": "made", "version": "2.0.0", **wrong})
    # Damage of the previous release is found before anything is written.
    (home / "1.0.0/CHANGELOG.md").unlink()
    with pytest.raises(ReleaseError, match=r"CHANGELOG.md: missing"):
        make(draft, "1.0.1", home)
    assert {path: digest for path, digest in digests(home).items() if not path.endswith(".lock")} == {
        path: digest for path, digest in before.items() if not path.endswith((".lock", "CHANGELOG.md"))
    }


def test_a_full_disk_and_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft, home = write_docs(tmp_path / "a", DOCS), tmp_path / "set"

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        patched.setattr(os, "link", full)
        with pytest.raises(StoreError, match="disk full"):
            make(draft, "1.0.0", home)
    assert not (home / "1.0.0").exists()
    assert not list(home.glob(".*.partial"))
    monkeypatch.setattr(os, "link", full)  # a file system without links: shards are copied
    make(draft, "1.0.0", home)
    assert verify(home / "1.0.0")["problems"] == []
    (path,) = (home / "1.0.0").glob("hi-documents/*.parquet")
    assert path.stat()[stat.ST_NLINK] == 1
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        make(draft, "1.0.0", tmp_path / "file/set")


def test_answers_that_are_none_are_told_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = write_docs(tmp_path / "draft", DOCS)
    (tmp_path / "answers.yaml").write_text("motivation: {purpos: x}\n", "utf-8")
    monkeypatch.setattr(cut, "verify", None)
    with pytest.raises(DsbuildError, match="Did you mean 'purpose'"):
        make(draft, "1.0.0", tmp_path / "set")


@pytest.mark.parametrize("said", ["2026-02-31", "20260228", "2026-W09-6", "2026-2-3", "٢٠٢٦-01-01"])
def test_a_date_is_a_day_of_the_calendar(said: str) -> None:
    with pytest.raises(ReleaseError, match="^--date .*YYYY-MM-DD$"):
        cut.wanted("made", "1.0.0", date=said)
    assert cut.wanted("made", "1.0.0", date="2028-02-29").date == "2028-02-29"


@pytest.mark.parametrize("said", ["", " ", "mit\nname: x", "mit\u2028"])
def test_a_licence_is_one_line(said: str) -> None:
    with pytest.raises(ReleaseError, match="one line that names the licence"):
        cut.wanted("made", "1.0.0", license=said)


def test_killed_just_before_the_end_and_run_again(tmp_path: Path) -> None:
    write_docs(tmp_path / "draft", DOCS)
    program = (
        "from pathlib import Path; from dsbuild.builders.releases import cut; cut.RENDERERS = (); "
        "cut.cut(Path('draft'), cut.wanted('made', '1.0.0'), Path('set'))"
    )

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip

    assert run(DSBUILD_FAILPOINT="before-release:1").returncode == -signal.SIGKILL
    assert not (tmp_path / "set/1.0.0").exists()
    done = run()
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "set/1.0.0")["problems"] == []
    assert not (tmp_path / "set/.1.0.0.partial").exists()


def test_further_files_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(folder: Path, manifest: dict[str, Any], answers: Path | None) -> list[str]:
        assert release.read_manifest(folder)["version"] == manifest["version"] == "1.0.0"
        (folder / "FACTS").write_text(str(answers and answers.name), "utf-8")
        return ["FACTS"]

    made = {"one": written, "two": lambda *_: {"page.html": "<p>"}, "dsbuild.no_such:three": None}
    monkeypatch.setattr(cut, "RENDERERS", ("one", "two", "dsbuild.no_such:three"))
    named = cut._named
    monkeypatch.setattr(cut, "_named", lambda name: made[name] if made.get(name) else named(name))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/answers.yaml").write_text("{}", "utf-8")
    make(write_docs(tmp_path / "draft", DOCS), "1.0.0", tmp_path / "set")
    folder = tmp_path / "set/1.0.0"
    assert {"FACTS", "page.html"} <= {one["path"] for one in manifest(folder)["files"]}
    assert (folder / "FACTS").read_text("utf-8") == "answers.yaml"
    assert release.damaged(folder, manifest(folder), deep=True) == []


def test_a_strict_release_wants_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "_named", lambda name: (lambda *_: ["contact"]) if name == cut.REQUIRED else None)
    draft = write_docs(tmp_path / "draft", DOCS)
    with pytest.raises(DsbuildError, match="--strict: 1 required answers are missing, the first: contact"):
        make(draft, "1.0.0", tmp_path / "set", strict=True)
    make(draft, "1.0.0", tmp_path / "set")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_docs(tmp_path / "draft", DOCS)
    code, out, err = cli("release", "draft", "--name", "made", "--version", "1.0.0")
    assert (code, err) == (0, "")
    assert "release: outputs/made/1.0.0" in out
    code, out, _ = cli("release", "draft", "--name", "made", "--version", "1.0.1", "--format", "json")
    assert (code, json.loads(out)["bump"]["proposed"]) == (0, "patch")
    code, _, err = cli("release", "draft", "--name", "made", "--version", "1.0.1")
    assert code == 2
    assert err.startswith("dsbuild: outputs/made/1.0.1: this version is there already")
    assert len(err.splitlines()) == 1
