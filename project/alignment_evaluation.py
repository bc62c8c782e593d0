"""How good word alignments are: alignment error rate, precision, recall and F1 against sure and possible links.

Och and Ney 2003: precision counts links that are possible, recall sure links that were found; a sure link is possible, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dsbuild.errors import SourceError
from dsbuild.project.alignment import Link, pair_lines, read_pharaoh

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class GoldLinks:
    """The links of a pair by hand. possible holds the sure ones, too."""

    sure: frozenset[Link]
    possible: frozenset[Link]


def parse_gold(line: str, where: str, first: int) -> GoldLinks:
    """Gold links of a line: `i-j` sure, `ipj` or `i?j` possible, counted from `first` (0 or 1).

    >>> sorted(parse_gold("1-1 2p3", "line 1", 1).possible)
    [(0, 0), (1, 2)]
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for item in line.split():
        for sign, links in (("-", sure), ("p", possible), ("?", possible)):
            left, found, right = item.partition(sign)
            if found and left.isascii() and right.isascii() and left.isdigit() and right.isdigit():
                if int(left) < first or int(right) < first:
                    raise SourceError(
                        f"{where}: {item!r} is before the first word, which is {first}; say from where the gold counts"
                    )
                links.add((int(left) - first, int(right) - first))
                break
        else:
            raise SourceError(
                f"{where}: {item[:_SHOWN]!r} is no gold link; a line holds `i-j` (sure) and `ipj` (possible)"
            )
    return GoldLinks(frozenset(sure), frozenset(sure | possible))


def read_gold(path: Path, first: int) -> list[GoldLinks]:
    """Gold links of each line of a file."""
    return [parse_gold(line, f"{path}:{number}", first) for number, line in enumerate(pair_lines(path), 1)]


def evaluate_links(gold: Iterable[GoldLinks], predicted: Iterable[Iterable[Link]]) -> dict[str, float | int | None]:
    """AER, precision, recall, F1 and counts over all pairs; shares are None where nothing was counted.

    The numbers of pairs must be equal (`ValueError`). F1 is of the precision and recall above.
    """
    n_pairs = n_sure = n_said = sure_found = possible_found = 0
    for one, links in zip(gold, predicted, strict=True):
        said = set(links)
        n_pairs += 1
        n_sure += len(one.sure)
        n_said += len(said)
        sure_found += len(said & one.sure)
        possible_found += len(said & one.possible)
    precision = possible_found / n_said if n_said else None
    recall = sure_found / n_sure if n_sure else None
    f1 = (
        2 * precision * recall / (precision + recall)
        if precision and recall
        else None
        if precision is None or recall is None
        else 0.0
    )
    total = n_said + n_sure
    return {
        "aer": _rounded(1 - (sure_found + possible_found) / total if total else None), "precision": _rounded(precision),
        "recall": _rounded(recall), "f1": _rounded(f1), "pairs": n_pairs, "sure": n_sure, "predicted": n_said,
    }  # fmt: skip


def evaluate_files(gold: Path, predicted: Path, first: int) -> dict[str, float | int | None]:
    """As `evaluate_links`, of two files with one line for each pair; predictions count from 0. `SourceError` where lines differ in number."""
    wanted, said = read_gold(gold, first), list(read_pharaoh(predicted))
    if len(wanted) != len(said):
        raise SourceError(
            f"{predicted}: has {len(said)} lines and {gold} {len(wanted)}; both need one line for each pair"
        )
    return evaluate_links(wanted, said)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
