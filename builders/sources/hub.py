"""Retrieval sets by name: hf:ORG/NAME[@REVISION] from the Hub or its cache, irds:ID through ir_datasets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild.builders.sources.beir import beir_layout, judgements
from dsbuild.builders.sources.filesource import About, FileSource, Layout, grades, no_qrels
from dsbuild.builders.sources.lines import bare_name, suffixes
from dsbuild.builders.sources.readme import readme_facts
from dsbuild.builders.sources.rows import Chunk, TableFile
from dsbuild.builders.sources.source import (
    BATCH_ROWS,
    Opening,
    SourceFacts,
    as_table,
    batches,
    check_table,
    chosen_splits,
    constant,
    is_evaluation,
    stated_lang,
)
from dsbuild.builders.sources.tabular import FORMATS, TABLE_NAMES, parquet_layout, table_file
from dsbuild.builders.sources.validate import check_ids
from dsbuild.errors import MissingExtra, SourceError
from dsbuild.tables import CORPUS, QRELS, QUERIES, RETRIEVAL, RetrievalTable

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class UnreachableError(SourceError):
    """A Hub data set that neither the network nor the cache gives."""


def open_hub(opening: Opening) -> FileSource:
    """Open hf:ORG/NAME[@REVISION]: fetch its files at one commit into the Hub's cache, then read them as files.

    Layouts: configs in the README (corpus, queries, default or qrels, each also as `<subset>-corpus` and so on with the
    option `subset`), else BEIR's files, else Parquet folders. The option `qrels` names another repository that holds
    the judgements. The commit is recorded. Raises `Unreachable` when neither network nor cache has it.
    """
    opening.only_options("subset", "split")
    repository, _, revision = opening.path.partition("@")
    prefix = f"{opening.options['subset']}-" if "subset" in opening.options else ""
    names = {table: [prefix + name for name in names] for table, names in TABLE_NAMES.items()}
    usual = [f"{name}*" for table in names.values() for name in table]
    folder, commit = _snapshot(opening.spec, repository, revision or None, ["README.md", *usual])
    readme = readme_facts(folder)
    named = {
        table: next((readme.configs[name] for name in names[table] if name in readme.configs), []) for table in names
    }
    if named["corpus"]:
        patterns = [pattern for config in named.values() for _, pattern in config]
        folder, _ = _snapshot(opening.spec, repository, commit, patterns)
    layout = _layout(opening, folder, prefix, named)
    if not layout.corpus and named["corpus"]:
        raise UnreachableError(_not_there(opening.spec, repository, revision))
    if not layout.corpus:
        raise SourceError(
            f"{opening.spec}: not a retrieval set: no corpus among its "
            f"configs ({', '.join(readme.configs) or 'none'}) or files"
        )
    other = opening.options.get("qrels")
    if other and other != "none":
        judged_by, _, its_revision = other.partition("@")
        judged, its_commit = _snapshot(
            opening.spec, judged_by, its_revision or None, [f"*{ending}*" for ending in FORMATS]
        )
        remark = f"qrels come from {judged_by}@{its_commit}"
        layout = replace(layout, qrels=_split_files(judged, opening.columns), remarks=(remark,))
    lang = stated_lang(opening.spec, opening.lang, readme.lang, opening.options.get("subset"))
    url = f"https://huggingface.co/datasets/{repository}"
    return FileSource(opening, About(repository, lang, readme.license, commit, url=url), layout)


def _snapshot(spec: str, repository: str, revision: str | None, patterns: list[str]) -> tuple[Path, str]:
    """The folder that holds the repository's files of these names at one commit, and that commit."""
    from huggingface_hub import errors, snapshot_download

    if not _REPOSITORY.fullmatch(repository):
        raise SourceError(f"{spec}: write a Hub data set as ORG/NAME or ORG/NAME@REVISION")
    # The base of all errors of the HTTP library that the Hub's client uses, whichever that is.
    no_answer: type[Exception] = getattr(errors, "HTTPError", OSError)
    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except errors.HfHubHTTPError as error:
        raise SourceError(_refused(spec, repository, revision, error)) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, no_answer) as error:
        raise UnreachableError(_not_there(spec, repository, revision)) from error
    except (errors.HFValidationError, OSError) as error:
        raise SourceError(
            f"{spec}: cannot be fetched ({(str(error).splitlines() or [type(error).__name__])[0]})"
        ) from error
    if not _COMMIT.fullmatch(folder.name):
        raise SourceError(
            f"{spec}: {folder} is not named by a commit; clear that part of the Hub's cache and fetch it again"
        )
    return folder, folder.name


