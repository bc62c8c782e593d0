"""Source and target texts that belong together, read in step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import Literal

from dsbuild.builders.labelled.formats import NUMBERED, UNKNOWN_LANG, LabelledSource
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled

By = Literal["id", "order"]
Pair = tuple[Labelled, Labelled]
_SHOWN = 60


def pairs(source: LabelledSource, target: LabelledSource) -> Iterator[Pair]:
    """The labelled texts of a source with their translations, whose labels are not read; see `paired`."""
    return paired(source.read(), target.targets(), names=(str(source.path), str(target.path)))


def paired(
    source: Iterable[Labelled],
    target: Iterable[Labelled],
    *,
    by: By | None = None,
    limited: bool = False,
    names: tuple[str, str] = ("the source", "the target"),
) -> Iterator[Pair]:
    """Pairs in the order of the source; labels of the target are dropped, should it have any, and it takes the source's id.

    by: `id`, or `order`, which asks for as many texts on both sides; where it is not said, by order if one of the two is without ids of
    its own. limited: the source was cut, so that the target may have more. names: how errors call the two. Memory grows with how far the
    orders differ: files in one order are read in step. `SourceError` where an id comes twice or is missing on a side, or counts differ.
    """
    left, right = iter(source), iter(target)
    if by is None:
        first, second = next(left, None), next(right, None)
        numbered = any(one is not None and one.extra.get(NUMBERED) for one in (first, second))
        by = "order" if numbered else "id"
        left, right = (chain([one] if one is not None else [], rest) for one, rest in ((first, left), (second, right)))
    return (_by_order if by == "order" else _by_id)(left, right, limited, names)


def _by_order(
    source: Iterator[Labelled], target: Iterator[Labelled], limited: bool, names: tuple[str, str]
) -> Iterator[Pair]:
    for number, (one, other) in enumerate(zip_longest(source, target)):
        if one is None and limited:
            return
        if one is None or other is None:
            rest = 1 + sum(1 for _ in (target if one is None else source))
            counts = (number, number + rest) if one is None else (number + rest, number)
            raise SourceError(
                f"{names[1]}: has {counts[1]:,} texts and {names[0]} has {counts[0]:,}: without ids they belong together by "
                "order, one to one; give both files ids, or mend one of them"
            )
        said = other.extra.get("text_en")
        if said is not None and one.lang in ("en", UNKNOWN_LANG) and _letters(said) != _letters(one.text):
            raise SourceError(
                f"{names[1]}: text {number} (from 0) says that it translates {said[:_SHOWN]!r}, and {one.text[:_SHOWN]!r} stands there in "
                f"{names[0]}: without ids they belong together by order; bring both into one order"
            )
        yield one, _bare(other, one.id)


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _by_id(
    source: Iterator[Labelled], target: Iterator[Labelled], limited: bool, names: tuple[str, str]
) -> Iterator[Pair]:
    """Both are read in step; a target that comes before its source waits, and so does a source that comes before its target."""
    seen: tuple[set[str], set[str]] = (set(), set())
    sources: dict[str, Labelled] = {}
    targets: dict[str, Labelled] = {}
    for one, other in zip_longest(source, target):
        if limited and one is None and not sources:
            return
        for item, ids, waiting, name in ((one, seen[0], sources, names[0]), (other, seen[1], targets, names[1])):
            if item is not None:
                if item.id in ids:
                    raise SourceError(f"{name}: the id {item.id[:_SHOWN]!r} comes twice; ids must stand once")
                ids.add(item.id)
                waiting[item.id] = item
        while sources and (first := next(iter(sources))) in targets:
            yield sources.pop(first), _bare(targets.pop(first), first)
    if lacking := [name for name in sources if name not in targets]:
        raise _missing(names[1], names[0], lacking)
    if targets and not limited:
        raise _missing(names[0], names[1], list(targets))


def _missing(where: str, other: str, lost: list[str]) -> SourceError:
    shown = ", ".join(repr(one[:_SHOWN]) for one in lost[:3]) + (
        f" and {len(lost) - 3:,} more" if len(lost) > 3 else ""
    )
    return SourceError(
        f"{where}: has no text with the id {shown}, which {other} has; both must have the same ids: add those texts here, "
        "or leave them out there"
    )


def _bare(item: Labelled, name: str) -> Labelled:
    return Labelled(name, item.text, item.lang, (), (), item.extra)
