"""TREC: topics, qrels and runs, in the formats that ir_datasets, trec_eval and Anserini read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbuild.builders.exports.exported import Task
from dsbuild.builders.exports.flat_lines import flat, opened_ids


@dataclass(frozen=True)
class Trec:
    """Topics by split, qrels with explicit zeros, a run for each retriever with candidates, and the documents.

    ids: keep (no id may hold white space) or number; retriever: write the run of this one only.
    """

    ids: str = "keep"
    retriever: str | None = None

    about: ClassVar[str] = (
        "trec_eval, ir-measures and the formats of ir_datasets (`TsvQueries`, `TrecQrels`, `TrecScoredDocs`, `JsonlDocs`)"
    )
    needs: ClassVar[str] = "judgements"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        for scope in task.scopes:
            base = task.base(scope)
            names = [task.views.retriever(scope, self.retriever)] if self.retriever else task.views.retrievers(scope)
            if not names:
                task.note(f"{scope.name}: the release has no candidates, so there is no run")
            with opened_ids(task.folder, base, self.ids, spaces=False) as (docs, queries):
                with task.folder.lines(f"{base}docs.jsonl") as lines:
                    for row, title, text in task.views.corpus(scope):
                        lines.json({"doc_id": docs.new(row), "title": title, "text": text})
                splits = task.views.splits(scope, "qrels")
                for split in splits:
                    with task.folder.lines(f"{base}topics/{split}.tsv") as lines:
                        for row, text in task.views.queries(scope, [split]):
                            number = queries(row) if self.ids == "number" and queries.known(row) else queries.new(row)
                            lines.write(f"{number}\t{flat(text)}")
                    with task.folder.lines(f"{base}qrels/{split}.txt") as lines:
                        for query, doc, relevance in task.judged(scope, split):
                            lines.write(f"{queries(query)} 0 {docs(doc)} {relevance}")
                for name in names:
                    tag = file_name(name)
                    with task.folder.lines(f"{base}runs/{tag}.txt") as lines:
                        for query, doc, rank, score in task.views.run(scope, name):
                            if queries.known(query):
                                lines.write(f"{queries(query)} Q0 {docs(doc)} {rank} {score!r} {tag}")


def file_name(retriever: str) -> str:
    """The name of a retriever as a file and a tag.

    >>> file_name("rrf:bm25+lsa")
    'rrf-bm25+lsa'
    """
    return "".join(one if one.isalnum() or one in "._+-" else "-" for one in retriever)
