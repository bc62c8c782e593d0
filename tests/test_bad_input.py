"""What users get wrong: one clear line on standard error, exit code 2, and nothing that was there before is lost."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_set import (
    DOCS,
    QRELS,
    QUERIES,
    RIVER,
    ROOT,
    WOOL,
    cli,
    digests,
    rows,
    said,
    translate,
    write_memory,
    write_set,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, a memory, a store and a release: out, store, set, memory.tsv."""
    folder = tmp_path_factory.mktemp("finished")
    write_set(folder / "set")
    write_memory(folder / "memory.tsv")
    assert cli(*translate(folder, folder / "set", folder / "memory.tsv"))[0] == 0
    return folder


@pytest.fixture
def refused(finished: Path) -> Callable[..., str]:
    """Runs a command that must fail: returns its one line, after a look that release and store are as they were."""

    def run(*arguments: object) -> str:
        before = digests(finished / "out")
        units = {name for name in digests(finished / "store") if name.endswith(".json")}
        code, _, err = cli(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("dsbuild: ")]
        assert code == 2, err
        assert len(lines) == 1, err
        assert err.rstrip().endswith(lines[0]), "the line is the last thing said"
        assert "Traceback" not in err
        assert digests(finished / "out") == before, "the earlier release is untouched"
        assert units <= set(digests(finished / "store")), "finished units are still there"
        assert not list(finished.glob(".out.partial/manifest.json"))
        return lines[0]

    return run


@pytest.fixture
def other(tmp_path: Path, finished: Path) -> Callable[..., list[object]]:
    """The arguments that translate a changed set over the finished release."""

    def arguments(source: Path, *more: object, langs: str = "hi,ta") -> list[object]:
        return translate(finished, source, finished / "memory.tsv", *more, langs=langs)

    return arguments


