"""How much of a query is one run of characters of its passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import regex

from dsbuild import parquet
from dsbuild.errors import SourceError
from dsbuild.filters.duplicates import joined
from dsbuild.filters.folding import CODE_MASK, fold_all, fold_table
from dsbuild.filters.pair_strings import common_substring
from dsbuild.filters.score_rows import one_array, put
from dsbuild.filters.utf8 import Bytes, Offsets, buffers
from dsbuild.stage import Result, Shard, Shards, Workspace

COLUMN = "copied_share"
# Shorter queries stand in their passages as a matter of course: what else would "symptoms of flu" do?
MIN_WORDS = 6
# Rows whose texts are folded at a time.
_BLOCK = 8_192
# What two languages share without a copy: whatever holds a digit, and words with a capital letter (names).
_SHARED = regex.compile(r"[\p{L}\p{M}\p{N}]*(?:\p{N}|\p{Lu})[\p{L}\p{M}\p{N}]*")


@dataclass(frozen=True)
class CopiedSpan:
    """Add `copied_share`: the longest common run of characters of query and passage over the length of the query, both folded.

    passages_lang: of the passages. In a query of another language numbers and words with capital letters do not count. Null for a query of
    fewer than `MIN_WORDS` words (the column form_words).
    """

    passages_lang: str

    name: ClassVar[str] = "copied_span"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows with form_words, and passages (whole: doc_id, title, text) -> out: the rows with the column."""
        rows: pa.Table = inputs["rows"]
        texts = one_array(rows["text"])
        foreign = np.asarray(pc.not_equal(rows["lang"], self.passages_lang).to_numpy(), np.bool_)
        if foreign.any():
            bare = [
                _SHARED.sub(" ", text) if far else text for text, far in zip(texts.to_pylist(), foreign, strict=True)
            ]
            texts = pa.array(bare, pa.string())
        passages, place = passages_of(rows["parent_id"], inputs["passages"])
        share = np.zeros(rows.num_rows)
        data, offsets, sizes = _folded(texts)
        for start in range(0, rows.num_rows, _BLOCK):
            end = min(start + _BLOCK, rows.num_rows)
            some, others, lengths = _folded(passages.take(pa.array(place[start:end])))
            found = common_substring(data, offsets[start : end + 1], some, others)
            # The kernel divides by the shorter side.
            mine = sizes[start:end]
            share[start:end] = found * np.minimum(mine, lengths) / np.maximum(mine, 1)
        short = np.asarray(pc.less(rows["form_words"], MIN_WORDS).to_numpy(), np.bool_)
        return Result({"out": [Shard(put(rows, COLUMN, pa.array(share, mask=short | np.isnan(share))))]})


def fields_of(passages: Shards) -> tuple[str, ...]:
    """The columns that are a passage's text: its title, where the table has one, and its text."""
    known = pq.read_schema(passages.paths[0]).names if passages.paths else []
    return ("title", "text") if "title" in known else ("text",)


def passages_of(parents: pa.ChunkedArray, passages: Shards) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    """The texts of some passages, title first, and which of them each parent is; `SourceError` for one that is not there."""
    wanted = pc.unique(one_array(parents)).cast(pa.string())
    fields = fields_of(passages)
    ids, texts = [pa.array([], pa.string())], [pa.array([], pa.large_string())]
    for path in passages.paths:
        table = parquet.read(path, ["doc_id", *fields])
        table = table.filter(pc.is_in(table["doc_id"].cast(pa.string()), wanted))
        ids.append(one_array(table["doc_id"].cast(pa.string())))
        texts.append(joined(table, fields))
    place = pc.index_in(parents.cast(pa.string()), pa.concat_arrays(ids))
    if place.null_count:
        missing = parents.filter(pc.is_null(place))[0].as_py()
        raise SourceError(f"generated queries: their passage {missing!r} is not in the corpus")
    return pa.concat_arrays(texts), place.to_numpy()


def _folded(texts: pa.Array) -> tuple[Bytes, Offsets, np.ndarray[Any, Any]]:
    """Texts as they are compared, in UTF-8: their bytes, where each begins, and how many code points it has."""
    table = fold_table("folded")
    codes, bounds = fold_all(*buffers(texts), table.one, table.many)
    points = codes & CODE_MASK
    letters = points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    ends = np.concatenate(([0], np.cumsum(widths)))
    return np.frombuffer(letters.encode("utf-8", "surrogatepass"), np.uint8), ends[bounds], np.diff(bounds)
