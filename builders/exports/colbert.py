"""ColBERT: collection.tsv and queries.tsv numbered by line, triples of those numbers, and maps back to the ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dsbuild.builders.exports.exported import Task, at_least, needs_scores, passages_of
from dsbuild.builders.exports.flat_lines import Ids, flat, opened_ids
from dsbuild.builders.exports.scope import Example, Passage, joined


@dataclass(frozen=True)
class ColBERT:
    """Numbers are line numbers from 0; texts have no tab or line break.

    triples/<split>.jsonl: [query, positive, negative, …], a row for each positive; with scores [query, [passage, score], …],
    as ColBERT distils them. n: negatives of a row at most.
    """

    n: int | None = None
    scores: bool = False
    retriever: str | None = None

    about: ClassVar[str] = "ColBERT (`Collection`, `Queries`, `Examples`)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        at_least("n", self.n)
        needs_scores(self.retriever, self.scores)
        for scope in task.scopes:
            base = task.base(scope)
            teacher = task.views.retriever(scope, self.retriever) if self.scores else None
            splits = task.views.splits(scope, "queries")
            with opened_ids(task.folder, base, "number") as (docs, queries):
                with task.folder.lines(f"{base}collection.tsv") as lines:
                    for row, title, text in task.views.corpus(scope):
                        lines.write(f"{docs.new(row)}\t{flat(joined(title, text))}")
                with task.folder.lines(f"{base}queries.tsv") as lines:
                    for row, text in task.views.queries(scope, splits):
                        # The loader takes a line without a text for a line without a column.
                        if question := flat(text):
                            lines.write(f"{queries.new(row)}\t{question}")
                make = partial(self._make, docs, queries)
                for split in splits:
                    with task.folder.lines(f"{base}triples/{split}.jsonl") as lines:
                        for line in task.examples(scope, split, make, teacher):
                            lines.json(line)

    def _make(self, docs: Ids, queries: Ids, example: Example) -> list[list[Any]] | str:
        if not queries.known(example.id):
            return "empty_query"
        found = passages_of(example, self.n, scored=self.scores)
        if isinstance(found, str):
            return found
        positives, negatives = found
        number = int(queries(example.id))
        return [[number, *(self._shown(docs, one) for one in (first, *negatives))] for first in positives]

    def _shown(self, docs: Ids, one: Passage) -> Any:
        number = int(docs(one.id))
        return [number, one.score] if self.scores else number
