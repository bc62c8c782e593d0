"""sentence-transformers: triplets, tuples of n negatives, labelled pairs or lists, and scores of a teacher.

Columns are read by their order; `label`, `labels`, `score` and `scores` are the only names that mean something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from dsbuild.builders.exports.exported import Task, at_least, choice, needs_scores, passages_of
from dsbuild.builders.exports.scope import Example, Passage
from dsbuild.errors import RecipeError

STRING, FLOATS = pa.string(), pa.list_(pa.float32())
ABOUT = "sentence-transformers"


@dataclass(frozen=True)
class Triplet:
    """anchor, positive, negative: every positive with each of its first n negatives."""

    n: int | None = None

    about: ClassVar[str] = f"{ABOUT} (TripletLoss, MultipleNegativesRankingLoss)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        at_least("n", self.n)
        schema = pa.schema([(name, STRING) for name in ("anchor", "positive", "negative")])

        def make(example: Example) -> list[tuple[str, ...]] | str:
            made: list[tuple[str, ...]] = [
                (example.text, positive.whole, negative.whole)
                for positive in example.positives
                for negative in example.negatives[: self.n]
            ]
            return made or "no_negative"

        for scope in task.scopes:
            for split in task.views.splits(scope, "queries"):
                task.folder.table(task.config(scope), split, schema, task.examples(scope, split, make))


@dataclass(frozen=True)
class NTuple:
    """anchor, positive, negative_1 to negative_n: a row for each positive of a query that has n negatives.

    n: the same for every row [the number that was mined]; queries with fewer are left out and named.
    """

    n: int | None = None

    about: ClassVar[str] = f"{ABOUT} (MultipleNegativesRankingLoss)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        n = constant(task, self.n)
        write_tuples(task, n, ("anchor", "positive", *(f"negative_{number}" for number in range(1, n + 1))))


@dataclass(frozen=True)
class Labeled:
    """style pair: anchor, document, label (1, 0); style list: query, docs, labels, positives first. For cross-encoders.

    n: negatives of a query at most; scores: write the retriever's scores (`score`, `scores`) instead of labels; passages without one are left out.
    """

    style: str = "pair"
    n: int | None = None
    scores: bool = False
    retriever: str | None = None

    about: ClassVar[str] = f"{ABOUT} (BinaryCrossEntropyLoss; LambdaLoss and other losses of lists)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        choice("st-labeled", self.style, ("pair", "list"))
        at_least("n", self.n)
        needs_scores(self.retriever, self.scores)
        kind = pa.float32() if self.scores else pa.int64()
        if self.style == "pair":
            schema = pa.schema([("anchor", STRING), ("document", STRING), ("score" if self.scores else "label", kind)])
        else:
            value = ("scores" if self.scores else "labels", pa.list_(kind))
            schema = pa.schema([("query", STRING), ("docs", pa.list_(STRING)), value])
        for scope in task.scopes:
            teacher = task.views.retriever(scope, self.retriever) if self.scores else None
            for split in task.views.splits(scope, "queries"):
                task.folder.table(task.config(scope), split, schema, task.examples(scope, split, self._make, teacher))

    def _make(self, example: Example) -> list[tuple[object, ...]] | str:
        found = passages_of(example, self.n, scored=self.scores)
        if isinstance(found, str):
            return found
        positives, negatives = found
        passages = [*positives, *negatives]
        values = [one.score for one in passages] if self.scores else [1] * len(positives) + [0] * len(negatives)
        if self.style == "list":
            return [(example.text, [one.whole for one in passages], values)]
        return [(example.text, one.whole, value) for one, value in zip(passages, values, strict=True)]


@dataclass(frozen=True)
class Distil:
    """query, positive, negative_1 to negative_n, and a teacher's scores: those of a retriever (or of `rerank`) that returned the candidates.

    style kldiv: `scores`, of the positive and the n negatives (DistillKLDivLoss; MarginMSELoss takes them too); style margin: `label`,
    the n differences positive - negative, of n = 1 one number (MarginMSELoss).
    """

    style: str = "kldiv"
    n: int | None = None
    retriever: str | None = None

    about: ClassVar[str] = f"{ABOUT} (DistillKLDivLoss, MarginMSELoss)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        choice("st-distil", self.style, ("kldiv", "margin"))
        n = constant(task, self.n)
        texts = ["query", "positive", *(f"negative_{number}" for number in range(1, n + 1))]
        margin = pa.float32() if n == 1 else FLOATS
        value = ("scores", FLOATS) if self.style == "kldiv" else ("label", margin)
        schema = pa.schema([*((name, STRING) for name in texts), value])

        def make(example: Example) -> list[tuple[object, ...]] | str:
            negatives = [one for one in example.negatives if one.score is not None]
            if len(negatives) < n:
                return fewer(example.negatives) if len(example.negatives) < n else "no_score"
            made = [self._row(example, one, negatives[:n]) for one in example.positives if one.score is not None]
            return made or "no_score"

        for scope in task.scopes:
            teacher = task.views.retriever(scope, self.retriever)
            for split in task.views.splits(scope, "queries"):
                task.folder.table(task.config(scope), split, schema, task.examples(scope, split, make, teacher))

    def _row(self, example: Example, positive: Passage, negatives: list[Passage]) -> tuple[object, ...]:
        own = positive.score or 0.0
        scores = [one.score or 0.0 for one in negatives]
        value: object = [own, *scores]
        if self.style == "margin":
            differences = [own - score for score in scores]
            value = differences[0] if len(differences) == 1 else differences
        return (example.text, positive.whole, *(one.whole for one in negatives), value)


def write_tuples(task: Task, n: int, names: Sequence[str]) -> None:
    """Tables of a query, a positive and n negatives, a row for each positive; names: of the columns."""
    schema = pa.schema([(name, STRING) for name in names])

    def make(example: Example) -> list[tuple[str, ...]] | str:
        if len(example.negatives) < n:
            return fewer(example.negatives)
        return [
            (example.text, positive.whole, *(one.whole for one in example.negatives[:n]))
            for positive in example.positives
        ]

    for scope in task.scopes:
        for split in task.views.splits(scope, "queries"):
            task.folder.table(task.config(scope), split, schema, task.examples(scope, split, make))


def constant(task: Task, n: int | None) -> int:
    """How many negatives every row has: as said, or as many as were mined for a query."""
    at_least("n", n)
    if n is not None:
        return n
    mined = task.views.release.manifest.get("findings", {}).get("negatives")
    if not isinstance(mined, int):
        raise RecipeError(
            f"--n: {task.views.release.folder} does not say how many negatives were mined; name the number of every row"
        )
    return mined


def fewer(negatives: tuple[Passage, ...]) -> str:
    """Why a query with too few negatives is left out."""
    return "fewer_negatives" if negatives else "no_negative"
