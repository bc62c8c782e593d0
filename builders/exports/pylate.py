"""PyLate: triplets or tuples for contrastive training, or three tables of ids, texts and a teacher's scores for distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from dsbuild.builders.exports.exported import Task, at_least, choice, passages_of
from dsbuild.builders.exports.scope import Example, joined
from dsbuild.builders.exports.sentence_transformers import FLOATS, STRING, constant, write_tuples


@dataclass(frozen=True)
class PyLate:
    """style contrastive: query, positive, negative (n = 1: a row for each pair), or negative_1 to negative_n; style kd: the configurations
    train (query_id, document_ids, scores), queries (query_id, text) and documents (document_id, text), as `KDProcessing` reads them.

    n: negatives of a row; for kd at most so many. retriever: whose scores. `KDProcessing` keeps the first 32 passages; the positives stand first.
    """  # noqa: D205

    style: str = "contrastive"
    n: int | None = None
    retriever: str | None = None

    about: ClassVar[str] = "PyLate (`losses.Contrastive`; `utils.KDProcessing` with `losses.Distillation`)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        choice("pylate", self.style, ("contrastive", "kd"))
        at_least("n", self.n)
        if self.style == "kd":
            self._distillation(task)
        else:
            self._contrastive(task)

    def _contrastive(self, task: Task) -> None:
        n = constant(task, self.n)
        negatives = ["negative"] if n == 1 else [f"negative_{number}" for number in range(1, n + 1)]
        write_tuples(task, n, ("query", "positive", *negatives))

    def _distillation(self, task: Task) -> None:
        train = pa.schema([("query_id", STRING), ("document_ids", pa.list_(STRING)), ("scores", FLOATS)])

        def make(example: Example) -> list[tuple[object, ...]] | str:
            found = passages_of(example, self.n, scored=True)
            if isinstance(found, str):
                return found
            chosen = [*found[0], *found[1]]
            return [(example.id, [one.id for one in chosen], [one.score for one in chosen])]

        for scope in task.scopes:
            teacher = task.views.retriever(scope, self.retriever)
            splits = task.views.splits(scope, "queries")
            for split in splits:
                rows = task.examples(scope, split, make, teacher)
                task.folder.table(task.config(scope, "train"), split, train, rows)
            for table, key, texts in (
                ("queries", "query_id", task.views.queries(scope, splits)),
                ("documents", "document_id", ((row, joined(title, text)) for row, title, text in task.views.corpus(scope))),
            ):  # fmt: skip
                # The loader looks for the split that the trainer names, `train` unless told otherwise.
                task.folder.table(
                    task.config(scope, table), "train", pa.schema([(key, STRING), ("text", STRING)]), texts
                )
