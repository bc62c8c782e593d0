"""BEIR: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbuild.builders.exports.exported import Task
from dsbuild.builders.exports.flat_lines import opened_ids


@dataclass(frozen=True)
class Beir:
    """BEIR's folder, as its GenericDataLoader reads it; explicit grades of 0 are kept. ids: keep or number."""

    ids: str = "keep"

    about: ClassVar[str] = "`beir.datasets.data_loader.GenericDataLoader`"
    needs: ClassVar[str] = "judgements"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        for scope in task.scopes:
            base = task.base(scope)
            splits = task.views.splits(scope, "qrels")
            with opened_ids(task.folder, base, self.ids) as (docs, queries):
                with task.folder.lines(f"{base}corpus.jsonl") as lines:
                    for row, title, text in task.views.corpus(scope):
                        lines.json({"_id": docs.new(row), "title": title, "text": text})
                with task.folder.lines(f"{base}queries.jsonl") as lines:
                    for row, text in task.views.queries(scope, splits):
                        lines.json({"_id": queries.new(row), "text": text})
                for split in splits:
                    with task.folder.lines(f"{base}qrels/{split}.tsv") as lines:
                        # The loader drops the first line, whatever it is.
                        lines.write("query-id\tcorpus-id\tscore")
                        for query, doc, relevance in task.judged(scope, split):
                            lines.write(f"{queries(query)}\t{docs(doc)}\t{relevance}")
