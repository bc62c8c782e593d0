"""What a word aligner is: texts cut into units in, links between the units out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dsbuild.project.alignment import Link
from dsbuild.spans import Piece


@dataclass(frozen=True, slots=True)
class Bitext:
    """A text and its translation, each with the places of its units (words, mostly), in code points."""

    src_text: str
    src: Sequence[Piece]
    tgt_text: str
    tgt: Sequence[Piece]

    def src_words(self) -> list[str]:
        """The source units as they stand."""
        return [self.src_text[start:end] for start, end in self.src]

    def tgt_words(self) -> list[str]:
        """The target units as they stand."""
        return [self.tgt_text[start:end] for start, end in self.tgt]


class Aligner(Protocol):
    """Links the units of text pairs. Languages are BCP-47.

    `align` answers every pair in order: links with scores in (0, 1], none for a pair that it cannot align. An aligner that learns does so
    from the pairs that it is given, and from `more`, texts whose links nobody asks for.
    """

    name: str

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the links: name, options, model. No paths."""

    def align(
        self, pairs: Sequence[Bitext], src: str, tgt: str, more: Sequence[Bitext] = ()
    ) -> list[dict[Link, float]]:
        """Links between the units of each pair."""

    def close(self) -> None:
        """Free models; safe to call twice."""