def _not_there(spec: str, repository: str, revision: str | None) -> str:
    return (
        f"{spec}: no network, and {repository}{f'@{revision}' if revision else ''} is not in the Hub's "
        "cache; fetch it where there is one "
        f"(hf download --repo-type dataset {repository}), or name a local folder (beir:DIR, parquet:DIR)"
    )


def _refused(spec: str, repository: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{spec}: {repository} is gated; accept its terms on the Hub and log in (hf auth login)"
    if isinstance(error, RevisionNotFoundError):
        return f"{spec}: {repository} has no revision {revision}"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{spec}: the Hub has no data set {repository}, or it is private; check the name, or log in (hf auth login)"
        )
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"{spec}: the Hub refused {repository} ({reason}); try again later"


def _layout(
    opening: Opening, folder: Path, prefix: str, named: Mapping[RetrievalTable, Sequence[tuple[str | None, str]]]
) -> Layout:
    """The files of each table: by the configs of the README, else BEIR's, else Parquet by folder names."""
    split = opening.options.get("split", "test")
    if not named["corpus"]:
        beir = beir_layout(folder, opening.columns)
        return beir if beir.corpus else parquet_layout(folder, prefix, opening.columns, split)
    found = {
        table: tuple(
            table_file(table, path, opening.columns, split=part)
            for part, pattern in config
            for path in _matching(folder, pattern)
        )
        for table, config in named.items()
    }
    if not found["qrels"]:
        found["qrels"] = _split_files(folder / f"{prefix}qrels", opening.columns)
    return Layout(folder, found["corpus"], found["queries"], found["qrels"], split)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """The snapshot's files that a config's path names; a pattern cannot leave the snapshot."""
    pattern = pattern.removeprefix("./")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and fnmatchcase(path.relative_to(folder).as_posix(), pattern)
    )


def _split_files(folder: Path, columns: Mapping[str, str]) -> tuple[TableFile, ...]:
    """Files of qrels named by their split, anywhere in a folder."""
    files = (
        [path for path in sorted(folder.rglob("*")) if path.is_file() and suffixes(path)[0] in FORMATS]
        if folder.is_dir()
        else []
    )
    return tuple(
        table_file("qrels", path, columns, split=re.sub(r"-\d{5}-of-\d{5}$", "", path.stem))
        if path.suffix == ".parquet"
        else judgements(path, bare_name(path), columns)
        for path in files
    )


