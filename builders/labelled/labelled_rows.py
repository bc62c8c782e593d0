"""Labelled texts as rows of the store, and source and target rows together as projection methods want them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.labelled.squad import questions_in_step
from dsbuild.project.projector import Links, Parallel
from dsbuild.spans import Labelled, Piece, from_row, to_row
from dsbuild.stage import Shards
from dsbuild.tables import LABELLED
from dsbuild.text import word_spans
from dsbuild.tokens import located

# Rows of a shard: a method is given the set shard by shard.
SHARD_ROWS = 4_096
# What else a row of the source's format says, as one JSON object: `--write` makes a file of that format again.
EXTRA = pa.field("extra", pa.string(), nullable=False)
ITEMS = pa.schema([*LABELLED, EXTRA])
SPLIT = pa.field("split", pa.string(), nullable=False)
WITH_SPLIT = pa.schema([*ITEMS, SPLIT])
TARGETS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "text", "lang", "extra")])
LINKS = pa.schema(
    [
        pa.field("src", pa.list_(pa.int32()), nullable=False),  # start and end of each link's source word in turn
        pa.field("tgt", pa.list_(pa.int32()), nullable=False),
    ]
)
# The key of `extra` under which a reader leaves the tokens of its file.
TOKENS = "tokens"
# What is looked at of a target: `extra` is there where the translation came from a file.
_SHOWN = ("id", "text", "extra")


def packed(items: Iterable[tuple[str, Labelled]]) -> Iterator[pa.Table]:
    """Items with their splits as tables of `ITEMS`, each of `SHARD_ROWS` rows but the last; one empty table where there are none.

    Where the splits are named ("": they are not) a column `split` has them.
    """
    rows: list[dict[str, Any]] = []
    schema, empty = ITEMS, True
    for split, item in items:
        if split:
            schema = WITH_SPLIT
        rows.append({**as_row(item), "split": split})
        if len(rows) == SHARD_ROWS:
            yield pa.Table.from_pylist(rows, schema=schema)
            rows, empty = [], False
    if rows or empty:
        yield pa.Table.from_pylist(rows, schema=schema)


def as_row(item: Labelled) -> dict[str, Any]:
    """An item as a row of `ITEMS`."""
    row = to_row(Labelled(item.id, item.text, item.lang, item.spans, item.relations))
    return {**row, "extra": json.dumps(dict(item.extra), ensure_ascii=False)}


def as_item(row: Mapping[str, Any]) -> Labelled:
    """The item of a row of `ITEMS`, or of a release's labelled table."""
    plain = from_row({name: row[name] for name in LABELLED.names})
    return Labelled(
        plain.id, plain.text, plain.lang, plain.spans, plain.relations, json.loads(row.get("extra") or "{}")
    )


def places_of(text: str, lang: str, extra: Mapping[str, Any]) -> list[Piece]:
    """Where the words of a text stand: the tokens that its file gave, else the words of its script."""
    tokens = extra.get(TOKENS)
    return located(text, list(tokens)) if tokens else word_spans(text, lang)


class Pairs(Sequence[Parallel]):
    """Source and target rows as pairs, read shard by shard; memory is that of one shard.

    lang: of the targets; rows: `ITEMS`; targets: id, text, or none: their texts are then empty; segments: shards of a segment map, or none; links:
    `LINKS`, or none. Shards lie beside each other.
    """

    def __init__(
        self,
        lang: str,
        rows: Shards,
        targets: Shards | None = None,
        segments: Shards | None = None,
        links: Shards | None = None,
    ) -> None:
        self._lang = lang
        self._shards = (rows, targets, segments, links)
        self._sizes = [_height(path) for path in rows.paths]
        self._held: tuple[int, list[Parallel]] = (-1, [])

    def __len__(self) -> int:
        return sum(self._sizes)

    @overload
    def __getitem__(self, index: int) -> Parallel: ...
    @overload
    def __getitem__(self, index: slice) -> list[Parallel]: ...
    def __getitem__(self, index: int | slice) -> Parallel | list[Parallel]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        for shard, size in enumerate(self._sizes):
            if 0 <= place < size:
                return self.shard(shard)[place]
            place -= size
        raise IndexError(index)

    def __iter__(self) -> Iterator[Parallel]:
        for shard in range(len(self._sizes)):
            yield from self.shard(shard)

    def shard(self, number: int) -> list[Parallel]:
        """The pairs of one shard; the last one asked for is held."""
        if self._held[0] != number:
            self._held = (number, self._read(number))
        return self._held[1]

    def _read(self, number: int) -> list[Parallel]:
        rows, targets, segments, links = self._shards
        maps = _maps(segments[number]) if segments is not None else {}
        linked = links[number].to_pylist() if links is not None else []
        held = rows[number].to_pylist()
        told = (
            targets[number].select([name for name in _SHOWN if name in targets[number].column_names]).to_pylist()
            if targets is not None
            else [{"id": row["id"], "text": ""} for row in held]
        )
        made = []
        for place, (row, target) in enumerate(zip(held, told, strict=True)):
            assert row["id"] == target["id"]
            found = links_of(linked[place]) if linked else None
            item = as_item(row)
            more = questions_in_step(item.extra, json.loads(target.get("extra") or "{}"))
            made.append(Parallel(item, target["text"], self._lang, maps.get(row["id"], ()), found, more))
        return made


def _height(path: Any) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _maps(segments: pa.Table) -> dict[str, tuple[tuple[int, int, int, int], ...]]:
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    chosen = segments.filter(pc.equal(segments["field"], "text"))
    for one in chosen.to_pylist():
        found.setdefault(one["id"], []).append((one["src_start"], one["src_end"], one["tgt_start"], one["tgt_end"]))
    return {row_id: tuple(those) for row_id, those in found.items()}


def links_of(row: Mapping[str, Sequence[int]]) -> Links:
    """The links of a row of `LINKS`."""
    src, tgt = (tuple(zip(row[side][::2], row[side][1::2], strict=True)) for side in ("src", "tgt"))
    return Links(src, tgt)
