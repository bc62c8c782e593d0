"""FlagEmbedding: query, pos, neg, and where asked the scores of a teacher and a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsbuild.builders.exported import Task, at_least
from dsbuild.builders.scope import Example
from dsbuild.errors import RecipeError


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
        if self.retriever and not self.scores:
            raise RecipeError("--retriever: says whose scores are written; needs --scores")
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
        positives = [one for one in example.positives if not self.scores or one.score is not None]
        negatives = [one for one in example.negatives if not self.scores or one.score is not None][: self.n]
        if not positives or not negatives:
            return "no_negative" if not example.negatives else "no_score"
        row: dict[str, Any] = {
            "query": example.text, "pos": [one.whole for one in positives], "neg": [one.whole for one in negatives],
        }  # fmt: skip
        if self.scores:
            row |= {"pos_scores": [one.score for one in positives], "neg_scores": [one.score for one in negatives]}
        if self.prompt is not None:
            row["prompt"] = self.prompt
        return [row]
