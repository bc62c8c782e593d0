"""First-stage retrievers: what one is, what it searches, and how it is opened by name.

Rows are numbers into the collection that was indexed, -1 where there is none. Hits are ordered by score, then by document id as a string, so
that no order depends on the order of the rows that a source happens to have.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.errors import RecipeError, SourceError, UnknownName

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Hits = tuple[Rows, Scores]


@dataclass(frozen=True, slots=True)
class Collection:
    """Texts with ids: ids and texts are large_string arrays of the same length, lang is BCP-47."""

    ids: pa.Array
    texts: pa.Array
    lang: str

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, table: pa.Table, id_column: str, lang: str) -> Collection:
        r"""The collection of a canonical table; a title that is not empty stands before its text, "\n" between them.

        `SourceError` for an id that two rows have.
        """
        texts = one(table["text"])
        if "title" in table.column_names:
            titles = pc.fill_null(one(table["title"]), "")
            whole = pc.binary_join_element_wise(
                titles, texts, pa.scalar("\n", pa.large_string()), null_handling="replace"
            )
            texts = pc.if_else(pc.equal(titles, ""), texts, whole)
        made = cls(one(table[id_column]), pc.fill_null(texts, ""), lang)
        ordered = made.ids.take(pa.array(made.order()))
        same = pc.equal(ordered.slice(1), ordered.slice(0, max(0, len(made) - 1)))
        if len(made) > 1 and pc.any(same).as_py():
            twice = ordered[pc.index(same, True).as_py()].as_py()
            raise SourceError(f"{id_column} {twice!r} stands in two rows; ids are unique in a table")
        return made

    def order(self) -> Rows:
        """The rows by id, ids compared as strings."""
        return np.asarray(pc.sort_indices(self.ids).to_numpy(zero_copy_only=False), np.int64)

    def take(self, rows: Rows) -> Collection:
        """Some of the rows, in the order that is asked for."""
        index = pa.array(rows)
        return Collection(self.ids.take(index), self.texts.take(index), self.lang)

    def slice(self, start: int, length: int) -> Collection:
        """A run of rows, without a copy."""
        return Collection(self.ids.slice(start, length), self.texts.slice(start, length), self.lang)


def one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A string column as one large_string array."""
    if isinstance(column, pa.ChunkedArray):
        column = column.cast(pa.large_string()).combine_chunks()
        return column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
    return column.cast(pa.large_string())


