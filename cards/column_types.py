"""Types of columns, as Arrow writes them, taken apart: plain types, lists, and structs of named parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type: `plain` is its name; of a list `items` is what it holds, of a struct `parts` are its members; the others are empty."""

    plain: str = ""
    items: ColumnType | None = None
    parts: tuple[tuple[str, ColumnType], ...] = ()

    def told(self) -> str:
        """In words.

        >>> parse("list<element: struct<start: int32 not null, label: string>>").told()
        'list of (start int32, label string)'
        """
        if self.items is not None:
            return f"list of {self.items.told()}"
        if self.parts:
            return f"({', '.join(f'{name} {part.told()}' for name, part in self.parts)})"
        return self.plain


def parse(text: str) -> ColumnType:
    """A type from what `str` makes of an Arrow type; one that is no list and no struct is plain.

    >>> parse("int32"), parse("list<element: double>").items
    (ColumnType(plain='int32', items=None, parts=()), ColumnType(plain='double', items=None, parts=()))
    """
    text = text.strip().removesuffix(" not null")
    kind, bracket, inner = text.partition("<")
    if bracket and text.endswith(">"):
        members = [
            (name.strip(), parse(said)) for name, _, said in (one.partition(":") for one in _members(inner[:-1]))
        ]
        if kind in ("list", "large_list") and len(members) == 1:
            return ColumnType(items=members[0][1])
        if kind == "struct":
            return ColumnType(parts=tuple(members))
    return ColumnType(text)


def _members(text: str) -> Iterator[str]:
    """What stands between commas that no bracket encloses."""
    depth = begin = 0
    for place, sign in enumerate(text):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and not depth:
            yield text[begin:place]
            begin = place + 1
    if text[begin:].strip():
        yield text[begin:]
