from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.errors import RecipeError
from dsbuild.filters.exact_duplicates import FindExact
from dsbuild.filters.near_duplicates import FindNear, Near, near_duplicates
from dsbuild.filters.sign_rows import SignRows
from dsbuild.stage import Shards, Workspace, parameters

NTREX = Path(__file__).parent.parent.parent / "shared/data/parallel/ntrex"
BASE = "Every morning the old fisherman rowed his small blue boat out of the harbour before the first gulls woke up."
LONGER = BASE + " Again."
OTHER = "Nobody in the valley could remember a winter in which the river had frozen as early as it did that year."


def stage_run(
    folder: Path, tables: dict[str, list[pa.Table]], signer: SignRows, near: Near, order: tuple[str, ...] = ()
):
    """Sign, find exact, find near: the outputs of both by table, and the facts of the last."""
    work = Workspace("unit", folder, folder)
    inputs: dict[str, Any] = {}
    for table, shards in tables.items():
        paths: dict[str, list[Path]] = {"rows": [], "keys": []}
        for number, rows in enumerate(shards):
            for name in paths:
                paths[name].append(folder / f"{name}-{table}-{number}.parquet")
            parquet.write_unit(paths["rows"][-1], rows)
            keys = next(iter(signer.run({"rows": rows}, work).outputs["keys"])).table
            parquet.write_unit(paths["keys"][-1], keys)
        for name, made in paths.items():
            inputs[f"{name}.{table}" if table else name] = Shards(made)
    exact = {name: [one.table for one in shards] for name, shards in FindExact(order).run(inputs, work).outputs.items()}
    for name, found in exact.items():
        paths_of = [folder / f"{name}-{number}.parquet" for number in range(len(found))]
        for path, table_of in zip(paths_of, found, strict=True):
            parquet.write_unit(path, table_of)
        inputs[name.replace("out", "exact")] = Shards(paths_of)
    result = FindNear(dict.fromkeys(tables, signer.fields), near, order).run(inputs, work)
    return exact, {name: [one.table for one in shards] for name, shards in result.outputs.items()}, result.facts


def rows_of(texts: list[str], first: int = 0, **columns: list[Any]) -> pa.Table:
    return pa.table({"id": [f"d{first + row}" for row in range(len(texts))], "text": texts, **columns})


def test_the_longest_of_similar_texts_is_kept() -> None:
    found = near_duplicates([BASE, OTHER, LONGER, BASE.upper(), "", "", "!"])
    assert found.keeper.tolist() == [2, 1, 2, 2, 4, 4, 6]
    assert found.jaccard[0] == found.jaccard[3] == pytest.approx(found.jaccard[0])
    assert 0.8 <= found.jaccard[0] < 1
    assert found.kept.tolist() == [False, True, True, False, True, False, True]
    assert near_duplicates([BASE, LONGER], policy="earliest").keeper.tolist() == [0, 0]
    assert near_duplicates([BASE, LONGER, BASE], policy="best", scores=[0.1, 0.2, 0.9]).keeper.tolist() == [2, 2, 2]
    assert near_duplicates([]).keeper.tolist() == []
    assert near_duplicates(["a\ud800b c", "a\ud800b c"]).keeper.tolist() == [0, 0]


def test_no_pair_below_the_threshold_is_a_duplicate() -> None:
    draw = np.random.default_rng(1)
    words = [f"w{number}" for number in range(500)]
    texts = []
    for _ in range(60):
        one = draw.choice(words, 60).tolist()
        texts.append(" ".join(one))
        for _ in range(4):
            other = list(one)
            for place in draw.choice(60, int(draw.integers(0, 6)), replace=False):
                other[place] = str(draw.choice(words))
            texts.append(" ".join(other))
    sets = [{tuple(text.split()[at : at + 5]) for at in range(56)} for text in texts]

    def similarity(one: int, other: int) -> float:
        return len(sets[one] & sets[other]) / len(sets[one] | sets[other])

    found = near_duplicates(texts, jaccard=0.7, unit="words")
    kept = np.flatnonzero(found.kept).tolist()
    for row, keeper in enumerate(found.keeper.tolist()):
        assert keeper in kept
        assert found.jaccard[row] == similarity(row, keeper)
        assert row == keeper or similarity(row, keeper) >= 0.7
    missed = sum(similarity(one, other) >= 0.7 for one in kept for other in kept if one < other)
    assert missed <= 0.02 * (~found.kept).sum()
    again = near_duplicates(pa.chunked_array([texts[:7], texts[7:]]), jaccard=0.7, unit="words")
    assert (again.keeper == found.keeper).all()


