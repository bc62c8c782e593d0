"""Projection methods of the tests: by links alone, and one that says whatever it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from dsbuild.project.projector import Parallel, Projected


class ByLinks:
    """The hull of the links of a span; null where it has none. sure: its score."""

    name: ClassVar[str] = "align"
    deterministic: ClassVar[bool] = True

    def __init__(self, sure: float = 0.9) -> None:
        self.sure = sure
        self.seen = 0

    def fingerprint(self) -> dict[str, Any]:
        return {"method": self.name, "sure": self.sure}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        self.seen = len(list(pairs))
        assert self.seen == len(pairs)

    def facts(self) -> dict[str, Any]:
        return {"notes": [f"saw {self.seen} pairs"]}

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        for pair in pairs:
            yield [self._one(pair, span.span_id, span.pieces) for span in pair.source.spans]

    def _one(self, pair: Parallel, span_id: str, pieces: Sequence[tuple[int, int]]) -> Projected:
        assert pair.links is not None
        ends = [
            end
            for start, end in zip(pair.links.src, pair.links.tgt, strict=True)
            if any(low < start[1] and start[0] < high for low, high in pieces)
        ]
        if not ends:
            return Projected(span_id, (), None, self.name, "null", "no_links")
        return Projected(span_id, ((min(ends)[0], max(end for _, end in ends)),), self.sure, self.name)

    def close(self) -> None:
        pass


class Told:
    """Says for each span what `SAID` has for its id; nothing for one that it lacks."""

    name: ClassVar[str] = "fuzzy"
    deterministic: ClassVar[bool] = True
    SAID: ClassVar[dict[str, Projected]] = {}

    def fingerprint(self) -> dict[str, Any]:
        return {"method": self.name}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        pass

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        for pair in pairs:
            yield [self.SAID[span.span_id] for span in pair.source.spans if span.span_id in self.SAID]

    def close(self) -> None:
        pass


class ByText:
    """The first place where the span's own text stands; rejected where it does not. It needs no links."""

    name: ClassVar[str] = "candidates"
    deterministic: ClassVar[bool] = True

    def fingerprint(self) -> dict[str, Any]:
        return {"method": self.name}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        pass

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        for pair in pairs:
            found = []
            for span in pair.source.spans:
                surface = span.surface(pair.source.text)
                at = pair.target.find(surface)
                lost = Projected(span.span_id, (), None, self.name, "rejected", "not_found")
                found.append(lost if at < 0 else Projected(span.span_id, ((at, at + len(surface)),), 0.8, self.name))
            yield found

    def close(self) -> None:
        pass


class Aloud:
    """Translates by itself: every letter as a capital, the first span of a row lost; a row without spans cannot be translated."""

    name: ClassVar[str] = "markers"
    deterministic: ClassVar[bool] = True
    translates: ClassVar[bool] = True

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def fingerprint(self) -> dict[str, Any]:
        return {"method": self.name}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        assert all(pair.target == "" for pair in pairs)

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        for pair in pairs:
            yield [
                Projected(span.span_id, (), None, self.name, "rejected", "given_target") for span in pair.source.spans
            ]

    def translated(self, pairs: Sequence[Parallel]) -> Iterator[tuple[str, list[Projected]]]:
        for pair in pairs:
            lost = [
                Projected(span.span_id, (), None, self.name, "rejected", "missing") for span in pair.source.spans[:1]
            ]
            kept = [Projected(span.span_id, span.pieces, None, self.name) for span in pair.source.spans[1:]]
            yield (pair.source.text.upper() if pair.source.spans else ""), [*lost, *kept]

    def close(self) -> None:
        pass
