"""status, explain, what-if, lists, doctor: what they say of a finished release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsbuild.builders.releases.explaining import explain
from dsbuild.builders.releases.inspection import status, what_if
from tests.small_set import CAFE, MARKET, QRELS, WATER, WOOL, cli, digests, make, rows, said, write_memory, write_set


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The releases of a training set: plain, and with parallel rows only; WOOL is copied in hi, CAFE missing in ta."""
    made = {}
    for name, parallel in (("plain", False), ("parallel", True)):
        folder = tmp_path_factory.mktemp(name)
        source = write_set(folder / "set", qrels={"train": QRELS})
        memory = write_memory(
            folder / "memory.tsv",
            missing={"ta": [CAFE]},
            changed={(WOOL, "hi"): f"{said(WOOL, 'hi')} {said(WATER, 'hi')} {said(MARKET, 'hi')}"},
        )
        make(folder, source, memory, ("hi", "ta"), ["bitext.max_length_ratio=1.9"], parallel=parallel)
        made[name] = folder / "out"
    return made


def test_status_tells_tables_and_fates(folders: dict[str, Path]) -> None:
    out = folders["plain"]
    code, printed, _ = cli("status", out, "--format", "json")
    found = json.loads(printed)
    assert (code, found) == (0, status(out))
    assert list(found) == ["name", "version", "dsbuild", "state", "configs", "accounting", "engines"]
    assert (found["state"], found["version"]) == ("complete", "0.0.0-draft")
    for row in found["configs"]:
        assert row["rows"] == len(rows(out, f"{row['config']}/{row['split']}-*"))
        assert row["size_bytes"] == sum(path.stat().st_size for path in out.glob(f"{row['config']}/{row['split']}-*"))
    assert {(row["lang"], row["table"]) for row in found["accounting"]} == {
        (lang, table) for lang in ("hi", "ta") for table in ("corpus", "queries", "qrels")
    }
    assert "complete" in cli("status", out)[1]


def test_status_tells_of_a_cut_file(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folders["plain"], tmp_path / "copy"))
    (copy / "README.md").write_text("cut")
    assert status(copy)["state"] == "damaged: README.md: changed since the release was written"


def test_explain_shows_segments_scores_and_rules(folders: dict[str, Path]) -> None:
    out = folders["plain"]
    found = explain(out, "d8", "hi")
    (row,) = found["rows"]
    assert (row["lang"], row["table"], row["fate"], row["verdicts"]) == ("hi", "corpus", "kept", [])
    assert [(one["field"], one["segment"]) for one in row["segments"]] == [("title", 0), ("text", 0), ("text", 1)]
    assert (row["segments"][2]["source"], row["segments"][2]["translation"]) == (WATER, said(WATER, "hi"))
    assert "length_ratio" in row["row"]
    (row,) = explain(out, "d9", "hi")["rows"]
    assert row["fate"] == "dropped"
    assert (row["verdicts"][0]["rule"], row["verdicts"][0]["threshold"], row["verdicts"][0]["threshold_source"]) == (
        "length_ratio",
        1.9,
        "user",
    )
    code, printed, _ = cli("explain", out, "--id", "d9")
    assert code == 0
    assert "hi-corpus d9: dropped" in printed
    assert "decide: dropped by length_ratio" in printed
    assert "1.9" in printed
    assert [row["lang"] for row in explain(out, "d6", None)["rows"]] == ["en", "hi", "ta"]
    assert cli("explain", out, "--id", "a/b/../d3", "--format", "json")[0] == 0


def test_what_if_agrees_with_a_build(folders: dict[str, Path], tmp_path: Path) -> None:
    """For every looser and tighter bound: what it foretells is what a build with that bound then does."""
    for name, parallel in (("plain", False), ("parallel", True)):
        before = digests(folders[name])
        for bound in ("1.9", "2.9", "1.2"):
            found = what_if(folders[name], [f"bitext.max_length_ratio={bound}"])
            if bound == "1.9":
                assert not any(row["newly_dropped"] or row["newly_kept"] for row in found["tables"])
                continue
            again = tmp_path / f"{name}-{bound}"
            source = folders[name].parent / "set"
            built = make(
                again,
                source,
                folders[name].parent / "memory.tsv",
                ("hi", "ta"),
                [f"bitext.max_length_ratio={bound}"],
                parallel=parallel,
            )
            for row in found["tables"]:
                accounted = built.manifest["accounting"][row["lang"]][row["table"]]
                assert (row["in"], row["kept_then"]) == (accounted["in"], accounted["kept"]), (name, bound, row)
                now = {
                    r["doc_id" if row["table"] == "corpus" else "query_id"]
                    for r in rows(folders[name], f"{row['lang']}-{row['table']}/*")
                }
                assert row["kept"] == len(now)
                assert row["kept"] - row["newly_dropped"] + row["newly_kept"] == row["kept_then"]
        assert digests(folders[name]) == before


def test_what_if_as_json(folders: dict[str, Path]) -> None:
    code, printed, _ = cli("what-if", folders["plain"], "--set", "bitext.max_length_ratio=3", "--format", "json")
    found = json.loads(printed)
    assert code == 0
    assert list(found) == ["settings", "tables", "notes"]
    assert list(found["tables"][0]) == [
        "lang",
        "table",
        "in",
        "kept",
        "kept_then",
        "newly_dropped",
        "newly_kept",
        "reasons",
    ]
    assert cli("what-if", folders["plain"], "--set", "bitext.max_length_ratio=3")[0] == 0


@pytest.mark.parametrize("kind", ["engines", "sources", "filters", "retrievers", "rules", "recipes", "languages"])
def test_lists(kind: str) -> None:
    code, printed, _ = cli("list", kind, "--format", "json")
    found = json.loads(printed)
    assert code == 0
    assert all(list(row) == ["name", "about"] for row in found)
    assert all(row["about"] for row in found)
    expected = {
        "engines": {"apertium", "ctranslate2", "llm", "memory", "mini"},
        "recipes": {"sample", "mmarco"},
        "languages": {"hi", "mr", "ta"},
    }
    assert expected.get(kind, set()) <= {row["name"] for row in found}
    assert found[0]["name"] in cli("list", kind)[1]


def test_doctor_and_models() -> None:
    code, printed, _ = cli("doctor", "--format", "json")
    assert code == 0
    assert {"python", "ctranslate2", "apertium", "cuda"} <= {row["what"] for row in json.loads(printed)}
    code, printed, _ = cli("models", "list", "--format", "json")
    assert code == 0
    assert json.loads(printed)[0]["name"] == "mini"
    assert {"name", "family", "license", "size_gb", "languages", "here"} == set(json.loads(printed)[0])
