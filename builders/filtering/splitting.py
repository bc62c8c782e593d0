"""Split a set into train, dev and test without leakage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dsbuild import executors, release, run
from dsbuild.builders import licensing
from dsbuild.builders.filtering.duplicates import near_of
from dsbuild.builders.parts import public_recipe, source_notes
from dsbuild.builders.place import held_folder
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.set_draft import Draft, write
from dsbuild.builders.sources.opened import FIELDS, IDS, Opened, OpenTable, as_spec, facts_of, name_of, open_tables
from dsbuild.errors import RecipeError
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section, apply_settings, validate
from dsbuild.run import Reporter
from dsbuild.store import Store

SPLITS = ("train", "dev", "test")
# Columns that name what a row comes from: rows with the same value, or with that row's id, belong together.
LINKS = ("group_id", "source_id", "translation_of")
# Candidates are looked for this much below the wanted index, so that pairs at it are missed less than once in a million, and it is known
# how close the rest comes.
_MARGIN = 0.2
_TOLERANCE = 1e-6


class SplitSection(Section):
    """What links rows.

    max_component: the share of rows above which a group of linked rows is refused; official: whether splits that rows come with are
    kept; follow: whether queries go with the passages that answer them; link: columns whose equal values link rows; table: documents or
    pairs, where a file could be either.
    """

    max_component: float = Field(default=0.05, gt=0, le=1)
    official: Literal["keep", "ignore"] = "keep"
    follow: Literal["positives", "none"] = "positives"
    link: tuple[str, ...] = LINKS
    table: Literal["documents", "pairs"] | None = None


class SplitRecipe(Section):
    """Split a set: shares by name, and the seed of the draw; neardup: what counts as a near duplicate (jaccard, unit, n)."""

    build: Literal["split"] = "split"
    name: str | None = None
    source: SourceSection
    shares: dict[str, float]
    seed: int = 0
    split: SplitSection = SplitSection()
    neardup: dict[str, Any] = Field(default_factory=dict)
    release: ReleaseSection = ReleaseSection()

    def title(self) -> str:
        """The build's name: given, or made from the source's."""
        return self.name or f"{name_of(as_spec(self.source.src))}-split"


def split(
    src: str, *, train: float, dev: float, test: float, seed: int = 0, lang: str | None = None, limit: int | None = None,
    settings: Sequence[str] = (), out: Path | None = None, store: Path, executor: str = "local", workers: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Split a set and write it as a draft release; returns what the command prints.

    Rows that are near duplicates in any language, one row in several languages, rows that name the same origin and (for retrieval sets)
    queries with a common answer go to the same split. A row keeps the split that it comes with; what is linked to a row of an
    evaluation split and not in one itself is dropped. `RecipeError` for shares that do not add to 1 and for a group of linked rows that is too large.
    """
    shares = dict(zip(SPLITS, (train, dev, test), strict=True))
    source = {
        key: value for key, value in (("src", as_spec(src)), ("lang", lang), ("limit", limit)) if value is not None
    }
    values = apply_settings({"source": source, "shares": shares, "seed": seed}, settings)
    return run_split(validate(SplitRecipe, values, where="options"), out, store, executor, workers, reporter)


def nodes_of(recipe: SplitRecipe, store: Path) -> list[Node]:
    """The graph of a recipe, for `dsbuild plan`."""
    return _graph(recipe, _opened(recipe, store))[0]


def _opened(recipe: SplitRecipe, store: Path) -> Opened:
    """The source; a split changes no text, so only licences that cannot stand together stop it."""
    opened = open_tables(recipe.source, table=recipe.split.table, digests=store / "digests")
    licensing.check_opened(opened, recipe.release.license, derived=False)
    return opened


