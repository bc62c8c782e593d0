"""Tevatron: groups of a query with the texts of its passages (old), or with their ids beside a corpus (new)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsbuild.builders.exports.exported import Task, at_least, choice
from dsbuild.builders.exports.scope import Example, Passage, joined


@dataclass(frozen=True)
class Tevatron:
    """style old: query_id, query, positive_passages, negative_passages; style new: query_id, query_text, positive_document_ids,
    negative_document_ids, and corpus.jsonl with docid and text.

    n: negatives of a query at most. Queries without any are left out: the loader draws from an empty list.
    """  # noqa: D205

    style: str = "new"
    n: int | None = None

    about: ClassVar[str] = "Tevatron's `TrainDataset` (`--dataset_name json --dataset_path …`)"
    needs: ClassVar[str] = "negatives"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        choice("tevatron", self.style, ("new", "old"))
        at_least("n", self.n)
        for scope in task.scopes:
            base = task.base(scope)
            if self.style == "new":
                with task.folder.lines(f"{base}corpus.jsonl") as lines:
                    for row, title, text in task.views.corpus(scope):
                        # Training reads `text` alone and encoding puts a title before it: with the title inside both read the same.
                        lines.json({"docid": row, "text": joined(title, text)})
            for split in task.views.splits(scope, "queries"):
                # The old --train_dir takes every JSON file of a folder, so each split has one of its own.
                path = f"{base}{split}/{split}.jsonl" if self.style == "old" else f"{base}{split}.jsonl"
                with task.folder.lines(path) as lines:
                    for row in task.examples(scope, split, self._make):
                        lines.json(row)
                task.folder.name(task.config(scope, "train"), split, path)

    def _make(self, example: Example) -> list[dict[str, Any]] | str:
        negatives = example.negatives[: self.n]
        if not negatives:
            return "no_negative"
        if self.style == "new":
            return [
                {
                    "query_id": example.id, "query_text": example.text,
                    "positive_document_ids": [one.id for one in example.positives], "negative_document_ids": [one.id for one in negatives],
                }
            ]  # fmt: skip
        return [
            {
                "query_id": example.id, "query": example.text,
                "positive_passages": [_passage(one) for one in example.positives], "negative_passages": [_passage(one) for one in negatives],
            }
        ]  # fmt: skip


def _passage(one: Passage) -> dict[str, str]:
    return {"docid": one.id, "title": one.title, "text": one.text}
