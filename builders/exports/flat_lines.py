"""Texts and ids in files whose columns are parted by tabs or spaces: what would break a line, and numbers for ids that cannot stand in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dsbuild.builders.exports.view_files import Lines, ViewFolder
from dsbuild.errors import RecipeError, SourceError

IDS = ("keep", "number")
# Python's splitlines and universal newlines end a line at each of these; a carriage return alone is enough for open().
_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_SPACE = re.compile(r"\s")


def flat(text: str) -> str:
    r"""A text that fits in a column: tabs and line breaks become one space.

    >>> flat("one\ttwo\r\nthree ")
    'one two three'
    """
    return _BREAKS.sub(" ", text).strip()


@dataclass
class Ids:
    """Ids of one kind in a file. how: keep them as they are, or number the rows from 0, with a map that leads back.

    spaces: whether an id may hold a space. A kept id that would break the file is a `SourceError`.
    """

    how: str
    spaces: bool
    lines: Lines | None = None
    _numbers: dict[str, str] = field(default_factory=dict)

    def new(self, row: str) -> str:
        """The id of a row that is written for the first time."""
        if self.how == "keep":
            return self(row)
        self._numbers[row] = number = str(len(self._numbers))
        if self.lines is not None:
            self.lines.json({"number": int(number), "id": row})
        return number

    def known(self, row: str) -> bool:
        """Whether a row has a number, or may be named as it is."""
        return self.how == "keep" or row in self._numbers

    def __call__(self, row: str) -> str:
        """The id of a row that was written before."""
        if self.how == "number":
            return self._numbers[row]
        # csv, as BEIR reads it, takes a quotation mark at the start of a column for a quoted one.
        if not row or (_BREAKS if self.spaces else _SPACE).search(row) or (self.spaces and row.startswith('"')):
            raise SourceError(
                f"the id {row[:80]!r} cannot stand in a file of columns; --ids number writes numbers and a map that leads back"
            )
        return row


@contextmanager
def opened_ids(folder: ViewFolder, base: str, how: str, *, spaces: bool = True) -> Iterator[tuple[Ids, Ids]]:
    """Ids of documents and of queries; with `number` the maps are `<base>ids/documents.jsonl` and `<base>ids/queries.jsonl`."""
    if how not in IDS:
        raise RecipeError(f"--ids {how}: one of {', '.join(IDS)}")
    if how == "keep":
        yield Ids(how, spaces), Ids(how, spaces)
        return
    with folder.lines(f"{base}ids/documents.jsonl") as docs, folder.lines(f"{base}ids/queries.jsonl") as queries:
        yield Ids(how, spaces, docs), Ids(how, spaces, queries)
