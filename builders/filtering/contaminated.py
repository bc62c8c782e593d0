"""Check a set for overlap with evaluation sets, and drop, mask or flag what overlaps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dsbuild import executors, parquet, release, run
from dsbuild.builders import licensing
from dsbuild.builders.cascade import Cascade
from dsbuild.builders.parts import Rows, public, public_recipe
from dsbuild.builders.place import held_folder
from dsbuild.builders.sections import ReleaseSection, SourceSection, own_name
from dsbuild.builders.set_draft import Draft, write
from dsbuild.builders.sources.opened import (
    FIELDS,
    IDS,
    RELEASE,
    Opened,
    OpenTable,
    as_spec,
    facts_of,
    name_of,
    open_tables,
)
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.contamination import (
    EVIDENCE,
    ITEMS,
    MASK,
    POLICIES,
    CheckItems,
    FindContamination,
    Policy,
    SettleContamination,
)
from dsbuild.filters.ngram_index import DEFAULT_N
from dsbuild.filters.profiles import group_rules
from dsbuild.graph import Input, Node, Progress
from dsbuild.recipe import Section, apply_settings, validate
from dsbuild.run import Reporter
from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.store import Store

_RULE = "contaminated"
_MAX_SHOWN = 3


class ContaminationSection(Section):
    """How overlap is looked for and judged.

    n: words an n-gram; min_coverage: the share of an item from which a row is contaminated; mask: what stands for a masked part; tables:
    which tables of evaluation sets hold items; table: documents or pairs, where a file could be either; protected: splits that lose no row.
    """

    n: int = Field(default=DEFAULT_N, ge=3, le=100)
    min_coverage: float | None = Field(default=None, gt=0, le=1)
    mask: str = MASK
    tables: tuple[Literal["queries", "corpus", "documents", "pairs"], ...] = ("queries", "corpus", "documents", "pairs")
    table: Literal["documents", "pairs"] | None = None
    protected: tuple[str, ...] = ()


class ContaminationRecipe(Section):
    """Check a set against evaluation sets; policy: drop, mask or flag."""

    build: Literal["contamination"] = "contamination"
    name: str | None = None
    source: SourceSection
    against: tuple[str, ...] = Field(min_length=1)
    policy: Policy = "drop"
    contamination: ContaminationSection = ContaminationSection()
    release: ReleaseSection = ReleaseSection()

    def title(self) -> str:
        """The build's name: given, or made from the source's."""
        return self.name or f"{name_of(as_spec(self.source.src))}-checked"


def check(
    src: str, against: Sequence[str], *, policy: str = "drop", lang: str | None = None, limit: int | None = None,
    settings: Sequence[str] = (), out: Path | None = None, store: Path, executor: str = "local", workers: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Check a set against evaluation sets (files, BEIR folders, releases) and write a draft release; returns what the command prints."""
    if policy not in POLICIES:
        raise UnknownName("policy", policy, POLICIES)
    if not against:
        raise RecipeError("name at least one evaluation set: --against FILE")
    source = {
        key: value for key, value in (("src", as_spec(src)), ("lang", lang), ("limit", limit)) if value is not None
    }
    values = apply_settings({"source": source, "against": list(against), "policy": policy}, settings)
    return run_check(validate(ContaminationRecipe, values, where="options"), out, store, executor, workers, reporter)


def nodes_of(recipe: ContaminationRecipe, store: Path) -> list[Node]:
    """The graph of a recipe, for `dsbuild plan`."""
    return _graph(recipe, _opened(recipe, store), store / "digests")[0]


def _opened(recipe: ContaminationRecipe, store: Path) -> Opened:
    """The source; masking changes texts, which some licences forbid."""
    opened = open_tables(recipe.source, table=recipe.contamination.table, digests=store / "digests")
    licensing.check_opened(opened, recipe.release.license, derived=recipe.policy == "mask")
    return opened


