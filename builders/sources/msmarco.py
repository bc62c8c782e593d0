"""MS MARCO passages: a folder in the TSV layout of the publisher or in BEIR's, else the Hub, else ir_datasets."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from dsbuild.builders.sources.beir import beir_layout
from dsbuild.builders.sources.filesource import About, FileSource, Layout
from dsbuild.builders.sources.lines import bare_name, first_line, suffixes
from dsbuild.builders.sources.qrels import qrels_file
from dsbuild.builders.sources.rows import TableFile
from dsbuild.builders.sources.source import Opening, Source
from dsbuild.errors import SourceError

LICENSE = "MS MARCO: non-commercial research purposes only"
URL = "https://microsoft.github.io/msmarco/"
CITATION = "Bajaj et al. 2016. MS MARCO: A Human Generated MAchine Reading COmprehension Dataset. arXiv:1611.09268"

# Where the same passages are on the Hub: the repository, and the one that holds the qrels if it is another.
HUB = (("mteb/msmarco", None), ("BeIR/msmarco", "BeIR/msmarco-qrels"))
# Of ir_datasets the set as a whole has no queries: its subsets have.
IRDS = "msmarco-passage/dev"

_ENDINGS = (".tsv", ".txt")


def open_msmarco(opening: Opening) -> Source:
    """Open msmarco:DIR, or msmarco from the Hub's cache or network, or from ir_datasets where it is installed.

    Without any of them: one `SourceError` that says what to do; never another set.
    """
    opening.no_columns()
    if opening.lang not in (None, "en"):
        raise SourceError(f"{opening.spec}: MS MARCO is English; leave out the language {opening.lang!r}")
    if not opening.path:
        return _remote(opening)
    opening.only_options()
    folder = opening.folder()
    about = About("msmarco", "en", LICENSE, citation=CITATION, url=URL)
    if _find(folder, "collection"):
        return FileSource(opening, about, tsv_layout(opening.spec, folder))
    layout = beir_layout(folder)
    if not layout.corpus:
        raise SourceError(
            f"{opening.spec}: neither collection.tsv (with queries.*.tsv and qrels.*.tsv) nor corpus.jsonl "
            f"(with queries.jsonl and qrels/) in {folder}; unpack collectionandqueries.tar.gz there"
        )
    return FileSource(opening, about, layout)


def tsv_layout(spec: str, folder: Path) -> Layout:
    """collection.tsv, and queries.<split>.tsv with qrels.<split>.tsv; compressed or not.

    A split is one that has qrels, so queries for evaluation by the publisher are not read. `dev.small` is a part of
    `dev`: where both are there, `dev` is read.
    """
    collection = _find(folder, "collection")
    if collection is None:
        raise SourceError(f"{spec}: no collection.tsv in {folder}")
    queries, qrels = _by_split(folder, "queries"), _by_split(folder, "qrels")
    remarks = []
    for small in [split for split in qrels if split.endswith(".small") and split.removesuffix(".small") in qrels]:
        remarks.append(f"{small} is a part of {small.removesuffix('.small')} and was not read twice")
        queries.pop(small, None)
        del qrels[small]
    for split in [split for split in qrels if split not in queries]:
        raise SourceError(f"{spec}: {qrels[split].name} has no queries.{split}.tsv beside it in {folder}")
    if qrels and (spare := [split for split in queries if split not in qrels]):
        remarks.append(f"queries without qrels were not read: {', '.join(queries.pop(split).name for split in spare)}")
    return Layout(
        folder,
        (_pairs(collection, "doc_id", None),),
        tuple(_pairs(path, "query_id", split) for split, path in queries.items()),
        tuple(qrels_file(path, split, {}) for split, path in qrels.items()),
        remarks=tuple(remarks),
    )


def _pairs(path: Path, id_column: str, split: str | None) -> TableFile:
    n_columns = first_line(path).count("\t") + 1
    if n_columns != 2:
        raise SourceError(f"{path}:1: {n_columns} columns where 2 are expected ({id_column}, text), with a tab between")
    return TableFile(path, "tsv", {id_column: id_column, "text": "text"}, (id_column, "text"), split=split)


def _find(folder: Path, name: str) -> Path | None:
    return next(
        (path for path in sorted(folder.iterdir()) if bare_name(path) == name and suffixes(path)[0] in _ENDINGS), None
    )


def _by_split(folder: Path, name: str) -> dict[str, Path]:
    """The files `<name>.<split>.tsv`, train first, then dev, then the others."""
    found = {
        bare_name(path).removeprefix(f"{name}."): path
        for path in sorted(folder.iterdir())
        if bare_name(path).startswith(f"{name}.") and suffixes(path)[0] in _ENDINGS
    }
    return {
        split: found[split]
        for split in sorted(
            found, key=lambda split: (not split.startswith("train"), not split.startswith("dev"), split)
        )
    }


def _remote(opening: Opening) -> Source:
    from dsbuild.builders.sources.hub import IrdsSource, UnreachableError, open_hub

    opening.only_options()
    for repository, judgements in HUB:
        options = dict(opening.options)
        if judgements and not opening.without_qrels:
            options["qrels"] = judgements
        try:
            source = open_hub(replace(opening, kind="hf", path=repository, lang="en", options=options))
        except UnreachableError:
            continue
        source.kind, source.spec = opening.kind, opening.spec
        source.about = replace(source.about, name="msmarco", license=LICENSE, citation=CITATION)
        return source
    if importlib.util.find_spec("ir_datasets"):
        return IrdsSource(
            replace(opening, path=IRDS),
            LICENSE,
            "a folder that holds it (--src msmarco:DIR), or try --src msmarco-sample",
        )
    raise SourceError(
        "msmarco: no network and no copy in the Hub's cache; name a folder that holds it (--src msmarco:DIR), fetch it "
        f"where there is one (hf download --repo-type dataset {HUB[0][0]}), or try --src msmarco-sample"
    )
