"""MTEB v2: a folder that `datasets` opens, and a file with the task class that runs on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild import languages
from dsbuild.builders.exports.exported import Task
from dsbuild.builders.exports.scope import Scope
from dsbuild.builders.retrieval.own_documents import by_id
from dsbuild.errors import ReleaseError
from dsbuild.stage import Shards

_STRING = pa.string()
_CORPUS = pa.schema([("id", _STRING), ("title", _STRING), ("text", _STRING)])
_QUERIES = pa.schema([("id", _STRING), ("text", _STRING)])
_QRELS = pa.schema([("query-id", _STRING), ("corpus-id", _STRING), ("score", pa.int32())])
_RANKED = pa.schema([("query-id", _STRING), ("corpus-ids", pa.list_(_STRING))])
FILE = "mteb_task.py"
# mteb.types.Licenses; another licence is named by its address or not at all.
_LICENSES = frozenset(
    [
        "mit", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "openrail", "openrail++", "odc-by", "afl-3.0", "apache-2.0", "cc-by-nd-2.1-jp",
        "cc0-1.0", "bsd-3-clause", "gpl-3.0", "lgpl", "lgpl-3.0", "cdla-sharing-1.0", "mpl-2.0",
    ]
)  # fmt: skip
_TASK = '''"""An MTEB task: import it and call `mteb.evaluate(model, {name}())`."""

from pathlib import Path

from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata


class {name}(AbsTaskRetrieval):
    metadata = TaskMetadata(
        name={name!r},
        description={description!r},
        reference={reference!r},
        # The folder of this file. After publishing: the repository, and its commit as the revision.
        dataset={{"path": str(Path(__file__).resolve().parent), "revision": {revision!r}}},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits={splits!r},
        eval_langs={langs!r},
        main_score="ndcg_at_10",
        license={license!r},
        sample_creation={creation!r},
        bibtex_citation={citation!r},
    )
    # Whether a document with the id of a query is that query, and no hit.
    ignore_identical_ids = {identical!r}
'''


@dataclass(frozen=True)
class Mteb:
    """Configurations corpus, queries and qrels, of several languages `<lang>-corpus` and so on, and `mteb_task.py`.

    retriever: its candidates become `top_ranked`, so that the task reranks them. Queries without a judgement are left out, as the loader does.
    """

    retriever: str | None = None

    about: ClassVar[str] = f"MTEB 2 (`{FILE}`)"
    needs: ClassVar[str] = "judgements"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        found = {scope.name: task.views.splits(scope, "qrels") for scope in task.scopes}
        splits = [split for split in next(iter(found.values())) if all(split in one for one in found.values())]
        if not splits:
            raise ReleaseError(
                f"{task.views.release.folder}: no split that all languages have; choose some with --langs"
            )
        for scope in task.scopes:
            # For a split that a subset lacks the loader would take its only other one.
            if other := [split for split in found[scope.name] if split not in splits]:
                task.note(f"{scope.name}: the splits {', '.join(other)} are not in every language and not exported")
            self._scope(task, scope, splits)
        task.folder.text(FILE, _source(task, splits))

    def _scope(self, task: Task, scope: Scope, splits: Sequence[str]) -> None:
        # Paths without the scope: the name of the configuration holds it.
        task.folder.table(task.config(scope, "corpus"), "corpus", _CORPUS, task.views.corpus(scope))
        for split in splits:
            judged: set[str] = set()
            rows = _seen(task.judged(scope, split), judged)
            task.folder.table(task.config(scope, "qrels"), split, _QRELS, rows)
            queries = (row for row in task.views.queries(scope, [split]) if row[0] in judged)
            task.folder.table(task.config(scope, "queries"), split, _QUERIES, queries)
        if self.retriever:
            run = task.views.run(scope, task.views.retriever(scope, self.retriever))
            ranked = ((query, [one[1] for one in rows]) for query, rows in groupby(run, key=lambda one: one[0]))
            task.folder.table(task.config(scope, "top_ranked"), "candidates", _RANKED, ranked)


def _seen(rows: Iterator[tuple[str, str, int]], queries: set[str]) -> Iterator[tuple[str, str, int]]:
    for row in rows:
        queries.add(row[0])
        yield row


def _source(task: Task, splits: Sequence[str]) -> str:
    release = task.views.release
    manifest, source = release.manifest, release.manifest["source"]
    langs: Any = {
        scope.name: [code(lang) for lang in dict.fromkeys((*scope.queries, *scope.passages))] for scope in task.scopes
    }
    translated = {lang for scope in task.scopes for lang in scope.passages} != {source["lang"]} and bool(
        manifest.get("engines")
    )
    license_name = manifest["recipe"].get("release", {}).get("license") or source["license"]
    url = source["url"] if str(source["url"] or "").startswith(("http://", "https://")) else None
    return _TASK.format(
        name=class_name(release.name), description=f"{release.name} {release.version}, a retrieval set made by dsbuild.", reference=url,
        revision=str(manifest.get("content", {}).get("digest") or manifest.get("build_key") or release.version), splits=list(splits),
        langs=next(iter(langs.values())) if len(langs) == 1 else langs, license=license_name if license_name in _LICENSES else None,
        creation="machine-translated" if translated else None, citation=source["citation"] or "", identical=_identical(task),
    )  # fmt: skip


def _identical(task: Task) -> bool:
    """Whether queries of some language are documents of the same id."""
    release = task.views.release
    return any(
        by_id(*(Shards(release.table(lang, table).files) for table in ("queries", "corpus")))
        for lang in sorted({lang for scope in task.scopes for lang in set(scope.queries) & set(scope.passages)})
    )


def class_name(release: str) -> str:
    """The name of a task.

    >>> class_name("mine-msmarco-sample"), class_name("2-सेट")
    ('MineMsmarcoSampleRetrieval', 'Set2Retrieval')
    """
    words = "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", release))
    return f"{'' if words[:1].isalpha() else 'Set'}{words}Retrieval"


def code(lang: str) -> str:
    """A language as MTEB names it: ISO 639-3 and script.

    >>> code("hi"), code("sr-Latn")
    ('hin-Deva', 'srp-Latn')
    """
    known = languages.get(lang)
    return f"{known.iso639_3}-{known.scripts[0]}"
