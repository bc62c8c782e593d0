"""Release folders: what is written, what is refused, and what `verify` finds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild import parquet, release
from dsbuild.builders.releases.verification import verify
from dsbuild.errors import ReleaseError, StoreError
from tests.small_set import CAFE, RICE, cli, digests, make, rows, write_memory, write_set


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    memory = write_memory(folder / "memory.tsv", missing={"hi": [CAFE, RICE]})
    make(folder, write_set(folder / "set"), memory, ("hi",))
    return folder / "out"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def reseal(folder: Path, name: str) -> None:
    """Put a changed file's size and digest into the manifest, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    entry = next(one for one in manifest["files"] if one["path"] == name)
    entry |= {"size_bytes": (folder / name).stat().st_size, "sha256": parquet.sha256(folder / name)}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def rewrite(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.ParquetFile(folder / name).read()), folder / name)
    reseal(folder, name)


def test_a_good_release_is_in_order(whole: Path) -> None:
    found = verify(whole)
    assert found["problems"] == []
    assert found["checked"] == {"files": len(digests(whole)) - 1, "configurations": 6, "rows": 9 + 5 + 8 + 8 + 5 + 8}
    code, out, _ = cli("verify", whole, "--format", "json")
    assert (code, json.loads(out)) == (0, found)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("hi-corpus/corpus-00000-of-00001.parquet", lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "changed since"),
        ("hi-qrels/test-00000-of-00001.parquet", lambda data: data[:-1], "changed since"),
        ("README.md", lambda data: data.replace(b"| 9 |", b"| 8 |", 1), "README.md: changed since"),
        ("recipe.yaml", lambda data: data + b"\n", "recipe.yaml: changed since"),
        ("segments/extra.txt", None, "segments/extra.txt: not in the manifest"),
        ("hi-queries/test-00000-of-00001.parquet", "remove", "missing"),
    ],
)  # fmt: skip
def test_tampering_is_found(copy: Path, name: str, change, said: str) -> None:
    path = copy / name
    if change == "remove":
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()) if change else b"added")
    code, out, _ = cli("verify", copy)
    assert code == 1
    assert said in out
    assert name in out
    assert "not in order" in out