def run_check(
    recipe: ContaminationRecipe,
    out: Path | None,
    store: Path,
    executor: str,
    workers: int | None,
    reporter: Reporter | None,
) -> dict[str, Any]:
    """Run a recipe; see `check`."""
    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        digests = store / "digests"
        opened = _opened(recipe, store)
        release.check_replaceable(folder, facts_of(opened))
        nodes, final = _graph(recipe, opened, digests)
        progress = run.run(nodes, Store(store), recipe.title(), chosen, reporter)
        _refuse_nothing(opened, progress)
        shown = public_recipe(recipe.model_dump(mode="json", exclude_none=True))
        shown["against"] = [_public(one) for one in recipe.against]
        draft = Draft(shown, recipe.title(), opened, nodes, final, progress)
        facts = dict(progress.done["checkable"][0].facts)
        minimum, _ = threshold(recipe.contamination)
        found = _found(opened, progress, minimum)
        sets = {
            name: {**row, **found["sets"].get(name, {"found": 0, "rows": 0})} for name, row in facts["sets"].items()
        }
        findings = {"sets": sets, "ngrams": facts["ngrams"], "min_coverage": minimum, "n": recipe.contamination.n}
        manifest = write(draft, folder, findings, _notes(findings, recipe), _evidence_parts(opened, progress))
    tables = {
        lang: {
            table: {key: row[key] for key in ("in", "kept", "repaired", "dropped")}
            for table, row in tables.items()
            if table != "qrels"
        }
        for lang, tables in manifest["accounting"].items()
    }
    return {
        "release": str(folder), "policy": recipe.policy, "sets": sets, "languages": tables, "contaminated": found["contaminated"],
        "notes": manifest["notes"], "examples": found["examples"],
    }  # fmt: skip


def _refuse_nothing(opened: Opened, progress: Progress) -> None:
    """Refuse a release without any row."""
    total = sum((run.total(progress.done.get(f"settle.{one.key}", ())) for one in opened.texts()), Counts())
    if total.n_in and not total.kept:
        raise RecipeError(
            f"every one of the {total.n_in:,} rows overlaps with an evaluation set and would be dropped; "
            "look at them with --policy flag, or set a higher contamination.min_coverage"
        )


def threshold(section: ContaminationSection) -> tuple[float, str]:
    """The least coverage that makes a row contaminated, and where it comes from."""
    if section.min_coverage is not None:
        return section.min_coverage, "user"
    rule = next(one.rule for one in group_rules("contamination") if one.rule.name.endswith(_RULE))
    assert rule.value is not None
    return rule.value, rule.source


def item_nodes(
    against: Sequence[str], tables: Sequence[str], n: int, digests: Path | None = None
) -> tuple[list[Node], Input]:
    """The nodes that read evaluation sets, and where their items are (with `how` "all"); the node `checkable` says which can be looked for.

    Items count by the sets' files: a changed file runs again what depends on it.
    """
    nodes: list[Node] = []
    inputs: dict[str, Input] = {}
    names = set_names(against)
    for number, (spec, name) in enumerate(zip(against, names, strict=True)):
        opened = open_tables(SourceSection(src=as_spec(spec)), f"against{number}.", digests=digests, texts_only=True)
        nodes += opened.nodes
        for table in opened.texts():
            if table.table not in tables:
                continue
            node = Node(
                f"items.{table.key}", ReadItems(name, table.table, table.lang_columns, table.lang), {"rows": table.rows}
            )
            nodes.append(node)
            inputs[f"items.{table.key}"] = Input(node.name, how="all")
    if not inputs:
        raise RecipeError(f"no table of the evaluation sets is among contamination.tables={list(tables)}")
    nodes.append(Node("items", JoinItems(), inputs))
    nodes.append(Node("checkable", CheckItems(n), {"items": Input("items", how="all")}))
    return nodes, Input("items", how="all")


def set_names(against: Sequence[str]) -> list[str]:
    """A name for each set: a release's own, else that of the file or folder; sets of the same name are numbered."""
    counts: Counter[str] = Counter()
    names = []
    for spec in against:
        kind, own = own_name(as_spec(spec))
        name = name_of(as_spec(spec)) if kind == RELEASE else own or kind
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return names


def _public(spec: str) -> str:
    kind, colon, path = as_spec(spec).partition(":")
    return f"{kind}{colon}{public(path)}"


