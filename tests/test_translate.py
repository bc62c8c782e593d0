"""The whole command on small sets: what it reads, writes, prints, and does a second time."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from dsbuild.tables import CORPUS, QRELS, QUERIES
from tests.small_set import (
    ASK_RIVER,
    CAFE,
    DOCS,
    MARKET,
    RICE,
    RIVER,
    SCHOOL,
    TRAIN,
    WOOL,
    cli,
    command,
    digests,
    make,
    rows,
    said,
    translate,
    write_memory,
    write_set,
)  # fmt: skip
from tests.small_set import (
    QRELS as JUDGED,
)
from tests.small_set import (
    QUERIES as ASKED,
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, a memory, and the release of the real command (hi and ta; one sentence is missing in ta)."""
    folder = tmp_path_factory.mktemp("work")
    source, memory = write_set(folder / "set"), write_memory(folder / "memory.tsv", missing={"ta": [CAFE]})
    for path in source.rglob("*.*"):
        # The digest of a file that was just written is not remembered.
        os.utime(path, (1e9, 1e9))
    done = command(*translate(folder, source, memory, "--format", "json"), cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed.json").write_text(done.stdout)
    return folder


def inputs(work: Path) -> tuple[Path, Path]:
    return work / "set", work / "memory.tsv"


def test_the_json_summary_has_the_promised_shape(work: Path) -> None:
    found = json.loads((work / "printed.json").read_text())
    assert list(found) == ["release", "languages"]
    assert found["release"] == str(work / "out")
    assert list(found["languages"]) == ["hi", "ta"]
    for row in found["languages"].values():
        assert list(row) == [
            "in",
            "kept",
            "repaired",
            "dropped",
            "failed",
            "reasons",
            "segments",
            "reused",
            "tokens_per_s",
        ]
        assert all(isinstance(row[name], int) for name in row if name not in ("reasons", "tokens_per_s"))
        assert row["in"] == len(DOCS) + len(ASKED)
        assert row["tokens_per_s"] > 0
    assert found["languages"]["hi"]["reasons"] == {}
    assert found["languages"]["ta"]["reasons"] == {"missing": 1}
    assert found["languages"]["ta"]["failed"] == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_every_configuration_opens_with_datasets(work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    out = work / "out"
    names = {f"{lang}-{table}" for lang in ("en", "hi", "ta") for table in ("corpus", "queries", "qrels")}
    assert set(datasets.get_dataset_config_names(str(out))) == names
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    for name in sorted(names):
        loaded = datasets.load_dataset(str(out), name, cache_dir=str(tmp_path))
        assert set(loaded) == set(manifest["configs"][name]["splits"])
        for split, data in loaded.items():
            assert data.num_rows == manifest["configs"][name]["splits"][split]["rows"]
            lang, _, table = name.partition("-")
            schema = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS}[table]
            assert [column for column in schema.names if column != "split"] == data.column_names[
                : len(schema) - ("split" in schema.names)
            ]
            if table != "qrels":
                assert set(data["lang"]) == {lang}
    assert list(datasets.load_dataset(str(out), "hi-qrels", cache_dir=str(tmp_path))) == ["test"]


def test_rows_are_put_together_again_exactly(work: Path) -> None:
    hindi = {row["doc_id"]: row for row in rows(work / "out", "hi-corpus/*")}
    assert hindi["d8"]["title"] == "नदी"
    assert hindi["d8"]["text"] == f"{said(RIVER, 'hi')}   {said(DOCS[1][2].split('- ')[2], 'hi')}"
    assert hindi["a/b/../d3"]["text"] == said(MARKET, "hi")
    assert hindi["d6"]["text"] == said(CAFE, "hi"), "mended before it was looked up"
    asked = {row["query_id"]: row for row in rows(work / "out", "ta-queries/*")}
    assert asked["q1"]["text"] == said(ASK_RIVER, "ta")
    assert {row["origin"] for row in asked.values()} == {"translated"}
    assert {row["query_id"]: row["text"] for row in rows(work / "out", "en-queries/*")} == ASKED
    assert {(row["query_id"], row["doc_id"], row["relevance"]) for row in rows(work / "out", "ta-qrels/*")} == set(
        JUDGED
    )


def test_mojibake_is_mended_with_a_verdict(work: Path, tmp_path: Path) -> None:
    found = [row for row in rows(work / "out", "dropped/verdicts*") if row["rule"] == "mojibake"]
    assert [(row["table"], row["lang"], row["id"], row["stage"], row["outcome"]) for row in found] == [
        ("corpus", "en", "d6", "mend", "repaired")
    ]
    assert json.loads(found[0]["detail"])["before"] == DOCS[5][2]
    assert next(row for row in rows(work / "out", "en-corpus/*") if row["doc_id"] == "d6")["text"] == CAFE
    make(tmp_path, *inputs(work), ("hi",), ["mend=false"])
    assert next(row for row in rows(tmp_path / "out", "en-corpus/*") if row["doc_id"] == "d6")["text"] == DOCS[5][2]


def test_an_evaluation_set_keeps_judged_rows_with_a_flag(tmp_path: Path) -> None:
    wrong = {(MARKET, "hi"): MARKET, (ASK_RIVER, "hi"): ASK_RIVER}
    source = write_set(tmp_path / "set", [*DOCS, ("unjudged", "", MARKET)])
    make(tmp_path, source, write_memory(tmp_path / "memory.tsv", changed=wrong), ("hi",))
    corpus = {row["doc_id"]: row["flag"] for row in rows(tmp_path / "out", "hi-corpus/*")}
    assert corpus["a/b/../d3"] == "bad_translation"
    assert "unjudged" not in corpus
    assert [row["doc_id"] for row in rows(tmp_path / "out", "dropped/hi-corpus*")] == ["unjudged"]
    assert {row["query_id"]: row["flag"] for row in rows(tmp_path / "out", "hi-queries/*")}["q1"] == "bad_translation"
    assert len(rows(tmp_path / "out", "hi-qrels/*")) == len(JUDGED)


def test_a_training_set_drops_queries_without_positives(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", qrels={"train": JUDGED})
    built = make(tmp_path, source, write_memory(tmp_path / "memory.tsv", missing={"hi": [WOOL]}), ("hi",))
    out = tmp_path / "out"
    assert {row["doc_id"] for row in rows(out, "dropped/hi-corpus*")} == {"d1", "d9"}
    assert {row["query_id"] for row in rows(out, "dropped/hi-queries*")} == {"q5"}, "q1 has another positive"
    assert built.summary["languages"]["hi"]["reasons"] == {"missing": 2, "no_positive": 1}
    orphaned = {
        row["id"]: (row["rule"], row["detail"])
        for row in rows(out, "dropped/verdicts*")
        if row["outcome"] == "orphaned"
    }
    assert orphaned == {
        "q1\td1": ("doc_dropped", "doc"),
        "q5\td9": ("query_dropped", "query and doc"),
        "q5\td1": ("query_dropped", "query and doc"),
    }


def test_a_set_of_which_nothing_survives(tmp_path: Path) -> None:
    """Empty tables are files of the release, but no configurations: `datasets` cannot open a split without rows."""
    import datasets

    source = write_set(tmp_path / "set", [("d1", "", SCHOOL)], {"q1": "why so"}, {"train": [("q1", "d1", 1)]})
    built = make(tmp_path, source, write_memory(tmp_path / "memory.tsv", missing={"hi": [SCHOOL]}), ("hi",))
    assert (built.summary["languages"]["hi"]["kept"], built.summary["languages"]["hi"]["failed"]) == (0, 2)
    assert set(datasets.get_dataset_config_names(str(tmp_path / "out"))) == {"en-corpus", "en-queries", "en-qrels"}
    assert rows(tmp_path / "out", "hi-*/*.parquet") == []
    assert len(list(tmp_path.glob("out/hi-*/*.parquet"))) == 3
    assert cli("verify", tmp_path / "out")[0] == 0


def test_the_same_command_elsewhere_writes_the_same_bytes(work: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(work / "set", tmp_path / "elsewhere/set")
    memory = shutil.copy(work / "memory.tsv", tmp_path / "elsewhere/memory.tsv")
    make(tmp_path, Path(moved), Path(memory), workers=2, executor="local")
    assert digests(tmp_path / "out") == digests(work / "out")


def test_datatrove_places_the_same_work(work: Path, tmp_path: Path) -> None:
    pytest.importorskip("datatrove", reason="the datatrove executor needs the extra [scale]")
    make(tmp_path, *inputs(work), executor="datatrove")
    assert digests(tmp_path / "out") == digests(work / "out")


def test_a_second_run_writes_nothing(work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file() and path.suffix != ".lock"}
    code, out, _ = cli(*translate(work, *inputs(work), "--format", "json"))
    assert code == 0
    assert json.loads(out)["languages"]["ta"]["failed"] == 1
    assert {
        path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file() and path.suffix != ".lock"
    } == before


def test_a_lost_release_comes_back_from_the_store(work: Path) -> None:
    before = digests(work / "out")
    shutil.rmtree(work / "out")
    assert cli(*translate(work, *inputs(work)))[0] == 0
    assert digests(work / "out") == before


def test_another_language_reuses_the_work(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "store", tmp_path / "store")
    code, out, _ = cli(*translate(tmp_path, *inputs(work), "--dry-run", "--format", "json", langs="hi,ta,mr"))
    found = json.loads(out)
    assert code == 0
    assert list(found) == ["recipe", "nodes", "terms", "advice"]
    nodes = {line["node"]: line for line in found["nodes"]}
    assert set(nodes["unique"]) == {
        "node",
        "n_units",
        "n_done",
        "rows",
        "size_bytes",
        "seconds",
        "reasons",
        "waits_for",
    }
    assert all(
        nodes[name]["n_done"] == nodes[name]["n_units"] == 1
        for name in ("read", "unique", "translate.hi", "decide.ta.queries")
    )
    assert nodes["translate.mr"]["reasons"] == {"never run": 1}
    assert nodes["translate.mr"]["rows"] > 0
    assert nodes["cascade"]["waits_for"] != []
    assert not (tmp_path / "out").exists()


def test_the_plan_says_why(work: Path) -> None:
    def reasons(*more: object) -> dict[str, dict[str, int]]:
        code, out, err = cli(*translate(work, *inputs(work), "--dry-run", "--format", "json", *more))
        assert code == 0, err
        return {line["node"]: line["reasons"] for line in json.loads(out)["nodes"] if line["reasons"]}

    assert reasons() == {}
    changed = reasons("--set", "bitext.max_loop=0.1")
    assert set(changed) == {"decide.hi.corpus", "decide.hi.queries", "decide.ta.corpus", "decide.ta.queries"}
    assert changed["decide.hi.corpus"] == {'settings {} -> {"max_loop": 0.1}': 1}
    assert set(reasons("--parallel")) == {"cascade"}
    assert "parallel False -> True" in reasons("--parallel")["cascade"]
    text = cli(*translate(work, *inputs(work), "--dry-run"))[1]
    assert "done" in text
    assert "memory: unknown" in text


def test_plan_and_run_take_a_recipe(work: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    source, memory = inputs(work)
    recipe.write_text(
        f"build: translate\nsource:\n  src: beir:{source}\n  lang: en\nlangs: [hi, ta]\nengine:\n  name: memory\n  file: {memory}\n"
    )
    where = ("--store", work / "store")
    code, out, _ = cli("plan", recipe, *where, "--format", "json")
    assert code == 0
    assert all(line["n_done"] == line["n_units"] for line in json.loads(out)["nodes"])
    code, out, err = cli("run", recipe, *where, "--out", tmp_path / "out", "--format", "json")
    assert code == 0, err
    assert digests(tmp_path / "out") == digests(work / "out")
    recipe.write_text(recipe.read_text() + "lngs: [hi]\n")
    code, _, err = cli("run", recipe, *where, "--out", tmp_path / "out")
    assert code == 2
    assert err.startswith(f"dsbuild: {recipe}:9: no key 'lngs'. Did you mean 'langs'? Known: ")


def test_limit_keeps_judged_rows_and_consistent_judgements(work: Path, tmp_path: Path) -> None:
    code, out, err = cli(*translate(tmp_path, *inputs(work), "--limit", 7, "--format", "json", langs="hi"))
    assert code == 0, err
    assert "--limit leaves out 2 rows of corpus" in err
    kept = {row["doc_id"] for row in rows(tmp_path / "out", "hi-corpus/*")}
    assert len(kept) == 7
    assert kept >= {doc for _, doc, grade in JUDGED if grade}
    assert json.loads(out)["languages"]["hi"]["in"] == 7 + len(ASKED)
    assert {row["doc_id"] for row in rows(tmp_path / "out", "hi-qrels/*")} <= kept
    assert {row["doc_id"] for row in rows(tmp_path / "out", "en-corpus/*")} == kept


@pytest.mark.parametrize("table", ["corpus", "queries"])
def test_only_one_table(work: Path, tmp_path: Path, table: str) -> None:
    code, out, err = cli(*translate(tmp_path, *inputs(work), "--only", table, "--format", "json", langs="hi"))
    assert code == 0, err
    assert json.loads(out)["languages"]["hi"]["in"] == {"corpus": len(DOCS), "queries": len(ASKED)}[table]
    configs = set(json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))["configs"])
    assert configs == {"en-corpus", "en-queries", "en-qrels", f"hi-{table}", "hi-qrels"}
    assert cli("verify", tmp_path / "out")[0] == 0


def test_parallel_keeps_what_every_language_keeps(work: Path, tmp_path: Path) -> None:
    code, out, err = cli(*translate(tmp_path, *inputs(work), "--parallel", "--format", "json"))
    assert code == 0, err
    found = json.loads(out)["languages"]
    assert (found["hi"]["reasons"], found["ta"]["reasons"]) == ({"parallel": 1}, {"missing": 1})
    ids = [{row["doc_id"] for row in rows(tmp_path / "out", f"{lang}-corpus/*")} for lang in ("hi", "ta")]
    assert ids[0] == ids[1] == {doc[0] for doc in DOCS} - {"d6"}
    assert [(row["doc_id"], row["fate"]) for row in rows(tmp_path / "out", "dropped/hi-corpus*")] == [("d6", "dropped")]
    assert "d6: dropped" in cli("explain", tmp_path / "out", "--id", "d6", "--lang", "hi")[1]
    assert cli("verify", tmp_path / "out")[0] == 0


def test_max_drop_stops_a_bad_run_early_and_says_why(tmp_path: Path) -> None:
    docs = [(f"d{number}", "", f"This is sentence number {number} of them all.") for number in range(60)]
    source = write_set(tmp_path / "set", docs, {"q1": RICE}, {"test": [("q1", "d1", 1)]})
    arguments = translate(tmp_path, source, write_memory(tmp_path / "memory.tsv"), langs="hi")
    code, _, err = cli(*arguments, "--max-drop", "20%")
    assert code == 2
    assert re.search(
        r"^dsbuild: hi: 60 of the first 61 segments are bad \(most: missing, 60\), above --max-drop 20%",
        err,
        re.MULTILINE,
    )
    assert not (tmp_path / "out").exists()
    assert cli(*arguments, "--max-drop", "99%")[0] == 0


def test_settings_of_the_checks_decide(work: Path, tmp_path: Path) -> None:
    code, out, _ = cli(
        *translate(tmp_path, *inputs(work), "--set", "bitext.max_length_ratio=1.01", "--format", "json", langs="hi")
    )
    assert code == 0
    assert json.loads(out)["languages"]["hi"]["reasons"]["length_ratio"] >= 1
    dropped = [
        row
        for row in rows(tmp_path / "out", "dropped/verdicts*")
        if row["rule"] == "length_ratio" and row["outcome"] == "dropped"
    ]
    assert {(row["threshold"], row["threshold_source"], row["op"]) for row in dropped} == {(1.01, "user", ">")}
    assert all(row["value"] > 1.01 for row in dropped)


def test_the_text_summary_ends_with_samples_and_the_folder(work: Path) -> None:
    code, out, err = cli(*translate(work, *inputs(work)))
    assert code == 0
    assert out.splitlines()[0].split()[:6] == ["lang", "in", "kept", "repaired", "dropped", "failed"]
    assert "missing 1" in out
    assert out.count("\n  src  ") == 3
    assert out.rstrip().endswith(f"release: {work / 'out'}")
    assert "note: memory: unknown (name the file's licence" in err


def test_without_source_tables(work: Path, tmp_path: Path) -> None:
    make(tmp_path, *inputs(work), ("hi",), ["release.source_tables=false"])
    assert set(json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))["configs"]) == {
        "hi-corpus",
        "hi-queries",
        "hi-qrels",
    }
    assert cli("verify", tmp_path / "out")[0] == 0
    assert cli("explain", tmp_path / "out", "--id", "d1")[0] == 0


