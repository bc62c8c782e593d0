"""Several retrievers over one collection after another: what they have in common is indexed once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsbuild.builders.retrieval.fusion import Fused
from dsbuild.builders.retrieval.retriever import Collection, Hits, Retriever, Rows, Scores, open_retrievers
from dsbuild.builders.retrieval.run_file import RunFile


class Systems:
    """The retrievers of a comma list; a part of a fusion that also stands alone is indexed and asked once for a collection.

    vectors: where encoders keep vectors for later runs. A run file may name documents that a smaller collection has no more.
    """

    def __init__(self, spec: str, options: Mapping[str, Mapping[str, Any]], vectors: Path | None = None) -> None:
        self._known: dict[str, _Shared] = {}
        self.retrievers = [self._shared(one) for one in open_retrievers(spec, options)]
        for made in self.retrievers:
            if vectors is not None and hasattr(made, "keep_in"):
                made.keep_in(vectors)

    def search(self, corpus: Collection, queries: Collection, k: int, scratch: Path) -> dict[str, Rows]:
        """Rows of the best k documents for each query, by retriever."""
        found = {}
        for number, made in enumerate(self.retrievers):
            folder = scratch / f"{number}"
            folder.mkdir(parents=True, exist_ok=True)
            made.index(corpus, folder)
            found[made.name] = made.search(queries, k)[0]
        return found

    def close(self) -> None:
        """Let go of memory and files."""
        for made in self.retrievers:
            made.close()

    def _shared(self, made: Retriever) -> Retriever:
        if isinstance(made, Fused):
            made.parts = tuple(self._shared(part) for part in made.parts)
            return made
        if isinstance(made, RunFile):
            made.unknown = "drop"
        key = json.dumps([made.name, made.fingerprint()], sort_keys=True)
        return self._known.setdefault(key, _Shared(made))


class _Shared:
    """A retriever that indexes a collection, and answers a question, once."""

    def __init__(self, made: Retriever) -> None:
        self._made = made
        self.name, self.deterministic = made.name, made.deterministic
        self._corpus: Collection | None = None
        self._last: tuple[Collection, int, Hits] | None = None

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return self._made.fingerprint()

    def keep_in(self, folder: Path) -> None:
        """Name the folder for what serves later runs."""
        if hasattr(self._made, "keep_in"):
            self._made.keep_in(folder)

    def index(self, corpus: Collection, scratch: Path) -> None:
        """See `Retriever`."""
        if self._corpus is not corpus:
            self._made.index(corpus, scratch)
            self._corpus, self._last = corpus, None

    def search(self, queries: Collection, k: int) -> Hits:
        """See `Retriever`."""
        if self._last is None or self._last[0] is not queries or self._last[1] < k:
            self._last = queries, k, self._made.search(queries, k)
        rows, scores = self._last[2]
        return rows[:, :k], scores[:, :k]

    def score(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Retriever`."""
        return self._made.score(queries, query_rows, doc_rows)

    def close(self) -> None:
        """See `Retriever`."""
        self._corpus = self._last = None
        self._made.close()