@dataclass(frozen=True)
class ReadItems:
    """Rows of an evaluation set as items, one for each text column: `id` for the column text, `id#title` and so on for others.

    lang: of all rows, "" where they say it themselves.
    """

    set: str
    table: str
    lang_columns: tuple[str, ...]
    lang: str = ""

    name: ClassVar[str] = "read_items"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out (`ITEMS`); empty texts are none."""
        rows: pa.Table = inputs["rows"]
        ids = rows[IDS[self.table]].cast(pa.string())
        fields = FIELDS[self.table]
        parts = []
        for number, field in enumerate(fields):
            texts = pc.fill_null(rows[field].cast(pa.string()), "")
            named = ids if field == "text" else pc.binary_join_element_wise(ids, field, "#")
            said = rows[self.lang_columns[number if len(self.lang_columns) == len(fields) else 0]]
            langs = pa.repeat(pa.scalar(self.lang), rows.num_rows) if self.lang else pc.fill_null(said, "und")
            table = pa.table([pa.repeat(pa.scalar(self.set), rows.num_rows), named, langs, texts], schema=ITEMS)
            parts.append(table.filter(pc.not_equal(texts, "")))
        return Result({"out": [Shard(pa.concat_tables(parts))]})


@dataclass(frozen=True)
class JoinItems:
    """The items of all sets as one table."""

    name: ClassVar[str] = "join_items"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """items.<key> -> out."""
        total = sum(table.num_rows for name in sorted(inputs) for table in inputs[name])
        return Result({"out": self._shards(inputs)}, counts=Counts(total, total))

    def _shards(self, inputs: Mapping[str, Any]) -> Iterator[Shard]:
        some = False
        for name in sorted(inputs):
            for table in inputs[name]:
                some = True
                yield Shard(table)
        if not some:
            yield Shard(ITEMS.empty_table())


def _graph(recipe: ContaminationRecipe, opened: Opened, digests: Path | None) -> tuple[list[Node], dict[str, Input]]:
    said = recipe.contamination
    reading, items = item_nodes(recipe.against, said.tables, said.n, digests)
    minimum, source = threshold(said)
    nodes = [*opened.nodes, *reading]
    final = {}
    for table in opened.texts():
        find = FindContamination(table.table, IDS[table.table], FIELDS[table.table], said.n)
        nodes.append(Node(f"find.{table.key}", find, {"rows": table.rows, "items": items}))
        settle = SettleContamination(
            table.table, IDS[table.table], table.lang_columns[-1], recipe.policy, minimum, source, said.mask, said.protected
        )  # fmt: skip
        rows = {"rows": Input(f"find.{table.key}"), "evidence": Input(f"find.{table.key}", "evidence")}
        nodes.append(Node(f"settle.{table.key}", settle, rows))
        final[table.key] = Input(f"settle.{table.key}")
    for table in opened.judged():
        decided = {
            f"{table.lang}.{one.table}": Input(f"settle.{one.key}", how="all")
            for one in opened.texts()
            if one.lang == table.lang
        }
        tables = tuple(name.partition(".")[2] for name in decided)
        cascade = Cascade((table.lang,), tables)
        nodes.append(
            Node(
                f"cascade.{table.key}", cascade, {**decided, "qrels": Input(table.rows.node, table.rows.output, "all")}
            )
        )
        final[table.key] = Input(f"cascade.{table.key}", f"{table.lang}.qrels")
    return nodes, final


def _evidence(opened: Opened, progress: Progress) -> Iterator[tuple[OpenTable, list[Path]]]:
    for table in opened.texts():
        yield table, [shard.path for shard in progress.shards(Input(f"find.{table.key}", "evidence"))]


def _evidence_parts(opened: Opened, progress: Progress) -> list[release.Part]:
    """All evidence, also of items that are covered too little to matter."""
    schema = pa.schema([column for column in EVIDENCE if column.name != "row"])
    parts = []
    for table, paths in _evidence(opened, progress):
        rows = Rows(paths)
        number = sum(one.num_rows for one in rows)
        parts.append(release.Part("evidence", table.key, schema, number, rows))
    return parts


def _found(opened: Opened, progress: Progress, minimum: float) -> dict[str, Any]:
    """Per set the items that were found and the rows that hold one; contaminated rows per table; examples."""
    items: dict[str, set[tuple[str, str]]] = defaultdict(set)
    rows: dict[str, set[tuple[str, str]]] = defaultdict(set)
    contaminated: dict[str, int] = {}
    examples: list[dict[str, Any]] = []
    for table, paths in _evidence(opened, progress):
        ids: set[str] = set()
        for path in paths:
            evidence = parquet.read(path)
            for one in (
                evidence.filter(pc.greater_equal(evidence["coverage"], minimum)).drop_columns(["row"]).to_pylist()
            ):
                items[one["set"]].add((one["item"], one["item_lang"]))
                rows[one["set"]].add((table.key, one["id"]))
                if one["id"] not in ids and len(examples) < _MAX_SHOWN:
                    examples.append(one)
                ids.add(one["id"])
        contaminated[table.key] = len(ids)
    return {
        "sets": {name: {"found": len(items[name]), "rows": len(rows[name])} for name in items}, "contaminated": contaminated, "examples": examples,
    }  # fmt: skip


def _notes(findings: Mapping[str, Any], recipe: ContaminationRecipe) -> list[str]:
    said = [
        f"a row is contaminated from {findings['min_coverage']:g} of an item on; n-grams of {findings['n']} words, "
        "in scripts without spaces of as much text"
    ]
    for name, row in findings["sets"].items():
        if row["uncheckable"]:
            said.append(f"{name}: {row['uncheckable']:,} of {row['items']:,} items are too short to be looked for")
    return said
