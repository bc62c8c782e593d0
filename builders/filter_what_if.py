"""What other thresholds would keep of a filtered set, from the scores in its release: no filter is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import release
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters import SCORERS
from dsbuild.filters.decide import threshold
from dsbuild.filters.decide_texts import DecideTexts
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, split_settings
from dsbuild.recipe import apply_settings
from dsbuild.tables import ID_COLUMNS

_NEAR = "neardup"
_LANG_COLUMNS = {"pairs": "lang_b"}


def what_if_filtered(folder: Path, manifest: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Decide again on every row of a filtered release; rows that were dropped before duplicates were looked for are told apart.

    Raises `RecipeError` for a filter that the build did not run, and for a similarity below the one that was looked for.
    """
    if not settings:
        raise RecipeError("what-if: name a threshold, such as --set gopher.min_words=30")
    values = apply_settings({}, settings)
    recipe = manifest["recipe"]
    jaccard = _jaccard(values.pop(_NEAR, None), recipe)
    tables = []
    unsearched = 0
    for table, groups in manifest["filters"].items():
        stage = deciding_stage(table, groups, recipe, values)
        share = manifest.get("findings", {}).get(f"retain.{table}")
        retained = [pa.table({"threshold": [share["threshold"]], "share": [share["share"]]})] if share else []
        for lang in sorted(lang for lang, accounted in manifest["accounting"].items() if table in accounted):
            counts, newly_unsearched = _again(folder, lang, table, stage, jaccard, retained)
            unsearched += newly_unsearched
            tables.append({"lang": lang, "table": table, **counts})
    notes = ["From stored scores; no filter was run."]
    if unsearched:
        notes.append(
            f"{unsearched:,} rows that would be kept were dropped before duplicates were looked for: not scored downstream."
        )
    return {"settings": list(settings), "tables": tables, "notes": notes}


def deciding_stage(
    table: str, groups: Sequence[str], recipe: Mapping[str, Any], values: Mapping[str, Any]
) -> DecideTexts:
    """The stage that decided on a table of a filtered release, with other thresholds (group -> key -> value) over its own."""
    by_row = tuple(group for group in groups if group in SCORERS.names())
    settings: dict[str, dict[str, Any]] = {}
    for group in values:
        if group not in by_row:
            raise UnknownName("filter of this release", group, [*by_row, _NEAR])
    for group in by_row:
        given = {**recipe.get(group, {}), **(values.get(group) or {})}
        own = {key: value for key, value in given.items() if key in _keys(group)}
        if unknown := sorted(set(values.get(group) or {}) - set(own)):
            split_settings(group, {unknown[0]: 0}, ())
        settings[group] = {key: threshold(f"{group}.{key}", value) for key, value in own.items()}
    thresholds = recipe.get("thresholds", DEFAULT_THRESHOLDS)
    if thresholds not in (DEFAULT_THRESHOLDS, "fineweb2"):
        raise RecipeError(
            f"what-if: the release was decided with the calibration {thresholds!r}; run the filter again with it"
        )
    return DecideTexts(
        table, ID_COLUMNS[table], _profile(table, recipe), by_row, settings, thresholds, lang_column=_LANG_COLUMNS.get(table, "lang")
    )  # fmt: skip


def _keys(group: str) -> set[str]:
    from dsbuild.filters.profiles import group_rules

    return {one.rule.key for one in group_rules(group) if one.rule.key}


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


def _again(
    folder: Path, lang: str, table: str, stage: DecideTexts, jaccard: float | None, retained: Sequence[pa.Table]
) -> tuple[dict[str, Any], int]:
    before = kept_then = dropped = newly_kept = unsearched = total = 0
    reasons: Counter[str] = Counter()
    for rows, was_kept in _rows(folder, lang, table):
        keep, failed = stage.decide(rows, retained)
        twin = pc.is_valid(rows["duplicate_of"]).to_numpy(zero_copy_only=False)
        exact = np.zeros(len(twin), np.bool_)
        if jaccard is not None:
            value = pc.fill_null(rows["duplicate_jaccard"], 1.0).to_numpy()
            twin = twin & (value >= jaccard)
        exact = twin & (pc.fill_null(rows["duplicate_jaccard"], 0.0).to_numpy() >= 1.0)
        # A flag or a protected split kept a row that fails a rule: it stays, as it did.
        stays = (keep | (was_kept & _flagged(rows))) & ~twin
        total += len(stays)
        before += int(was_kept.sum())
        kept_then += int(stays.sum())
        dropped += int((was_kept & ~stays).sum())
        newly_kept += int((~was_kept & stays).sum())
        searched = pc.is_valid(rows["duplicate_of"]).to_numpy(zero_copy_only=False)
        unsearched += int((~was_kept & stays & ~searched).sum())
        first: dict[int, str] = {}
        for found in failed:
            if found.action == "drop" and not stays[found.index]:
                first.setdefault(found.index, found.rule)
        reasons.update(first.values())
        for place in np.flatnonzero(twin & keep).tolist():
            reasons["exact_duplicate" if exact[place] else "near_duplicate"] += 1
    return {
        "in": total, "kept": before, "kept_then": kept_then, "newly_dropped": dropped, "newly_kept": newly_kept,
        "reasons": dict(reasons.most_common()),
    }, unsearched  # fmt: skip


def _flagged(rows: pa.Table) -> np.ndarray[Any, Any]:
    flagged: np.ndarray[Any, Any] = pc.not_equal(rows["flag"], "").to_numpy(zero_copy_only=False)
    return flagged


def _rows(folder: Path, lang: str, table: str) -> Iterator[tuple[pa.Table, np.ndarray[Any, Any]]]:
    for prefix, kept in ((f"{lang}-{table}/", True), (f"dropped/{lang}-{table}-", False)):
        for shard in release.read_part(folder, prefix):
            yield shard, np.full(shard.num_rows, kept)
