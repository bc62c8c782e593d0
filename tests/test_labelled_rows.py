"""Labelled texts as rows and back, and pairs read shard by shard."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.labelled import labelled_rows
from dsbuild.builders.labelled.labelled_rows import ITEMS, LINKS, Pairs, as_item, as_row, packed, places_of
from dsbuild.project.projector import Links
from dsbuild.spans import Labelled, Relation, Span
from dsbuild.stage import Shards
from dsbuild.translate.assemble import SEGMENT_MAP

ITEM = Labelled(
    "r", "give it up 🎈", "en", (Span("v", "VERB", ((0, 4), (8, 10))), Span("w", "W", ((5, 7),))), (Relation("v", "w", "object"),),
    {"tokens": ["give", "it", "up", "🎈"], "n": 3, "deep": {"é": [1, None]}},
)  # fmt: skip


def stored(folder: Path, name: str, tables: list[pa.Table]) -> Shards:
    paths = [folder / f"{name}-{number}.parquet" for number in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path)
    return Shards(paths)


def numbered(number: int) -> list[tuple[str, Labelled]]:
    return [("", Labelled(str(place), f"text {place}", "en")) for place in range(number)]


def test_a_row_holds_everything_of_an_item() -> None:
    assert as_item(pa.Table.from_pylist([as_row(ITEM)], schema=ITEMS).to_pylist()[0]) == ITEM


def test_an_empty_set_is_one_empty_table() -> None:
    (table,) = packed([])
    assert table.num_rows == 0
    assert table.schema == ITEMS


@pytest.mark.parametrize(("number", "sizes"), [(1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3])])
def test_shards(monkeypatch: pytest.MonkeyPatch, number: int, sizes: list[int]) -> None:
    monkeypatch.setattr(labelled_rows, "SHARD_ROWS", 3)
    assert [table.num_rows for table in packed(numbered(number))] == sizes


def test_pairs_are_a_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_rows, "SHARD_ROWS", 3)
    rows = stored(tmp_path, "rows", list(packed(numbered(7))))
    targets = stored(tmp_path, "targets", [shard.select(["id", "text"]) for shard in packed(numbered(7))])
    pairs = Pairs("de", rows, targets)
    assert len(pairs) == 7
    assert [pair.source.id for pair in pairs] == [pairs[place].source.id for place in range(7)] == list("0123456")
    assert [pair.target for pair in pairs[4:1:-2]] == ["text 4", "text 2"]
    assert pairs[-1].tgt_lang == "de"
    with pytest.raises(IndexError):
        pairs[7]
    with pytest.raises(IndexError):
        pairs[-8]
    assert [pair.target for pair in Pairs("de", rows)] == [""] * 7


def test_pairs_with_segments_and_links(tmp_path: Path) -> None:
    rows = stored(tmp_path, "rows", list(packed(numbered(2))))
    places = [("1", "text", 0, 0, 4, 0, 5), ("1", "title", 0, 9, 9, 9, 9), ("1", "text", 1, 5, 6, 6, 7)]
    maps = stored(
        tmp_path,
        "map",
        [pa.Table.from_pylist([dict(zip(SEGMENT_MAP.names, one, strict=True)) for one in places], schema=SEGMENT_MAP)],
    )
    links = stored(
        tmp_path,
        "links",
        [pa.Table.from_pylist([{"src": [], "tgt": []}, {"src": [0, 4, 5, 6], "tgt": [5, 6, 0, 4]}], schema=LINKS)],
    )
    first, second = Pairs("de", rows, rows, maps, links)
    assert (first.segments, first.links) == ((), Links((), ()))
    assert second.segments == ((0, 4, 0, 5), (5, 6, 6, 7))
    assert second.links == Links(((0, 4), (5, 6)), ((5, 6), (0, 4)))


def test_words_are_the_tokens_of_the_file_else_those_of_the_text() -> None:
    assert places_of("don't go", "en", {"tokens": ["do", "n't", "go"]}) == [(0, 2), (2, 5), (6, 8)]
    assert places_of("to go", "en", {}) == [(0, 2), (3, 5)]


def test_questions_of_a_row_come_with_their_translations(tmp_path: Path) -> None:
    asked = [{"id": "q1", "question": "who?"}, {"id": "q2", "question": "where?"}, {"id": "q3"}]
    rows = [("", Labelled("r", "a text", "en", (), (), {"qas": asked})), ("", Labelled("s", "another", "en"))]
    there = [
        ("", Labelled("r", "ein Text", "de", (), (), {"questions": {"q2": "wo?", "q3": "wann?"}})),
        ("", Labelled("s", "noch einer", "de")),
    ]
    targets = [shard.select(["id", "text", "extra"]) for shard in packed(there)]
    pairs = Pairs("de", stored(tmp_path, "rows", list(packed(rows))), stored(tmp_path, "targets", targets))
    assert [pair.more for pair in pairs] == [(("where?", "wo?"),), ()]
