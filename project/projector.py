"""What a projection method is: source text with spans and a target text in, one answer for each span out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from dsbuild.errors import RecipeError
from dsbuild.spans import Labelled, Piece

Outcome = Literal["kept", "null", "low_confidence", "rejected"]


@dataclass(frozen=True, slots=True)
class Links:
    """Word links of a text pair: for each link the code-point ranges of both ends, and how sure the aligner is (1 where it does not say)."""

    src: tuple[Piece, ...]
    tgt: tuple[Piece, ...]
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Parallel:
    """A labelled source text and its translation.

    segments: (src_start, src_end, tgt_start, tgt_end) of parts that translate each other, where they are known: a span is then looked for
    in the parts that it lies in; links: word links that came with the pair, where there are any; more: other texts of the row with their
    translations, which hold no spans and from which an aligner may learn.
    """

    source: Labelled
    target: str
    tgt_lang: str
    segments: tuple[tuple[int, int, int, int], ...] = ()
    links: Links | None = None
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place in the target that a method considered for a span, and its probability among all that it considered."""

    pieces: tuple[Piece, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Projected:
    """What a method says of one span.

    pieces: where it stands in the target, none where it has no counterpart (`null`) or nothing could be said (`rejected`).
    score: the method's own, in [0, 1], larger is surer; None where it has none. reason: why it was rejected or is null, a word from the
    method's list. candidates: other places with their probabilities, best first, where the method has a posterior.
    """

    span_id: str
    pieces: tuple[Piece, ...]
    score: float | None
    method: str
    outcome: Outcome = "kept"
    reason: str = ""
    candidates: tuple[Candidate, ...] = field(default=())


class Projector(Protocol):
    """Carries spans from a source text to its translation.

    `project` answers every span of every text once, in order, whatever the text holds: it never raises for a row. `deterministic`: the same
    texts give the same answers whatever they are batched with.
    """

    name: ClassVar[str]
    deterministic: ClassVar[bool]

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the answers: name, options, model."""

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Learn from the whole set, without its labels; a method that does not learn does nothing."""

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """One list for each pair: an answer for each span of its source, in their order."""

    def close(self) -> None:
        """Free models; safe to call twice."""


def check_numbers(method: str, options: Mapping[str, tuple[Any, int]]) -> None:
    """Raise `RecipeError` for an option (value, the least it may be) of a method that is no number or less."""
    for option, (value, least) in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise RecipeError(f"{method}.{option}: {value!r} must be a number of at least {least}")
