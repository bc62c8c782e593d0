from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsbuild import parquet
from dsbuild.stage import Shards, Workspace
from dsbuild.translate.segments import SEGMENTS
from dsbuild.translate.unique import UniqueSegments

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "अ", "x y", "A", "long " * 5]), max_size=9), min_size=1, max_size=5
)


def shards_of(folder: Path, name: str, groups: list[list[str]]) -> Shards:
    paths = []
    for number, texts in enumerate(groups):
        path = folder / f"{name}-{number}.parquet"
        columns = [range(len(texts)), ["text"] * len(texts), [0] * len(texts), [len(text) for text in texts], texts]
        parquet.write_unit(
            path,
            pa.table(
                [pa.array(column, kind.type) for column, kind in zip(columns, SEGMENTS, strict=True)], schema=SEGMENTS
            ),
        )
        paths.append(path)
    return Shards(paths)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corpus=TEXTS, queries=TEXTS, unit=st.integers(1, 4))
def test_every_segment_finds_its_text_and_each_text_stands_once(tmp_path_factory, corpus, queries, unit) -> None:
    folder = tmp_path_factory.mktemp("unique")
    inputs = {"corpus": shards_of(folder, "corpus", corpus), "queries": shards_of(folder, "queries", queries)}
    result = UniqueSegments(unit_segments=unit).run(inputs, Workspace("k", folder, folder))
    outputs = {name: list(shards) for name, shards in result.outputs.items()}

    texts = [text for shard in outputs["out"] for text in shard.table["text"].to_pylist()]
    uids = [uid for shard in outputs["out"] for uid in shard.table["uid"].to_pylist()]
    assert uids == list(range(len(texts)))
    assert len(set(texts)) == len(texts)
    assert all(shard.table.num_rows == unit for shard in outputs["out"][:-1])

    in_order = [text for group in [*corpus, *queries] for text in group]
    assert texts == list(dict.fromkeys(in_order)), "numbered by first occurrence"
    for name, groups in (("corpus", corpus), ("queries", queries)):
        assert len(outputs[name]) == len(groups)
        for shard, group in zip(outputs[name], groups, strict=True):
            found = shard.table["uid"].to_pylist()
            assert [texts[uid] for uid in found] == group
            assert {uid // unit for uid in found} <= set(shard.facts["needs"])
    assert result.facts == {"segments": len(in_order), "distinct": len(texts)}


def test_a_set_without_segments_has_no_units(tmp_path) -> None:
    result = UniqueSegments().run({"corpus": shards_of(tmp_path, "corpus", [[]])}, Workspace("k", tmp_path, tmp_path))
    assert list(result.outputs["out"]) == []
    assert [shard.facts["needs"] for shard in result.outputs["corpus"]] == [[]]
