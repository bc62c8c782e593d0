"""Which marks an engine leaves alone: a sample is translated with each scheme and without marks, and the best scheme is taken.

survival: share of the spans that come back; chrF: how near the marked translation's text is to the plain one (Popović 2015, characters 1
to 6, beta 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsbuild.engine import Output
from dsbuild.project.marker_parser import read
from dsbuild.project.markers import Scheme, encode
from dsbuild.spans import Span

_ORDERS = range(1, 7)
_RECALL = 4.0  # beta squared


@dataclass(frozen=True, slots=True)
class Measured:
    """A scheme on the sample. survival, chrf: in [0, 1]; n_spans: spans of the sample."""

    survival: float
    chrf: float
    n_spans: int

    @property
    def worth(self) -> float:
        """What schemes are ranked by: spans that come back, in a text that is not another one for it."""
        return self.survival * self.chrf


def probe(
    texts: Sequence[tuple[str, Sequence[Span]]],
    schemes: Sequence[Scheme],
    translate: Callable[[Sequence[str]], Sequence[Output]],
) -> dict[str, Measured]:
    """What each scheme is worth for an engine, by name, in their order.

    A span whose text has to take another scheme counts as lost to this one, and so does one whose text is not translated.
    """
    plain = translate([text for text, _ in texts])
    n_spans = sum(len(spans) for _, spans in texts)
    found = {}
    for scheme in schemes:
        marked = [(encode(text, spans, scheme), one) for (text, spans), one in zip(texts, plain, strict=True)]
        fair = [(one, out) for one, out in marked if one.scheme == scheme and out.finish == "stop" and out.text.strip()]
        n_kept, similar = 0, 0.0
        for (one, without), output in zip(fair, translate([one.text for one, _ in fair]), strict=True):
            if output.finish != "stop":
                continue
            back = read(one, output.text)
            n_kept += sum(answer.outcome == "kept" for answer in back.answers)
            similar += chrf(back.text, without.text)
        found[scheme.name] = Measured(n_kept / max(1, n_spans), similar / max(1, len(fair)), n_spans)
    return found


def best(measured: Mapping[str, Measured]) -> str:
    """The scheme that is worth most; of equals the first."""
    return max(measured, key=lambda name: measured[name].worth)


def chrf(text: str, other: str) -> float:
    """Character n-gram F-score of a text against another, in [0, 1], white space aside.

    >>> chrf("la casa", "la casa"), chrf("abc", "xyz")
    (1.0, 0.0)
    """
    one, two = "".join(text.split()), "".join(other.split())
    precisions, recalls = [], []
    for order in _ORDERS:
        mine, yours = _grams(one, order), _grams(two, order)
        if mine and yours:
            common = (mine & yours).total()
            precisions.append(common / mine.total())
            recalls.append(common / yours.total())
    precision, recall = sum(precisions), sum(recalls)
    if not precision + recall:
        return 0.0
    n = len(precisions)
    precision, recall = precision / n, recall / n
    return (1 + _RECALL) * precision * recall / (_RECALL * precision + recall)


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))