def run_split(
    recipe: SplitRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe; see `split`."""
    _check_shares(recipe.shares)
    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        opened = _opened(recipe, store)
        release.check_replaceable(folder, facts_of(opened))
        nodes, final = _graph(recipe, opened)
        progress = run.run(nodes, Store(store), recipe.title(), chosen, reporter)
        facts = dict(progress.done["split"][0].facts)
        draft = Draft(
            public_recipe(recipe.model_dump(mode="json", exclude_none=True)),
            recipe.title(),
            opened,
            nodes,
            final,
            progress,
        )
        manifest = write(draft, folder, facts, _notes(recipe, facts, source_notes(progress)))
    languages: dict[str, dict[str, dict[str, int]]] = {}
    for name, tables in manifest["accounting"].items():
        languages[name] = {}
        for table, row in tables.items():
            if "corpus" not in row["splits"]:
                kept = {part: row["splits"][part] for part in (*SPLITS, *row["splits"]) if part in row["splits"]}
                languages[name][table] = kept | {"dropped": row["in"] - row["kept"]}
    return {"release": str(folder), "findings": facts, "notes": manifest["notes"], "languages": languages}


def _check_shares(shares: dict[str, float]) -> None:
    if any(not 0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > _TOLERANCE:
        said = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        raise RecipeError(f"{said} = {sum(shares.values()):g}: shares lie between 0 and 1 and add up to 1")


def _graph(recipe: SplitRecipe, opened: Opened) -> tuple[list[Node], dict[str, Input]]:
    """Sign the texts, assign the splits, apply them."""
    from dsbuild.filters.assign_splits import ApplySplits, AssignSplits
    from dsbuild.filters.link_texts import SignTexts
    from dsbuild.filters.linked_rows import Linked

    wanted = near_of(recipe.neardup)
    near = near_of({**recipe.neardup, "jaccard": max(0.3, round(wanted.jaccard - _MARGIN, 6))})
    is_set = any(one.table == "queries" for one in opened.tables)
    follow = recipe.split.follow == "positives" and bool(opened.judged())
    nodes = list(opened.nodes)
    linked: list[Linked] = []
    inputs: dict[str, Input] = {}
    for table in opened.texts():
        counted = not (is_set and table.table == "corpus")
        if not counted and not follow:
            continue
        fields = FIELDS[table.table]
        judged = {"qrels": _all(_judgements(opened, table))} if not counted else {}
        stage = SignTexts(IDS[table.table], fields, near, sides=table.table == "pairs")
        nodes.append(Node(f"sign.{table.key}", stage, {"rows": table.rows, **judged}))
        linked.append(Linked(table.key, table.table, IDS[table.table], fields, counted, recipe.split.link))
        inputs[f"rows.{table.key}"] = _all(table.rows)
        inputs[f"keys.{table.key}"] = Input(f"sign.{table.key}", "keys", "all")
    inputs |= {f"qrels.{one.key}": _all(one.rows) for one in opened.judged()}
    named = tuple(name for name in recipe.split.link if name not in LINKS)
    assign = AssignSplits(
        tuple(linked), dict(recipe.shares), recipe.seed, wanted.jaccard, near, follow, recipe.split.official == "keep",
        max_component=recipe.split.max_component, must_have=named,
    )  # fmt: skip
    nodes.append(Node("split", assign, inputs))
    final = {}
    for table in opened.tables:
        if is_set and table.table == "corpus":
            final[table.key] = table.rows
            continue
        output = f"qrels.{table.key}" if table.table == "qrels" else table.key
        stage_of = ApplySplits(table.table, IDS.get(table.table, "query_id"), table.lang_columns[-1], table.lang)
        nodes.append(Node(f"apply.{table.key}", stage_of, {"rows": table.rows, "assigned": Input("split", output)}))
        final[table.key] = Input(f"apply.{table.key}")
    return nodes, final


def _all(rows: Input) -> Input:
    return Input(rows.node, rows.output, "all")


def _judgements(opened: Opened, table: OpenTable) -> Input:
    """The judgements in the language of a table, else any: they name the same passages in all."""
    found = opened.judged()
    return next((one.rows for one in found if one.lang == table.lang), found[0].rows)


def _notes(recipe: SplitRecipe, facts: dict[str, Any], remarks: list[str]) -> list[str]:
    """What a user should know of the splits."""
    share = facts["largest_component"] / max(1, facts["rows"])
    found = [
        *remarks,
        f"linked: texts with Jaccard >= {facts['jaccard']:g} (verified exactly, {facts['near_duplicate_pairs']:,} pairs; "
        f"{facts['expected_miss']:.1e} of the pairs at that index are expected to be missed), rows of one id in several languages, "
        f"equal {', '.join(recipe.split.link) or 'no columns'}",
        f"{facts['components']:,} components; the largest has {facts['largest_component']:,} rows ({share:.2%})",
        f"across splits: {facts['cross_split_pairs']:,} pairs at or above that index"
        + (
            f"; the closest pair that was compared has {facts['cross_split_highest']:.3f}"
            if facts["cross_split_highest"] is not None
            else ""
        ),
    ]
    if facts["official_overlaps"]:
        found.append(
            f"{facts['official_overlaps']:,} groups of linked rows have rows in several official evaluation splits; these rows stay where they were"
        )
    empty = [name for name, share in recipe.shares.items() if share and not facts["assigned"].get(name)]
    if empty:
        found.append(f"too few components for every split: {', '.join(empty)} got no row")
    return found