def test_stages_agree_with_the_function(tmp_path) -> None:
    draw = np.random.default_rng(2)
    texts = [" ".join(draw.choice(["ab", "cd", "ef", "gh", "ij"], 6).tolist()) for _ in range(300)]
    near = Near(jaccard=0.7, unit="words", n=2, texts=300)
    tables = {"": [rows_of(texts[:100]), rows_of([], 100), rows_of(texts[100:], 100)]}
    exact, found, facts = stage_run(tmp_path, tables, SignRows("id", ("text",), near=near), near)
    gone = pa.concat_tables(exact["out"])["id"].to_pylist()
    left = [row for row in range(300) if f"d{row}" not in set(gone)]
    assert [texts[row] for row in left] == list(dict.fromkeys(texts)), "the first of equals stays"
    wanted = near_duplicates([texts[row] for row in left], jaccard=0.7, unit="words", n=2)
    pairs = {(row["id"], row["keeper"]): row["jaccard"] for row in pa.concat_tables(found["out"]).to_pylist()}
    assert pairs == {
        (f"d{left[row]}", f"d{left[keeper]}"): wanted.jaccard[row]
        for row, keeper in enumerate(wanted.keeper.tolist())
        if row != keeper
    }
    assert len(pairs) == facts["duplicates"] > 5
    assert [len(exact["out"]), len(found["out"])] == [3, 3]
    again = stage_run(tmp_path, tables, SignRows("id", ("text",), near=near), near)
    assert (exact, found, facts) == again


def test_across_tables_protected_rows_and_fates(tmp_path) -> None:
    train = rows_of([BASE, LONGER, OTHER, OTHER + " "], split=["train"] * 4, fate=["kept", "kept", "kept", "dropped"])
    test = rows_of([BASE.upper(), OTHER], split=["test", "test"])
    signer = SignRows("id", ("text",), near=Near(), protected=("test",))
    exact, found, _ = stage_run(tmp_path, {"train": [train], "test": [test]}, signer, Near(), ("train", "test"))
    assert exact["out.test"][0].num_rows == found["out.test"][0].num_rows == 0
    assert exact["out.train"][0].to_pylist() == [
        {
            "table": "train",
            "row": 2,
            "id": "d2",
            "keeper_table": "test",
            "keeper": "d1",
            "kind": "exact",
            "jaccard": 1.0,
        }
    ]
    near = found["out.train"][0].to_pylist()
    assert [(row["row"], row["keeper_table"], row["keeper"], row["kind"]) for row in near] == [
        (0, "test", "d0", "near"), (1, "test", "d0", "near"),
    ]  # fmt: skip
    assert near[0]["jaccard"] == 1.0


def test_fields_are_joined(tmp_path) -> None:
    rows = pa.table({"id": ["a", "b"], "title": ["The boat", None], "text": [BASE, "The boat\n" + BASE]})
    signer = SignRows("id", ("title", "text"), near=Near())
    exact, found, _ = stage_run(tmp_path, {"": [rows]}, signer, Near())
    assert exact["out"][0]["id"].to_pylist() == ["a"]
    assert found["out"][0].num_rows == 0


def test_what_enters_the_key() -> None:
    assert parameters(FindNear({"": ("text",)}, Near(jaccard=0.9)))["near"] == {
        "jaccard": 0.9, "recall": 0.98, "unit": "graphemes", "n": 0, "texts": 1_000_000,
    }  # fmt: skip
    with pytest.raises(RecipeError, match="recall"):
        near_duplicates(["a"], recall=1.0)


@pytest.mark.skipif(not NTREX.is_dir(), reason="NTREX lies beside the project")
def test_one_changed_word_is_judged_alike_in_four_languages() -> None:
    alike = {}
    for lang, name in {"en": "src.eng", "hi": "ref.hin", "mr": "ref.mar", "ta": "ref.tam"}.items():
        with gzip.open(NTREX / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as handle:
            lines = handle.read().splitlines()[:450]
        passages = [" ".join(lines[first : first + 3]) for first in range(0, 450, 3)]
        edited = []
        for number, passage in enumerate(passages):
            words = passage.split(" ")
            words[number % len(words)] = lines[number].split(" ")[0] + "x"
            edited.append(" ".join(words))
        found = near_duplicates([*passages, *edited], recall=0.9999, policy="earliest")
        alike[lang] = float(np.mean(found.keeper[150:] == np.arange(150)))
    assert min(alike.values()) > 0.9
    assert max(alike.values()) - min(alike.values()) <= 0.05
