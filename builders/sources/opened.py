"""Open what most commands read: a release folder, one table of texts, or a retrieval set; each as tables in a graph."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import languages, parquet, release
from dsbuild.builders import SOURCES
from dsbuild.builders.sections import SourceSection, own_name
from dsbuild.builders.sources.flat import FORMS, LANG_COLUMNS, FlatTable, open_flat
from dsbuild.builders.sources.lines import suffixes
from dsbuild.builders.sources.source import Opening, Source, SourceFacts, SourceFile, open_source
from dsbuild.builders.sources.source_nodes import source_nodes
from dsbuild.builders.sources.tabular import FORMATS, open_parquet
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.graph import Input, Node
from dsbuild.stage import UNIT_ROWS, Result, Shard, Workspace
from dsbuild.tables import RETRIEVAL_TABLES

RELEASE = "release"
IDS = {"corpus": "doc_id", "queries": "query_id", "documents": "doc_id", "pairs": "pair_id", "labelled": "id"}
FIELDS = {
    "corpus": ("title", "text"),
    "queries": ("text",),
    "documents": ("text",),
    "pairs": ("text_a", "text_b"),
    "labelled": ("text",),
}
LANGS = {"pairs": LANG_COLUMNS["pairs"]}
_UNKNOWN = "und"


@dataclass(frozen=True)
class OpenTable:
    """A table and where its rows are. key: unique among the tables; lang: BCP-47, "" where the rows say it."""

    key: str
    lang: str
    table: str
    rows: Input

    @property
    def lang_columns(self) -> tuple[str, ...]:
        """Where the language of each text stands."""
        return LANGS.get(self.table, ("lang",))


@dataclass(frozen=True)
class Opened:
    """Tables and the nodes that read them; engines: those that made the texts of a translated release, as its manifest has them."""

    nodes: tuple[Node, ...]
    tables: tuple[OpenTable, ...]
    facts: SourceFacts
    engines: Mapping[str, Any] = field(default_factory=dict)

    def texts(self) -> list[OpenTable]:
        """The tables that hold texts."""
        return [one for one in self.tables if one.table in IDS]

    def judged(self) -> list[OpenTable]:
        """The tables of judgements."""
        return [one for one in self.tables if one.table == "qrels"]


def as_spec(said: str) -> str:
    """KIND:PATH of what may be a mere path: a release folder, a BEIR folder, or a file whose ending says what it is.

    >>> as_spec("data/questions.jsonl.gz"), as_spec("msmarco-sample")
    ('jsonl:data/questions.jsonl.gz', 'msmarco-sample')
    """
    if not said.strip():
        raise SourceError(f"no source is named; write KIND:PATH, one of {', '.join(SOURCES.names())}")
    path = Path(said).expanduser()
    if (path / release.MANIFEST).is_file():
        return f"{RELEASE}:{said}"
    if path.is_dir():
        if any(path.glob("corpus.jsonl*")):
            return f"beir:{said}"
        raise SourceError(
            f"{said}: a folder without {release.MANIFEST}, so no release; say what it is: KIND:PATH, such as parquet:{said}"
        )
    ending = FORMATS.get(suffixes(path)[0])
    kind, colon, _ = said.partition(":")
    if not colon and not path.exists() and difflib.get_close_matches(said, SOURCES.names(), n=1, cutoff=0.75):
        SOURCES.get(said)  # a slip in a kind's name: the error names the kind
    if ending is None and ("/" in kind or (not colon and kind not in SOURCES.names())):
        raise SourceError(
            f"{said}: {'not a file of a known kind' if path.exists() else 'no such file or folder'}; name it as KIND:PATH"
        )
    return f"{ending}:{said}" if ending is not None and ":" not in said else said


def name_of(spec: str) -> str:
    """What a source is called: a release by its manifest, others by kind and file or folder.

    >>> name_of("jsonl:data/questions.jsonl.gz")
    'jsonl-questions'
    """
    kind, own = own_name(spec)
    if kind == RELEASE:
        return str(release.read_manifest(Path(spec.partition(":")[2]).expanduser())["name"])
    return "-".join([kind, *([own] if own else [])])


def open_tables(
    section: SourceSection, prefix: str = "", table: str | None = None, digests: Path | None = None, *, texts_only: bool = False
) -> Opened:  # fmt: skip
    """Open a source; node names and keys begin with `prefix`.

    table: documents or pairs, where a file could be either; texts_only: read a retrieval set for its texts, without a check of
    the whole and whatever its language.
    """
    section = section.model_copy(update={"src": as_spec(section.src)})
    kind, _, path = section.src.partition(":")
    if kind == RELEASE:
        if section.lang or section.limit or section.columns or section.options:
            raise RecipeError(
                f"{path}: a release says its languages and columns itself and is read whole; leave --lang, --limit and source.* out"
            )
        return _release(Path(path).expanduser(), prefix)
    if kind in FORMS and not is_set(section):
        return _flat(section, prefix, table, digests)
    return _items_of(section, prefix, digests) if texts_only else _set(section, prefix, digests)


def is_set(section: SourceSection) -> bool:
    """Whether files are named that make a retrieval set: queries beside the corpus, or a folder with both tables."""
    if "queries" in section.options:
        return True
    kind, _, name = section.src.partition(":")
    folder = Path(name).expanduser()
    return kind == "parquet" and folder.is_dir() and any(folder.glob("*corpus*")) and any(folder.glob("*quer*"))


def _set(section: SourceSection, prefix: str, digests: Path | None) -> Opened:
    source = open_source(section.src, lang=section.lang, columns=section.columns, options=section.options)
    facts = source.facts(digests)
    nodes, tables = source_nodes(section, source, facts)
    renamed = [
        replace(node, name=prefix + node.name, inputs={key: _moved(one, prefix) for key, one in node.inputs.items()})
        for node in nodes
    ]
    opened = tuple(
        OpenTable(f"{prefix}{facts.lang}-{name}", facts.lang, name, replace(_moved(rows, prefix), how="each"))
        for name, rows in tables.items()
    )
    return Opened(tuple(renamed), opened, facts)


def _items_of(section: SourceSection, prefix: str, digests: Path | None) -> Opened:
    from dsbuild.builders.sources.read import ReadSource

    try:
        source = open_source(section.src, lang=section.lang)
        lang = source.facts(digests).lang
    except SourceError:
        # A folder that says no language opens with any; its rows are told apart by "und".
        source, lang = open_source(section.src, lang="en"), _UNKNOWN
    facts = replace(source.facts(digests), lang=lang)
    node = Node(f"{prefix}read", ReadSource.of(source, facts, section.columns, section.options))
    tables = tuple(OpenTable(f"{prefix}{name}", lang, name, Input(node.name, name)) for name in RETRIEVAL_TABLES)
    return Opened((node,), tables, facts)


def _moved(source: Input, prefix: str) -> Input:
    return replace(source, node=prefix + source.node)


def _flat(section: SourceSection, prefix: str, table: str | None, digests: Path | None) -> Opened:
    from dsbuild.builders.sources.readflat import CheckIds, ReadFlat

    if table not in (None, "documents", "pairs"):
        raise UnknownName("table of texts", table, ["documents", "pairs"])
    kinds: list[FlatTable] = ["pairs" if table == "pairs" else "documents"] if table else ["documents", "pairs"]
    for kind in kinds:
        try:
            source = open_flat(section.src, kind, columns=section.columns, options=section.options)
            break
        except (SourceError, UnknownName):
            if kind == kinds[-1]:
                if len(kinds) > 1 and not section.columns:
                    open_flat(section.src, kinds[0], columns=section.columns, options=section.options)
                raise
    wanted = LANG_COLUMNS[kind]
    said = [part.strip() for part in (section.lang or "").split(",") if part.strip()]
    if len(said) == 1:
        said *= len(wanted)
    if said and len(said) != len(wanted):
        raise RecipeError(f"--lang {section.lang}: {'two codes, such as en,hi' if kind == 'pairs' else 'one code'}")
    langs = tuple(languages.get(part).code for part in said) or tuple(
        "" if name in source.columns else _UNKNOWN for name in wanted
    )
    files = source.files(digests)
    facts = SourceFacts(
        own_name(section.src)[1] or section.src,
        "-".join(dict.fromkeys(lang or "mul" for lang in langs)),
        None,
        None,
        None,
        None,
        files,
        False,
    )
    nodes = (
        Node(f"{prefix}read", ReadFlat.of(source, files, section.limit or 0)),
        Node(f"{prefix}sound", CheckIds(kind), {"rows": Input(f"{prefix}read", how="all")}),
        Node(f"{prefix}named", NameRows(dict(zip(wanted, langs, strict=True))), {"rows": Input(f"{prefix}read")}),
    )
    return Opened(nodes, (OpenTable(f"{prefix}{kind}", "", kind, Input(f"{prefix}named")),), facts)


def open_release(opening: Opening) -> Source:
    """Open release:DIR: the corpus, queries and judgements of one language of a release that dsbuild wrote."""
    folder = opening.folder()
    manifest = _sound_manifest(folder)
    if not any(about["table"] == "corpus" for about in manifest["configs"].values()):
        raise SourceError(
            f"{folder}: the release holds no retrieval set but {', '.join(sorted(manifest['configs']))}; name a table of texts as parquet:DIR"
        )
    source = open_parquet(opening)
    said = manifest["source"]
    # The card's licence counts the engines in that made the texts.
    source.about = replace(source.about, name=manifest["name"], citation=said["citation"], url=said["url"])
    return source


def _sound_manifest(folder: Path) -> dict[str, Any]:
    manifest = release.read_manifest(folder)
    if problems := release.damaged(folder, manifest, deep=False):
        raise SourceError(f"{folder}: {problems[0]}; see dsbuild verify {folder}")
    return manifest


def _release(folder: Path, prefix: str) -> Opened:
    manifest = _sound_manifest(folder)
    sums = {entry["path"]: (entry["size_bytes"], entry["sha256"]) for entry in manifest["files"]}
    nodes, tables, files = [], [], []
    for config, about in sorted(manifest["configs"].items()):
        named = tuple(
            (split, path, sums[path][1]) for split, one in sorted(about["splits"].items()) for path in one["files"]
        )
        files += [SourceFile(path, *sums[path]) for _, path, _ in named]
        nodes.append(Node(f"{prefix}read.{config}", ReadConfig(about["table"], named, folder)))
        tables.append(OpenTable(f"{prefix}{config}", about["lang"], about["table"], Input(f"{prefix}read.{config}")))
    if not any(one.table in IDS for one in tables):
        raise SourceError(f"{folder}: the release holds no table of texts")
    source = manifest["source"]
    license_name = manifest["recipe"].get("release", {}).get("license") or source["license"]
    facts = SourceFacts(
        manifest["name"],
        source["lang"],
        license_name,
        source["revision"],
        source["citation"],
        source["url"],
        tuple(files),
        source["evaluation"],
    )
    return Opened(tuple(nodes), tuple(tables), facts, manifest.get("engines", {}))


@dataclass(frozen=True)
class ReadConfig:
    """Read one configuration of a release, its splits in a column unless it is one table without splits.

    files: split, path and sha256 of each file.
    """

    table: str
    files: tuple[tuple[str, str, str], ...]
    folder: Path = field(compare=False)

    name: ClassVar[str] = "read_config"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out: the rows."""
        return Result({"out": self._shards()})

    def _shards(self) -> Iterator[Shard]:
        for split, path, _ in self.files:
            for rows in parquet.reslice([parquet.read(self.folder / path)], UNIT_ROWS):
                if split != self.table:
                    rows = rows.append_column("split", pa.array([split] * rows.num_rows, pa.string()))
                yield Shard(rows)
        if not self.files:
            raise SourceError(f"{self.folder}: a configuration without files")