class IrdsSource:
    """Open irds:ID through ir_datasets, which fetches what it lacks; rows come one by one: slower than files.

    license: of the set, where it is known; instead: what else `--src` could name. Reading raises `UnreachableError` where a set is neither
    on this machine nor to be fetched.
    """

    def __init__(self, opening: Opening, license: str | None = None, instead: str = "beir:DIR, parquet:DIR") -> None:
        opening.only_options()
        opening.no_columns()
        try:
            import ir_datasets
        except ImportError:
            raise MissingExtra(f"--src {opening.spec}", "ir_datasets", "irds") from None
        self.opening = opening
        self.license = license
        self.instead = instead
        self.kind = opening.kind
        self.spec = opening.spec
        self.judged = not opening.without_qrels
        try:
            self.dataset: Any = ir_datasets.load(opening.path)
        except KeyError:
            raise SourceError(
                f"{opening.spec}: ir_datasets has no set {opening.path!r}; see https://ir-datasets.com"
            ) from None
        for table, has in (("corpus", self.dataset.has_docs()), ("queries", self.dataset.has_queries())):
            if not has:
                raise SourceError(
                    f"{opening.spec}: it has no {table}; name one of its subsets, for example {opening.path}/dev"
                )
        if self.judged and not self.dataset.has_qrels():
            raise SourceError(no_qrels(opening.spec, opening.path))
        self.lang = stated_lang(opening.spec, opening.lang, self.dataset.docs_lang())
        # The last part of an id names the subset: msmarco-passage/dev/small is a part of dev.
        parts = [part for part in opening.path.split("/")[1:] if part != "small"]
        self._split = parts[-1] if parts else "test"
        chosen_splits(opening.spec, [self._split], opening.splits)

    def facts(self, digests: Path | None = None) -> SourceFacts:
        """The facts; ir_datasets checks the digests of what it fetches, so no file is named."""
        said = self.dataset.documentation() if hasattr(self.dataset, "documentation") else None
        citation = said.get("bibtex") if isinstance(said, dict) else None
        url = f"https://ir-datasets.com/{self.opening.path.split('/')[0]}"
        return SourceFacts(
            self.opening.path, self.lang, self.license, None, citation, url, (), is_evaluation(self._split)
        )

    def splits(self, table: RetrievalTable) -> list[str]:
        """One split: the subset's name."""
        check_table(table)
        return ["corpus"] if table == "corpus" else [self._split] if self.judged or table == "queries" else []

    def notes(self) -> list[str]:
        """Nothing is left out."""
        return []

    def read(self, table: RetrievalTable, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows of the table in batches."""
        check_table(table)
        return batches(self._tables(table), RETRIEVAL[table], batch_rows)

    def _tables(self, table: RetrievalTable) -> Iterator[pa.Table]:
        if table == "qrels" and not self.judged:
            return
        begin = {
            "corpus": self.dataset.docs_iter,
            "queries": self.dataset.queries_iter,
            "qrels": self.dataset.qrels_iter,
        }[table]
        make = {"corpus": self._corpus, "queries": self._queries, "qrels": self._qrels}[table]
        start = 1
        try:
            rows = iter(begin())
            part = list(islice(rows, 8_192))
        except (OSError, RuntimeError) as error:  # of its HTTP library, and its own where every address failed
            reason = str(error.args[0]) if isinstance(error, RuntimeError) and error.args else type(error).__name__
            raise UnreachableError(
                f"{self.spec}: ir_datasets has no copy of {self.opening.path} and cannot fetch one ({reason}); fetch it where there is "
                f"a network (ir_datasets export {self.opening.path} docs) and bring its folder ~/.ir_datasets, or name {self.instead}"
            ) from error
        while part:
            yield make(part, range(start, start + len(part)))
            start += len(part)
            part = list(islice(rows, 8_192))

    def _chunk(self, lines: range, **columns: list[Any]) -> Chunk:
        arrays = {
            name: pa.array(values, pa.int32() if name == "relevance" else pa.string())
            for name, values in columns.items()
        }
        return Chunk(Path(self.opening.path), arrays, lines, "row")

    def _corpus(self, rows: list[Any], lines: range) -> pa.Table:
        chunk = self._chunk(
            lines,
            doc_id=[row.doc_id for row in rows],
            title=[getattr(row, "title", "") or "" for row in rows],
            text=[_body(row) for row in rows],
        )
        ids = check_ids(chunk, "doc_id")
        return as_table(
            CORPUS,
            doc_id=ids,
            title=chunk.columns["title"],
            text=chunk.columns["text"],
            lang=constant(self.lang, len(rows)),
            source=constant(self.opening.path, len(rows)),
            group_id=ids,
        )

    def _queries(self, rows: list[Any], lines: range) -> pa.Table:
        chunk = self._chunk(lines, query_id=[row.query_id for row in rows], text=[_body(row) for row in rows])
        n_rows = len(rows)
        return as_table(
            QUERIES,
            query_id=check_ids(chunk, "query_id"),
            text=chunk.columns["text"],
            lang=constant(self.lang, n_rows),
            source=constant(self.opening.path, n_rows),
            origin=constant(self.opening.options.get("origin", "human"), n_rows),
            split=constant(self._split, n_rows),
        )

    def _qrels(self, rows: list[Any], lines: range) -> pa.Table:
        chunk = self._chunk(
            lines,
            query_id=[row.query_id for row in rows],
            doc_id=[row.doc_id for row in rows],
            relevance=[row.relevance for row in rows],
        )
        return as_table(
            QRELS,
            query_id=check_ids(chunk, "query_id"),
            doc_id=check_ids(chunk, "doc_id"),
            relevance=grades(chunk),
            judge=constant("source", len(rows)),
            split=constant(self._split, len(rows)),
        )


def _body(row: Any) -> str:
    """The text of a document or query: its `text` (a TREC topic's is `title`), else what ir_datasets takes for it."""
    for name in ("text", "body", "title") if hasattr(row, "query_id") else ("text", "body"):
        value = getattr(row, name, None)
        if isinstance(value, str):
            return value
    return str(row.default_text())
