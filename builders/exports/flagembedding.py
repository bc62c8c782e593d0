"""FlagEmbedding: query, pos, neg, and where asked the scores of a teacher and a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsbuild.builders.exports.exported import Task, at_least, needs_scores, passages_of
from dsbuild.builders.exports.scope import Example


@dataclass(frozen=True)
class FlagEmbedding:
    """JSON lines of query, pos, neg; scores: also pos_scores and neg_scores (knowledge distillation); prompt: the query's instruction.

    n: negatives of a query at most. Queries without any are left out: the loader divides by their number.
    """

    n: int | None = None
    scores: bool = False
    retriever: str | None = None
    prompt: str | None = None

    about: ClassVar[str] = "FlagEmbedding (`--train_data FILE.jsonl`)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        at_least("n", self.n)
        needs_scores(self.retriever, self.scores)
        for scope in task.scopes:
            teacher = task.views.retriever(scope, self.retriever) if self.scores else None
            for split in task.views.splits(scope, "queries"):
                # A folder is given to --train_data as well, so each split has one of its own.
                path = f"{task.base(scope)}{split}/{split}.jsonl"
                with task.folder.lines(path) as lines:
                    for row in task.examples(scope, split, self._make, teacher):
                        lines.json(row)
                task.folder.name(task.config(scope, "train"), split, path)

    def _make(self, example: Example) -> list[dict[str, Any]] | str:
        found = passages_of(example, self.n, scored=self.scores)
        if isinstance(found, str):
            return found
        positives, negatives = found
        row: dict[str, Any] = {
            "query": example.text, "pos": [one.whole for one in positives], "neg": [one.whole for one in negatives],
        }  # fmt: skip
        if self.scores:
            row |= {"pos_scores": [one.score for one in positives], "neg_scores": [one.score for one in negatives]}
        if self.prompt is not None:
            row["prompt"] = self.prompt
        return [row]
