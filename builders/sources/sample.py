"""The sample that ships with the package: a small retrieval set written for it, in the manner of MS MARCO."""

from __future__ import annotations

from pathlib import Path

from dsbuild.builders.sources.filesource import About, FileSource, Layout
from dsbuild.builders.sources.qrels import qrels_file
from dsbuild.builders.sources.source import Opening
from dsbuild.builders.sources.tabular import table_file
from dsbuild.errors import SourceError

FOLDER = Path(__file__).parent


def open_sample(opening: Opening, folder: Path = FOLDER) -> FileSource:
    """Open msmarco-sample: English, graded qrels, one split `test`."""
    opening.only_options()
    opening.no_columns()
    if opening.lang not in (None, "en"):
        raise SourceError(f"{opening.spec}: the sample is English; leave out the language {opening.lang!r}")
    layout = Layout(
        folder,
        (table_file("corpus", folder / "sample_corpus.jsonl", {}),),
        (table_file("queries", folder / "sample_queries.jsonl", {}),),
        (qrels_file(folder / "sample_qrels.tsv", "test", {}),),
        "test",
    )
    return FileSource(opening, About("msmarco-sample", "en", "apache-2.0"), layout)
