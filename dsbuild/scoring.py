"""What a scorer of translations is: teacher-forced log-probabilities of given targets, batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Scored:
    """A target under a model.

    tokens: the model's own pieces of the target; starts, ends: where each stands in the target text, in code points; log_probs: natural
    logarithms, one a token, the end token's last (one more than tokens).
    """

    tokens: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    log_probs: tuple[float, ...]

    @property
    def total(self) -> float:
        """The log-probability of the whole target."""
        return sum(self.log_probs)


@runtime_checkable
class TranslationScorer(Protocol):
    """Scores given translations with a translation model; nothing is decoded."""

    name: str

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the scores."""

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        """Log-probabilities of each target given its source; languages are BCP-47. A pair's value does not depend on its batch beyond rounding."""

    def close(self) -> None:
        """Free the model; safe to call twice."""


@runtime_checkable
class BranchScorer(TranslationScorer, Protocol):
    """A scorer that reads what texts share only once: one source, stems of a target, and texts that leave them."""

    def score_branches(
        self, source: str, stems: Sequence[str], branches: Sequence[tuple[int, str]], margin: float, src: str, tgt: str
    ) -> list[float]:
        """The totals of targets, as `score` gives them, up to rounding.

        branches: (number of a stem, text that begins as that stem does). margin: in nats; a text that can be told to lie further than this
        below the best of all may get minus infinity instead of its total.
        """