@dataclass(frozen=True)
class NameRows:
    """Give rows the languages that were said for them ("": as they say themselves), and splits names that the Hub allows."""

    langs: Mapping[str, str]

    name: ClassVar[str] = "name_rows"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out."""
        rows: pa.Table = inputs["rows"]
        for column, lang in self.langs.items():
            if lang:
                values = pa.array([lang] * rows.num_rows, pa.string())
            else:
                values = pc.if_else(pc.equal(pc.fill_null(rows[column], ""), ""), _UNKNOWN, rows[column])
            at = rows.column_names.index(column) if column in rows.column_names else None
            rows = rows.append_column(column, values) if at is None else rows.set_column(at, column, values)
        if "split" in rows.column_names:
            names = pc.replace_substring(rows["split"].cast(pa.string()), "-", "_")
            for name in pc.unique(names).to_pylist():
                if name and not re.fullmatch(r"\w+(\.\w+)*", name):
                    raise SourceError(
                        f"split {name[:80]!r}: a split is named by letters, digits, _ and single dots; rename it in the source"
                    )
            rows = rows.set_column(rows.column_names.index("split"), "split", names)
        return Result({"out": [Shard(rows)]})


def facts_of(opened: Opened) -> dict[str, Any]:
    """The source's facts for a manifest."""
    return asdict(opened.facts)
