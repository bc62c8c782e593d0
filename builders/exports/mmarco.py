"""MS MARCO and mMARCO: collection, queries, qrels and training triples as columns parted by tabs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbuild import languages
from dsbuild.builders.exports.exported import Task
from dsbuild.builders.exports.flat_lines import flat, opened_ids
from dsbuild.builders.exports.scope import Example, Passage, Scope, joined


@dataclass(frozen=True)
class Mmarco:
    """mMARCO's layout: one folder, files named by language; triples are of ids and of texts.

    n: negatives of a positive at most; ids: keep or number (numbers as MS MARCO has).
    """

    n: int | None = None
    ids: str = "keep"

    about: ClassVar[str] = (
        "readers of MS MARCO and mMARCO (ir_datasets' `TsvDocs`, `TsvQueries`, `TrecQrels`, `TsvDocPairs`)"
    )
    needs: ClassVar[str] = "judgements"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        for scope in task.scopes:
            name = language_of(scope)
            # Ids are the same in every language, numbers are not.
            base = task.base(scope) if self.ids == "number" else ""
            own = "" if len(task.scopes) == 1 else f"{name}."
            splits = task.views.splits(scope, "qrels")
            negatives = (
                all("negatives" in task.views.release.tables(lang) for lang in task.views.judged(scope))
                and len(scope.queries) == 1
            )
            if not negatives:
                task.note(f"{scope.name}: no mined negatives, so no triples")
            with opened_ids(task.folder, base, self.ids) as (docs, queries):
                with task.folder.lines(f"{base}collections/{name}_collection.tsv") as lines:
                    for row, title, text in task.views.corpus(scope):
                        lines.write(f"{docs.new(row)}\t{flat(joined(title, text))}")
                for split in splits:
                    with task.folder.lines(f"{base}queries/{split}/{name}_queries.{split}.tsv") as lines:
                        for row, text in task.views.queries(scope, [split]):
                            number = queries(row) if self.ids == "number" and queries.known(row) else queries.new(row)
                            lines.write(f"{number}\t{flat(text)}")
                    with task.folder.lines(f"{base}{own}qrels.{split}.tsv") as lines:
                        for query, doc, relevance in task.judged(scope, split):
                            lines.write(f"{queries(query)}\t0\t{docs(doc)}\t{relevance}")
                    if not negatives or split not in task.views.splits(scope, "queries"):
                        continue
                    with (
                        task.folder.lines(f"{base}{own}triples.{split}.ids.tsv") as ids,
                        task.folder.lines(f"{base}triples.{split}.{name}.tsv") as texts,
                    ):
                        for query, question, positive, negative in task.examples(
                            scope, split, self._triples, part="triples"
                        ):
                            ids.write(f"{queries(query)}\t{docs(positive.id)}\t{docs(negative.id)}")
                            texts.write(f"{flat(question)}\t{flat(positive.whole)}\t{flat(negative.whole)}")

    def _triples(self, example: Example) -> list[tuple[str, str, Passage, Passage]] | str:
        """Every positive with the first n negatives."""
        made = [
            (example.id, example.text, positive, negative)
            for positive in example.positives
            for negative in example.negatives[: self.n]
        ]
        return made or "no_negative"


def language_of(scope: Scope) -> str:
    """How mMARCO calls a language: its English name in small letters; other scopes by their own name."""
    if scope.queries != scope.passages or len(scope.passages) > 1:
        return scope.name
    return languages.get(scope.passages[0]).name.lower().replace(" ", "_")