def test_a_train_and_a_test_split_stay_apart(tmp_path: Path) -> None:
    splits = {
        "train": [row for row in JUDGED if row[0] in ("q1", "q2")],
        "test": [row for row in JUDGED if row[0] not in ("q1", "q2")],
    }
    make(
        tmp_path,
        write_set(tmp_path / "set", qrels=splits),
        write_memory(tmp_path / "memory.tsv", missing={"hi": [TRAIN]}),
        ("hi",),
    )
    configs = json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))["configs"]
    assert {name: one["rows"] for name, one in configs["hi-qrels"]["splits"].items()} == {"test": 4, "train": 4}
    assert {name: one["rows"] for name, one in configs["hi-queries"]["splits"].items()} == {"test": 3, "train": 2}
    assert cli("verify", tmp_path / "out")[0] == 0


@pytest.mark.parametrize("spec", ["{}", "release:{}"])
def test_a_release_is_a_source(work: Path, tmp_path: Path, spec: str) -> None:
    src = spec.format(work / "out")
    options = ("--engine", "memory", "--set", f"engine.file={work / 'memory.tsv'}", "--store", tmp_path / "store")
    ask = ("translate", "--src", src, "--langs", "mr", *options, "--out", tmp_path / "mr")
    code, out, err = cli(*ask)
    assert (code, out) == (2, ""), err
    assert "it holds en, hi, ta; say which to read" in err
    assert cli(*ask, "--src-lang", "en")[0] == 0
    manifest = json.loads((tmp_path / "mr/manifest.json").read_text("utf-8"))
    assert manifest["source"]["name"] == json.loads((work / "out/manifest.json").read_text("utf-8"))["name"]
    assert {row["doc_id"] for row in rows(tmp_path / "mr", "mr-corpus/*.parquet")} == {doc[0] for doc in DOCS}
    assert cli("verify", tmp_path / "mr")[0] == 0


def test_a_damaged_release_is_no_source(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "out", tmp_path / "torn")
    next((tmp_path / "torn/en-corpus").iterdir()).unlink()
    code, out, err = cli(
        "translate", "--src", tmp_path / "torn", "--src-lang", "en", "--langs", "hi", "--engine", "mini"
    )
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "dsbuild verify" in err


@pytest.mark.parametrize(
    ("src", "message"),
    [
        ("", "no source is named; write KIND:PATH"),
        ("msmarco-sampel", "Did you mean 'msmarco-sample'"),
        ("nowhere", "nowhere: no such file or folder"),
    ],
)
def test_a_source_that_is_none_is_one_line(tmp_path: Path, src: str, message: str) -> None:
    code, out, err = cli("translate", "--src", src, "--langs", "hi", "--engine", "mini", "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_no_language_is_one_line(tmp_path: Path) -> None:
    code, _, err = cli(
        "translate", "--src", "msmarco-sample", "--langs", ",", "--engine", "mini", "--out", tmp_path / "out"
    )
    assert (code, err) == (2, "dsbuild: langs: no target language; name at least one, such as hi\n")
