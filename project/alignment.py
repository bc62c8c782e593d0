"""Word alignments: Pharaoh files, two directions made one, and links as places of the text.

A link (i, j) says that word i of the source and word j of the target translate each other; both count from 0.
Sources: Och and Ney 2003 (symmetrisation), Koehn et al. 2005 (grow-diag-final-and), the Pharaoh format of Koehn 2004.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from dsbuild.errors import SourceError, UnknownName
from dsbuild.project.projector import Links
from dsbuild.spans import Piece

Link = tuple[int, int]
Symmetry = Literal[
    "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and", "forward", "backward"
]
SYMMETRIES: tuple[Symmetry, ...] = get_args(Symmetry)
_SHOWN = 40
_AROUND = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def parse_links(line: str, where: str) -> list[Link]:
    """The links of one Pharaoh line, in its order, each once; `SourceError` names the place and the item that is no link.

    >>> parse_links("0-0 1-2 0-0", "line 1")
    [(0, 0), (1, 2)]
    """
    found: dict[Link, None] = {}
    for item in line.split():
        left, dash, right = item.partition("-")
        if not (dash and left.isascii() and right.isascii() and left.isdigit() and right.isdigit()):
            raise SourceError(f"{where}: {item[:_SHOWN]!r} is no link; a line holds pairs `i-j` that count from 0")
        found[int(left), int(right)] = None
    return list(found)


def read_pharaoh(path: Path) -> Iterator[list[Link]]:
    """The links of each line of a Pharaoh file (`i-j i-j …`, an empty line for a pair without links); compressed files as they are."""
    for number, line in enumerate(pair_lines(path), 1):
        yield parse_links(line, f"{path}:{number}")


def symmetrise(forward: Iterable[Link], backward: Iterable[Link], how: Symmetry) -> list[Link]:
    """One set of links out of two directions, sorted. Both are (source, target).

    The grow rules start from the intersection and add links of the union that touch one already there (`grow-diag`); `final` adds the
    remaining links with an end that has none yet, `final-and` those where both have none.

    >>> symmetrise([(0, 0), (1, 1)], [(0, 0), (1, 1), (1, 2)], "grow-diag")
    [(0, 0), (1, 1), (1, 2)]
    """
    one, two = set(forward), set(backward)
    if how not in SYMMETRIES:
        raise UnknownName("symmetrisation", how, SYMMETRIES)
    if how == "forward":
        return sorted(one)
    if how == "backward":
        return sorted(two)
    if how == "union":
        return sorted(one | two)
    found = one & two
    if how == "intersection":
        return sorted(found)
    return sorted(_grown(found, one, two, how))


def _grown(found: set[Link], one: set[Link], two: set[Link], how: Symmetry) -> set[Link]:
    union = one | two
    sources, targets = {i for i, _ in found}, {j for _, j in found}

    def add(link: Link) -> None:
        found.add(link)
        sources.add(link[0])
        targets.add(link[1])

    # The order of the reference implementation: by source, then target, again until nothing is added. Links with nothing to add around
    # them, which are most, are passed over.
    wanting = {(i + down, j + right) for i, j in union - found for down, right in _AROUND}
    queue = sorted(found & wanting)
    while queue:
        later: list[Link] = []
        for i, j in queue:
            for down, right in _AROUND:
                near = (i + down, j + right)
                if near in union and near not in found and (near[0] not in sources or near[1] not in targets):
                    add(near)
                    later.append(near)
        queue = sorted(later)
    if how != "grow-diag":
        free: Callable[[bool, bool], bool] = (lambda a, b: a and b) if how.endswith("and") else (lambda a, b: a or b)
        for direction in (one, two):
            for link in sorted(direction - found):
                if free(link[0] not in sources, link[1] not in targets):
                    add(link)
    return found


def placed(
    links: Sequence[Link], src: Sequence[Piece], tgt: Sequence[Piece], where: str, scores: Sequence[float] = ()
) -> Links:
    """Links of words as places of the two texts; `src` and `tgt` say where each word stands.

    `SourceError` names a link outside the words: alignments and texts were then cut into words differently.
    """
    for i, j in links:
        if i >= len(src) or j >= len(tgt):
            raise SourceError(
                f"{where}: link {i}-{j} is outside the {len(src)} and {len(tgt)} words of the pair; "
                "the links must count the same words as the files, from 0"
            )
    return Links(tuple(src[i] for i, _ in links), tuple(tgt[j] for _, j in links), tuple(scores))


def on_units(links: Links, src: Sequence[Piece], tgt: Sequence[Piece]) -> dict[Link, float]:
    """Links between the units of two texts, with their scores: a link holds for every unit that its ends touch.

    Ends without a unit (punctuation, where units are words) are left out. Of several links between two units the highest score counts.

    >>> on_units(Links(((0, 4),), ((0, 5),)), [(0, 4)], [(0, 2), (3, 5), (6, 8)])
    {(0, 0): 1.0, (0, 1): 1.0}
    """
    src_ends, tgt_ends = [end for _, end in src], [end for _, end in tgt]
    found: dict[Link, float] = {}
    for number, (left, right) in enumerate(zip(links.src, links.tgt, strict=True)):
        score = links.scores[number] if links.scores else 1.0
        for i in _touched(left, src, src_ends):
            for j in _touched(right, tgt, tgt_ends):
                found[i, j] = max(score, found.get((i, j), 0.0))
    return found


def _touched(piece: Piece, units: Sequence[Piece], ends: Sequence[int]) -> range:
    first = last = bisect_right(ends, piece[0])
    while last < len(units) and units[last][0] < piece[1]:
        last += 1
    return range(first, last)


def units_in(pieces: Iterable[Piece], units: Sequence[Piece]) -> list[int]:
    """The units that the pieces touch, in order.

    >>> units_in([(0, 2), (7, 9)], [(0, 3), (4, 6), (7, 9)])
    [0, 2]
    """
    ends = [end for _, end in units]
    return sorted({unit for piece in pieces for unit in _touched(piece, units, ends)})


def pair_lines(path: Path) -> list[str]:
    """The lines of a file with one for each pair, compressed or not; `SourceError` where it cannot be read."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            text: str = stream.read().decode("utf-8")
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as text ({error})") from None
    return text.removesuffix("\n").split("\n") if text else []