def changed(folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A set with one file changed."""
    source = write_set(folder / "set")
    (source / name).write_bytes(change((source / name).read_bytes()))
    return source


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--langs", "hin"), "no language 'hin'. Did you mean 'hi'?"),
        (("--langs", "hi,tamil"), "no language 'tamil'. Did you mean 'ta'?"),
        (("--langs", "hi,en"), "the source is in en already"),
        (("--langs", "hi,HI"), "hi named twice"),
        (("--langs", ""), "langs"),
        (("--langs", "te"), "no pair en -> te; it has"),
        (("--engine", "memry"), "no engine 'memry'. Did you mean 'memory'?"),
        (("--engine", "ctranslate"), "Did you mean 'ctranslate2'?"),
        (("--set", "engine.fil=x"), "Did you mean 'file'?"),
        (("--set", "engine.file=nowhere.tsv"), "nowhere.tsv: no such file"),
        (("--set", "bitext.max_lenght_ratio=2"), "Did you mean 'bitext.max_length_ratio'?"),
        (("--set", "bitext.max_length_ratio=30"), "wider than the prior's bound"),
        (("--set", "bitext.max_loop=high"), "bitext.max_loop"),
        (("--set", "sauce.src=x"), "Did you mean 'source'?"),
        (("--set", "parallel"), "write it as a.b=value"),
        (("--src", "bier:x"), "no source 'bier'. Did you mean 'beir'?"),
        (("--src", "beir:nowhere"), "nowhere: no such folder"),
        (("--src", "beir"), "beir needs a folder"),
        (("--only", "corpse"), "only"),
        (("--max-drop", "lots"), "'lots' is not a share"),
        (("--max-drop", "200%"), "'200%' is not a share"),
        (("--glossary", "nowhere.tsv"), "nowhere.tsv"),
        (("--recipe", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("--recipe", "smaple"), "Did you mean 'sample'?"),
        (("--workers", "0"), "--workers 0"),
    ],
)  # fmt: skip
def test_options(finished: Path, refused, other, more: tuple[str, str], said: str) -> None:
    arguments = other(finished / "set")
    if more[0] in arguments and more[0] != "--set":
        arguments[arguments.index(more[0]) + 1] = more[1]
    else:
        arguments += more
    assert said in refused(*arguments)


def test_a_source_whose_language_is_not_known(finished: Path, refused, other) -> None:
    arguments = other(finished / "set")
    del arguments[(place := arguments.index("--src-lang")) : place + 2]
    (finished / "numbers").mkdir()
    (finished / "numbers" / "corpus.jsonl").write_text('{"_id": "d1", "text": "12 345"}\n', "utf-8")
    (finished / "numbers" / "queries.jsonl").write_text('{"_id": "q1", "text": "12"}\n', "utf-8")
    arguments[arguments.index("--src") + 1] = f"beir:{finished / 'numbers'}"
    assert "its language is not known" in refused(*arguments)


def test_without_judgements(tmp_path: Path, refused, other) -> None:
    source = write_set(tmp_path / "set", qrels={})
    assert "qrels=none" in refused(*other(source))
    code, out, err = cli(
        *translate(
            tmp_path,
            source,
            write_memory(tmp_path / "memory.tsv"),
            "--set",
            "source.options.qrels=none",
            "--format",
            "json",
        )
    )
    assert (code, json.loads(out)["languages"]["hi"]["kept"]) == (0, len(DOCS) + len(QUERIES)), err


@pytest.mark.parametrize(
    ("docs", "queries", "qrels", "said"),
    [
        ([*DOCS, DOCS[0]], QUERIES, QRELS, "corpus: doc_id 'd1' is there twice, rows 1 and 10"),
        (DOCS, QUERIES, [*QRELS, ("q1", "d99", 1)], "a doc_id that is not in corpus, first row 9 (query 'q1', document 'd99')"),
        (DOCS, QUERIES, [*QRELS, ("q99", "d1", 1)], "a query_id that is not in queries"),
        (DOCS, QUERIES, [*QRELS, ("q1", "d1", 0)], "are judged 0 and 2"),
        (DOCS, QUERIES, [], "no rows"),
        ([], QUERIES, QRELS, "corpus"),
        ([*DOCS, ("d\n10", "", RIVER)], QUERIES, QRELS, "corpus.jsonl:10: doc_id 'd\\n10' has a line end"),
        ([*DOCS, ("", "", RIVER)], QUERIES, QRELS, "corpus.jsonl:10: doc_id '' is empty"),
        ([*DOCS, ("d10", "", "rain\0fall")], QUERIES, QRELS, "corpus.jsonl:10: id 'd10': a NUL character"),
        (DOCS, {**QUERIES, "q6\t": RIVER}, QRELS, "queries.jsonl:6"),
    ],
)  # fmt: skip
def test_rows(tmp_path: Path, refused, other, docs, queries, qrels, said: str) -> None:
    assert said in refused(*other(write_set(tmp_path / "set", docs, queries, {"test": qrels})))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("corpus.jsonl", lambda data: data.replace(b"River", b"R\xffver", 1), "corpus.jsonl:1: invalid UTF-8 (byte 0xff)"),
        ("queries.jsonl", lambda data: data.replace(b"where", b"wh\0re"), "queries.jsonl:1: a NUL character"),
        ("corpus.jsonl", lambda data: data[:-20], "corpus.jsonl:9: not JSON"),
        ("corpus.jsonl", lambda data: data.replace(b'"text"', b'"body"', 1), "corpus.jsonl:2: id 'd2': no 'body'"),
        ("qrels/test.tsv", lambda data: data.replace(b"\t3\n", b"\tvery\n"), "test.tsv"),
        ("corpus.jsonl", lambda data: b"", "corpus"),
        ("corpus.jsonl", lambda data: data.decode().encode("utf-16"), "corpus.jsonl"),
    ],
)  # fmt: skip
def test_bytes(tmp_path: Path, refused, other, name: str, change, said: str) -> None:
    line = refused(*other(changed(tmp_path, name, change)))
    assert said in line
    assert name in line


def test_judgements_of_missing_rows_may_be_left_out(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", qrels={"test": [*QRELS, ("q1", "d99", 1)]})
    arguments = translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), "--set", "source.on_missing=drop")
    assert cli(*arguments)[0] == 0
    found = [row for row in rows(tmp_path / "out", "dropped/verdicts*") if row["outcome"] == "orphaned"]
    assert [(row["table"], row["id"], row["rule"]) for row in found] == [("qrels", "q1\td99", "not_in_source")]
    assert cli("verify", tmp_path / "out")[0] == 0


def test_a_line_of_two_megabytes_and_an_empty_text_are_legal(tmp_path: Path) -> None:
    long = f"{RIVER} " * (2_000_000 // (len(RIVER) + 1) + 1)
    source = write_set(tmp_path / "set", [*DOCS, ("long", "", long)])
    code, _, err = cli(*translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), langs="hi"))
    assert code == 0, err
    assert "1 row of more than 1,000,000 characters, first 'long'" in err
    assert "1 row with neither title nor text, first 'd7'" in err
    kept = {row["doc_id"]: row["text"] for row in rows(tmp_path / "out", "hi-corpus/*")}
    assert kept["d7"] == ""
    assert kept["long"].count("।") == long.count(".")


def test_passages_in_another_language_than_said(tmp_path: Path, finished: Path) -> None:
    """They are told of and flagged; a whole set in another language does not pass in silence either."""
    docs = [*DOCS, ("ta1", "", said(RIVER, "ta")), ("es1", "", f"{said(RIVER, 'es')} {said(WOOL, 'es')}")]
    source = write_set(tmp_path / "set", docs)
    code, _, err = cli(*translate(tmp_path, source, finished / "memory.tsv", langs="hi"))
    assert code == 0, err
    assert "corpus: 2 of 11 rows looked at seem to be in another language than en, first 'ta1'" in err
    found = [row for row in rows(tmp_path / "out", "dropped/verdicts*") if row["rule"] == "source_language"]
    assert [(row["table"], row["lang"], row["id"], row["outcome"]) for row in found] == [
        ("corpus", "en", "ta1", "flagged"),
        ("corpus", "en", "es1", "flagged"),
    ]
    told = cli("explain", tmp_path / "out", "--id", "ta1")[1]
    assert "failed by missing" in told
    assert "flagged by source_language" in told


@pytest.mark.parametrize("kind", ["empty", "transformers", "file", "absent"])
def test_a_model_folder_of_the_wrong_kind(tmp_path: Path, finished: Path, refused, kind: str) -> None:
    model = tmp_path / "model"
    if kind == "file":
        model.write_text("weights")
    elif kind != "absent":
        model.mkdir()
    if kind == "transformers":
        (model / "config.json").write_text('{"model_type": "marian", "architectures": ["MarianMTModel"]}')
        (model / "pytorch_model.bin").write_bytes(b"weights")
    arguments = [
        "translate",
        "--src",
        f"beir:{finished / 'set'}",
        "--src-lang",
        "en",
        "--langs",
        "hi",
        "--model",
        model,
    ]
    line = refused(*arguments, "--engine", "ctranslate2", "--out", finished / "out", "--store", finished / "store")
    assert str(model) in line


def test_two_runs_on_one_output(finished: Path, refused, other) -> None:
    with (finished / ".out.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "another run is writing it" in refused(*other(finished / "set"))
    assert cli(*other(finished / "set"))[0] == 0


def test_two_runs_on_one_store(tmp_path: Path) -> None:
    """At the same time, with an output each: both end well and say the same of what they share."""
    source, memory = write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv")
    runs = []
    for number in range(2):
        arguments = translate(tmp_path, source, memory)
        arguments[arguments.index("--out") + 1] = tmp_path / f"out-{number}"
        runs.append(
            subprocess.Popen(
                [sys.executable, "-m", "dsbuild", *map(str, arguments)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    errors = [process.communicate()[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], errors
    assert digests(tmp_path / "out-0") == digests(tmp_path / "out-1")


def test_an_output_of_another_version(tmp_path: Path, finished: Path, refused) -> None:
    old = tmp_path / "out"
    shutil.copytree(finished / "out", old)
    manifest = json.loads((old / "manifest.json").read_text("utf-8"))
    (old / "manifest.json").write_text(json.dumps({**manifest, "format": 0}), "utf-8")
    before = digests(old)
    arguments = translate(finished, finished / "set", finished / "memory.tsv")
    arguments[arguments.index("--out") + 1] = old
    line = refused(*arguments)
    assert "a release of format 0, this version writes 1" in line
    assert digests(old) == before
    for command in (
        ("status", old),
        ("verify", old),
        ("explain", old, "--id", "d1"),
        ("what-if", old, "--set", "bitext.max_loop=0.1"),
    ):
        assert "format 0" in refused(*command)


def test_an_output_that_is_something_else(tmp_path: Path, finished: Path, refused) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name, wanted in (("notes", "is not empty and holds no manifest.json"), ("file", "is a file")):
        arguments = translate(finished, finished / "set", finished / "memory.tsv")
        arguments[arguments.index("--out") + 1] = tmp_path / name
        assert wanted in refused(*arguments)
    assert (tmp_path / "notes/thesis.txt").read_text() == "precious"


def test_a_store_of_another_version_or_damaged(tmp_path: Path, finished: Path, refused) -> None:
    for content, wanted in (('{"format": 7}', "format 7"), ("not JSON", "store.json")):
        (tmp_path / "store.json").write_text(content)
        arguments = translate(finished, finished / "set", finished / "memory.tsv")
        arguments[arguments.index("--store") + 1] = tmp_path
        assert wanted in refused(*arguments)


def test_folders_that_are_no_release(tmp_path: Path, refused, finished: Path) -> None:
    for command in ("status", "verify"):
        assert "this is not a (complete) release folder" in refused(command, tmp_path)
    assert "no row with the id 'd99'" in refused("explain", finished / "out", "--id", "d99")
    assert "Did you mean 'hi'?" in refused("explain", finished / "out", "--id", "d1", "--lang", "hii")
    assert "Did you mean 'bitext'?" in refused("what-if", finished / "out", "--set", "bitetx.max_loop=1")
    assert "Did you mean 'bitext.max_loop'?" in refused("what-if", finished / "out", "--set", "bitext.max_lop=1")
    assert "name a threshold" in refused("what-if", finished / "out")
    assert "Did you mean 'engines'?" in refused("list", "engine")


def test_a_folder_for_a_file_and_a_file_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trusted.jsonl").write_text(json.dumps({"text": "A text that is trusted."}) + "\n", "utf-8")
    learn = ("calibrate", "--src", "jsonl:trusted.jsonl", "--lang", "en", "--out")
    for arguments, words in [
        ((*learn, "."), ".: is a folder; name a file"),
        ((*learn, "trusted.jsonl/hi.json"), "a file stands where a folder is needed"),
        (("what-if", "trusted.jsonl", "--set", "length.min_letters=3"), "not a (complete) release folder"),
        (("split", "--src", "absent"), "absent: no such file or folder; name it as KIND:PATH"),
    ]:
        code, _, err = cli(*arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert words in err