def test_tampering_that_also_changes_digests_is_found(copy: Path) -> None:
    text = (copy / "README.md").read_text("utf-8")
    (copy / "README.md").write_text(text.replace("| hi | corpus | 9 |", "| hi | corpus | 8 |"), "utf-8")
    reseal(copy, "README.md")
    assert verify(copy)["problems"] == ["README.md: the numbers of hi-corpus are not those of the manifest"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("hi-corpus/corpus-00000-of-00001.parquet", lambda table: table.slice(1), "rows in the files"),
        ("hi-corpus/corpus-00000-of-00001.parquet", lambda table: pa.concat_tables([table.slice(1), table.slice(1, 1)]), "stands in 2 rows"),
        ("hi-queries/test-00000-of-00001.parquet", lambda table: pa.concat_tables([table.slice(1), table.slice(1, 1)]), "'q1' is not in hi-queries"),
        ("en-corpus/corpus-00000-of-00001.parquet", lambda table: table.drop_columns("title"), "column title is missing"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_found(copy: Path, name: str, change, said: str) -> None:
    rewrite(copy, name, change)
    assert any(said in problem for problem in verify(copy)["problems"])


def test_numbers_that_do_not_add_up_are_found(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["accounting"]["hi"]["corpus"]["dropped"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    problems = verify(copy)["problems"]
    assert any("kept +" in problem for problem in problems)
    assert any("reasons add up" in problem for problem in problems)


def test_the_card_says_what_the_files_hold(whole: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(whole / "README.md")
    assert card.data.language == ["en", "hi"]
    assert card.data.task_categories == ["text-retrieval"]
    for config in card.data.to_dict()["configs"]:
        for part in config["data_files"]:
            assert list(whole.glob(part["path"]))
    for info in card.data.to_dict()["dataset_info"]:
        for split in info["splits"]:
            assert split["num_examples"] == len(rows(whole, f"{info['config_name']}/{split['name']}-*"))
    assert "| hi | corpus | missing | 1 |" in card.text


def test_the_manifest_names_nothing_of_this_machine(whole: Path) -> None:
    for name in ("manifest.json", "README.md", "recipe.yaml"):
        assert str(whole.parent) not in (whole / name).read_text("utf-8")


def part(n_rows: int, name: str = "hi-corpus") -> release.Part:
    table = pa.table(
        {"id": [str(number) for number in range(n_rows)]},
        schema=pa.schema([pa.field("id", pa.string(), nullable=False)]),
    )
    return release.Part(name, "train", table.schema, n_rows, [table], name, "corpus", "hi")


def facts(build_key: str) -> dict[str, object]:
    """The least that a manifest has besides what is written."""
    known = {
        "source": {"name": "made", "lang": "en"},
        "recipe": {"build": "translate"},
        "engines": {},
        "accounting": {},
    }
    return {"name": "made", "version": "0.0.0-draft", "dsbuild": "0", "build_key": build_key, **known}


def no_texts(manifest, written) -> dict[str, str]:
    return {"README.md": "text\n"}


def test_writing_replaces_a_whole_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    release.write(out, [part(3), part(2, "hi-queries")], facts("a"), no_texts)
    (out / "note.txt").write_text("added by hand")
    release.write(out, [part(5)], facts("b"), no_texts)
    assert sorted(digests(out)) == ["README.md", "hi-corpus/train-00000-of-00001.parquet", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"
    assert release.read_manifest(out)["configs"]["hi-corpus"]["splits"]["train"]["rows"] == 5


def test_the_same_build_is_not_written_again_unless_it_is_damaged(tmp_path: Path) -> None:
    out = tmp_path / "out"
    release.write(out, [part(3)], facts("a"), no_texts)
    before = (out / "README.md").stat().st_mtime_ns
    release.write(out, [part(4)], facts("a"), no_texts)
    assert (out / "README.md").stat().st_mtime_ns == before
    (out / "README.md").unlink()
    release.write(out, [part(3)], facts("a"), no_texts)
    assert (out / "README.md").exists()


def test_a_wrong_count_writes_no_release(tmp_path: Path) -> None:
    table = pa.table({"id": ["1", "2"]})
    wrong = release.Part("x", "train", table.schema, 3, [table], "x", "corpus", "hi")
    with pytest.raises(StoreError, match="2 rows written where 3 were counted"):
        release.write(tmp_path / "out", [wrong], facts("a"), no_texts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": None}, "files is missing"),
        ({"recipe": []}, "recipe is missing or of the wrong kind"),
        ({"files": [{"path": "a"}]}, "no path, size_bytes or sha256"),
        ({"files": [{"path": "../a", "size_bytes": 1, "sha256": ""}]}, "not a path inside the folder"),
    ],
)
def test_a_manifest_that_was_cut_off_is_one_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    release.write(tmp_path / "out", [part(3)], facts("a"), no_texts)
    path = tmp_path / "out/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **change}), "utf-8")
    for command in ("verify", "status", "rebuild"):
        code, _, err = cli(command, tmp_path / "out")
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
    path.write_text("[1]", "utf-8")
    with pytest.raises(ReleaseError, match="a release of format None"):
        release.read_manifest(tmp_path / "out")


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no manifest.json"):
        release.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match="damaged.*build the release again"):
        release.read_manifest(tmp_path)
    with pytest.raises(ReleaseError, match=f"name one of the releases in it: {tmp_path.name}"):
        release.read_manifest(tmp_path.parent)
    with pytest.raises(StoreError, match="holds no manifest.json"):
        release.check_folder(tmp_path)
    release.check_folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    release.check_folder(tmp_path / "empty")