def id_rows(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> Rows:
    """The row of each id among the known ones (large_string), -1 where it is not among them."""
    found = pc.fill_null(pc.index_in(values.cast(pa.large_string()), value_set=known), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


class Retriever(Protocol):
    """Finds documents for queries.

    name: what candidates carry; deterministic: whether the same inputs give the same scores, bit by bit, on every run of this machine.
    """

    name: str
    deterministic: bool

    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the output and nothing else, as JSON values: no paths, no thread counts."""

    def index(self, corpus: Collection, scratch: Path) -> None:
        """Take in the documents; `scratch` is a folder for files that may go when the retriever is closed."""

    def search(self, queries: Collection, k: int) -> Hits:
        """The best k documents of each query: rows of the corpus and scores, (n, k), best first; -1 and -inf where there are no more."""

    def score(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """The scores of given pairs, the same as `search` gives; NaN where the retriever cannot know."""

    def close(self) -> None:
        """Let go of memory and files."""


class Ordered:
    """Base of the retrievers that index texts: inside, documents are numbered by id, so that equal scores end in the order of ids.

    A subclass has `build(corpus, scratch)`, `find(queries, k)` and `rate(queries, query_rows, doc_rows)`, whose rows are places in that order.
    """

    name = ""
    # Whether the kind of retriever is; an instance says so in `deterministic`.
    REPEATS: ClassVar[bool] = True
    # What an instance is given besides its options: "path" (what it is, for messages) or "parts"; and an example.
    GIVEN: ClassVar[Mapping[str, str]] = {}
    EXAMPLE: ClassVar[str] = ""

    def __init__(self) -> None:
        self.deterministic = self.REPEATS
        self._order: Rows = np.empty(0, np.int64)
        self._place: Rows = np.empty(0, np.int64)

    def build(self, corpus: Collection, scratch: Path) -> None:
        """Take in the documents, which come in the order of their ids."""
        raise NotImplementedError

    def find(self, queries: Collection, k: int) -> Hits:
        """See `Retriever.search`; k is at most the number of documents."""
        raise NotImplementedError

    def rate(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Retriever.score`."""
        raise NotImplementedError

    def index(self, corpus: Collection, scratch: Path) -> None:
        """See `Retriever.index`; `SourceError` where there is no document."""
        if not len(corpus):
            raise SourceError(f"{corpus.lang or 'the'} corpus: no documents to search")
        self._order = corpus.order()
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(corpus))
        self.build(corpus.take(self._order), scratch)

    def search(self, queries: Collection, k: int) -> Hits:
        """See `Retriever.search`."""
        size = min(k, len(self._order))
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        if len(queries):
            places, found = self.find(queries, size)
            rows[:, :size] = np.where(places >= 0, self._order[places], -1)
            scores[:, :size] = np.where(places >= 0, found, -np.inf)
        return rows, scores

    def score(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Retriever.score`."""
        return self.rate(queries, query_rows, self._place[doc_rows])

    def close(self) -> None:
        """See `Retriever.close`."""
        self._order = self._place = np.empty(0, np.int64)


def open_retrievers(spec: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> list[Retriever]:
    """The retrievers that a comma list of `name` or `name:argument` names.

    options: by retriever name, the fields of its class. `RecipeError` or `UnknownName` for what no retriever knows, and for two with one name.
    """
    from dsbuild.builders import RETRIEVERS

    options = options or {}
    for name in options:
        RETRIEVERS.target(name)
    said = split_spec(spec)
    made = [_open(part, options) for part in said]
    names = [one.name for one in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f"--retriever {spec!r}: two retrievers are called {twice!r}")
    if unused := sorted(set(options) - {name for part in said for name in names_in(part)}):
        raise RecipeError(f"retriever.{unused[0]}: options of a retriever that is not in --retriever {spec!r}")
    return made


def split_spec(spec: str) -> list[str]:
    """The parts of a comma list of retrievers."""
    from dsbuild.builders import RETRIEVERS

    said = [part.strip() for part in spec.split(",")]
    if not all(said):
        raise RecipeError(f"--retriever {spec!r}: a comma list of {', '.join(RETRIEVERS.names())}")
    return said


def names_in(part: str) -> list[str]:
    """The names of the retrievers in one part of the list: its own, and those that it fuses.

    >>> names_in("rrf:bm25+dense:models/e5"), names_in("lsa")
    (['rrf', 'bm25', 'dense'], ['lsa'])
    """
    from dsbuild.builders import RETRIEVERS

    name, _, argument = part.partition(":")
    inner = argument.split("+") if "parts" in RETRIEVERS.get(name).GIVEN else []
    return [name, *(found for one in inner for found in names_in(one.strip()))]


def _open(part: str, options: Mapping[str, Mapping[str, Any]]) -> Retriever:
    from dsbuild.builders import RETRIEVERS

    name, _, argument = part.partition(":")
    kind = RETRIEVERS.get(name)
    own: dict[str, Any] = {}
    known = {
        str(field.metadata.get("option", field.name)): field
        for field in dataclasses.fields(kind)
        if field.init and field.name not in kind.GIVEN
    }
    for key, value in options.get(name, {}).items():
        if key not in known:
            raise UnknownName(f"option of retriever {name}", key, known)
        own[known[key].name] = _as_kind(f"retriever.{name}.{key}", value, known[key])
    inner = []
    if "parts" in kind.GIVEN:
        inner = [_open(one.strip(), options) for one in argument.split("+") if one.strip()]
        if len(inner) < 2:
            raise RecipeError(f"--retriever {part}: name at least two, such as {name}:bm25+lsa")
        own["parts"] = tuple(inner)
    elif "path" in kind.GIVEN:
        if not argument:
            raise RecipeError(f"--retriever {part}: name a {kind.GIVEN['path']}, such as {name}:{kind.EXAMPLE}")
        own["path"] = argument
    elif argument:
        raise RecipeError(f"--retriever {part}: {name} takes no argument; its options are {', '.join(known) or 'none'}")
    made: Retriever = kind(**own)
    return made


def _as_kind(where: str, value: Any, field: dataclasses.Field[Any]) -> Any:
    """A value as its field wants it: the kind of the field's default."""
    default = field.default
    if isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, int):
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        fits, value = isinstance(value, int | float) and not isinstance(value, bool), value
    else:
        fits = isinstance(value, str)
    if not fits:
        raise RecipeError(f"{where}={value!r}: a {type(default).__name__} is wanted, such as {default!r}")
    return float(value) if isinstance(default, float) else value


def cores() -> int:
    """Threads that compiled kernels may use: the cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spans(n: int, parts: int) -> Sequence[tuple[int, int]]:
    """`n` rows in at most `parts` runs of about equal length.

    >>> spans(5, 2)
    [(0, 2), (2, 5)]
    """
    parts = max(1, min(parts, n))
    return [(n * part // parts, n * (part + 1) // parts) for part in range(parts)]
