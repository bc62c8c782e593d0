"""What other thresholds would keep of a filtered set, from the scores in its release: no filter is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet, release
from dsbuild.builders.cascade import Cascade
from dsbuild.builders.filtering.decided import Decided
from dsbuild.builders.filtering.filtered import group_settings
from dsbuild.builders.sources.opened import LANGS
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters import SCORERS
from dsbuild.filters.calibration import parse_calibration
from dsbuild.filters.decide import threshold
from dsbuild.filters.decide_texts import DecideTexts
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, NAMED_THRESHOLDS, split_settings
from dsbuild.recipe import apply_settings
from dsbuild.stage import Workspace
from dsbuild.tables import ID_COLUMNS

_NEAR = "neardup"


def what_if_filtered(folder: Path, manifest: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Decide again on every row of a filtered release; rows that were dropped before duplicates were looked for are told apart.

    Rows of protected splits and judged rows of an evaluation set stay, and queries that lose their last positive go along, as in a build.
    In memory: some 30 bytes a row, the ids of exact duplicates, and of a retrieval set all ids.
    Raises `RecipeError` for a filter that the build did not run, and for a similarity below the one that was looked for.
    """
    if not settings:
        raise RecipeError("what-if: name a threshold, such as --set gopher.min_words=30")
    values = apply_settings({}, settings)
    recipe = manifest["recipe"]
    jaccard = _jaccard(values.pop(_NEAR, None), recipe)
    evaluation = bool(manifest["source"].get("evaluation"))
    decided: dict[tuple[str, str], Decided] = {}
    qrels: dict[str, list[pa.Table]] = {
        lang: _qrels(folder, lang) for lang, accounted in manifest["accounting"].items() if "qrels" in accounted
    }
    unsearched = 0
    _check_groups(manifest["filters"].values(), values)
    for table, groups in manifest["filters"].items():
        stage = deciding_stage(table, groups, manifest, values)
        share = manifest.get("findings", {}).get(f"retain.{table}")
        retained = [pa.table({"threshold": [share["threshold"]], "share": [share["share"]]})] if share else []
        copies, gone = (_told(folder, table, *by) for by in (("settle", "exact_duplicate"), ("cascade", "no_positive")))
        for lang in sorted(lang for lang, accounted in manifest["accounting"].items() if table in accounted):
            judged = [shard[stage.id_column] for shard in qrels.get(lang, ())] if evaluation else []
            protected = tuple(recipe.get("protected", ()))
            one = _Table(folder, lang, table, protected, _ids(judged), lang in qrels, copies, gone)
            decided[lang, table], newly_unsearched = _again(one, stage, jaccard, retained)
            unsearched += newly_unsearched
    tables = []
    for (lang, table), found in decided.items():
        carried = _carried(folder, decided, qrels, lang, table, evaluation)
        tables.append({"lang": lang, "table": table, **found.counts(carried)})
    notes = ["From stored scores; no filter was run."]
    if unsearched:
        notes.append(
            f"{unsearched:,} rows that would be kept were dropped before duplicates were looked for: not scored downstream."
        )
    return {"settings": list(settings), "tables": tables, "notes": notes}


def _qrels(folder: Path, lang: str) -> list[pa.Table]:
    """The judgements after those of duplicates went to their keepers: kept ones and orphaned ones."""
    columns = ["query_id", "doc_id", "relevance"]
    found = list(release.read_part(folder, f"{lang}-qrels/", columns))
    for shard in release.read_part(folder, "dropped/verdicts-", ["id", "stage", "outcome", "value"]):
        gone = shard.filter(pc.and_(pc.equal(shard["outcome"], "orphaned"), pc.equal(shard["stage"], "cascade")))
        rows = [(*row["id"].split("\t"), int(row["value"])) for row in gone.to_pylist()]
        if rows:
            found.append(pa.table([list(column) for column in zip(*rows, strict=True)], names=columns))
    return found


def _carried(
    folder: Path, decided: Mapping[tuple[str, str], Decided], qrels: Mapping[str, list[pa.Table]], lang: str, table: str, evaluation: bool
) -> dict[str, str]:  # fmt: skip
    """The rows of a table that the decisions on all tables of a retrieval set take along: id -> rule."""
    if lang not in qrels:
        return {}
    own = {name: one for (of, name), one in decided.items() if of == lang}
    cascade = Cascade((lang,), tuple(own), training=not evaluation)
    inputs = {f"{lang}.{name}": [one.fates(ID_COLUMNS[name])] for name, one in own.items()}
    outputs = cascade.run({**inputs, "qrels": qrels[lang]}, Workspace("what-if", folder, folder)).outputs
    return {row["id"]: row["rule"] for shard in outputs[f"{lang}.{table}"] for row in shard.table.to_pylist()}


def deciding_stage(
    table: str, groups: Sequence[str], manifest: Mapping[str, Any], values: Mapping[str, Any]
) -> DecideTexts:
    """The stage that decided on a table of a filtered release, with other thresholds (group -> key -> value) over its own."""
    recipe = manifest["recipe"]
    by_row = tuple(group for group in groups if group in SCORERS.names())
    given = {group: {**recipe.get(group, {}), **values.get(group, {})} for group in by_row}
    _, settings = group_settings(_profile(table, recipe), by_row, given)
    thresholds = recipe.get("thresholds", DEFAULT_THRESHOLDS)
    if thresholds not in NAMED_THRESHOLDS:
        if manifest.get("calibration") is None:
            raise RecipeError(
                f"the release was decided with the calibration {thresholds!r}, which it does not hold; run the filter again with it"
            )
        thresholds = parse_calibration(manifest["calibration"], Path(thresholds))
    return DecideTexts(
        table, ID_COLUMNS[table], _profile(table, recipe), by_row, settings, thresholds, lang_columns=LANGS.get(table, ("lang",))
    )  # fmt: skip


def _check_groups(filters: Iterable[Sequence[str]], values: Mapping[str, Any]) -> None:
    """Only thresholds of filters that some table was scored with can be asked for."""
    known = sorted({group for groups in filters for group in groups if group in SCORERS.names()})
    for group, said in values.items():
        if group not in known:
            raise UnknownName("filter of this release", group, [*known, _NEAR])
        if not isinstance(said, Mapping):
            raise RecipeError(f"{group} is a filter with settings; write {group}.SETTING=VALUE (got {said!r})")
        split_settings(group, said, ())


def _profile(table: str, recipe: Mapping[str, Any]) -> str:
    return "query" if table == "queries" else str(recipe["profile"])


def _jaccard(said: Any, recipe: Mapping[str, Any]) -> float | None:
    """The similarity from which a near duplicate would be dropped; None: as in the release."""
    if said is None:
        return None
    if not isinstance(said, Mapping) or set(said) != {"jaccard"}:
        raise RecipeError("what-if: of near duplicates only neardup.jaccard can be asked for; the rest needs a run")
    wanted = threshold("neardup.jaccard", said["jaccard"])
    searched = float(recipe.get(_NEAR, {}).get("jaccard", 0.8))
    if wanted < searched:
        raise RecipeError(
            f"neardup.jaccard={wanted:g}: pairs below {searched:g} were not looked for; run the filter again"
        )
    return wanted


@dataclass(frozen=True)
class _Table:
    """A table of a release.

    protected: splits whose rows are never dropped; judged: ids that are not either; linked: whether judgements name its ids; copies: ids
    of exact duplicates; carried: of queries that were dropped with their last positive.
    """

    folder: Path
    lang: str
    table: str
    protected: tuple[str, ...]
    judged: pa.Array
    linked: bool
    copies: pa.Array
    carried: pa.Array

    def shards(self) -> Iterator[tuple[pa.Table, bool, bool]]:
        """The kept rows, then the dropped ones; whether they were kept, and whether their split is protected."""
        for prefix, kept in ((f"{self.lang}-{self.table}/", True), (f"dropped/{self.lang}-{self.table}-", False)):
            for path in release.part_files(self.folder, prefix):
                safe = kept and any(path.name.startswith(f"{split}-") for split in self.protected)
                yield parquet.read(path), kept, safe


def _told(folder: Path, table: str, stage: str, rule: str) -> pa.Array:
    """The ids that a stage dropped from a table by a rule."""
    found = []
    for shard in release.read_part(folder, "dropped/verdicts-", ["table", "id", "stage", "outcome", "rule"]):
        wanted = {"table": table, "stage": stage, "outcome": "dropped", "rule": rule}
        for column, value in wanted.items():
            shard = shard.filter(pc.equal(shard[column], value))
        found.append(shard["id"])
    return _ids(found)


def _ids(columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()).combine_chunks()


def _again(
    table: _Table, stage: DecideTexts, jaccard: float | None, retained: Sequence[pa.Table]
) -> tuple[Decided, int]:
    """What would become of each row, and how many rows would be kept although no duplicates of them were looked for."""
    decided = Decided()
    unsearched = 0
    for rows, was_kept, safe in table.shards():
        keep, failed = stage.decide(rows, retained)
        ids = rows[stage.id_column]
        found = _mask(pc.is_valid(rows["duplicate_of"]))
        exact = _mask(pc.is_in(ids, table.copies))
        twin = found
        if jaccard is not None:
            twin = found & (exact | (pc.fill_null(rows["duplicate_jaccard"], 1.0).to_numpy() >= jaccard))
        stays = (keep | safe | _mask(pc.is_in(ids, table.judged))) & ~twin
        if not was_kept:
            unsearched += int((stays & ~found & ~_mask(pc.is_in(ids, table.carried))).sum())
        decided.add(ids.to_pylist() if table.linked else [""] * len(ids), was_kept, stays.tolist())
        first: dict[int, str] = {}
        for one in failed:
            if one.action == "drop" and not stays[one.index]:
                first.setdefault(one.index, one.rule)
        decided.reasons.update(first.values())
        for place in np.flatnonzero(twin & keep).tolist():
            decided.reasons["exact_duplicate" if exact[place] else "near_duplicate"] += 1
    return decided, unsearched


def _mask(values: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(
        values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy(), np.bool_
    )
