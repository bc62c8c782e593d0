"""What the thresholds of a release keep and drop, from the scores in its files: no engine and no filter is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.chosen import batches, files_of
from dsbuild.builders.filtering.filter_what_if import deciding_stage
from dsbuild.builders.filtering.filtered import Stream
from dsbuild.builders.filtering.threshold_facts import MAX_VALUES, Gathered, gather, scattered, told
from dsbuild.builders.made_by import TRANSLATIONS
from dsbuild.builders.sources.opened import FIELDS, LANGS
from dsbuild.errors import RecipeError
from dsbuild.filters.decide_texts import by_language
from dsbuild.tables import ID_COLUMNS

_NEAREST = 6
# Longer texts are counted as this long: an exact median needs a counter for every length.
_MAX_LENGTH = 1 << 20
A_DECADE = 20


@dataclass
class Verdicts:
    """What `dropped/verdicts` says in numbers: rows by table, language, stage, outcome and rule, and the thresholds that were used."""

    counts: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    bounds: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def stages(self, table: str, *outcomes: str) -> dict[str, str]:
        """The stage at which each rule took rows of a table."""
        return {rule: stage for (name, _, stage, outcome, rule) in self.counts if name == table and outcome in outcomes}

    def flagged(self, table: str, lang: str) -> dict[str, int]:
        """Rows that are kept though they failed a rule, by rule."""
        found: Counter[str] = Counter()
        for (name, code, _, outcome, rule), number in self.counts.items():
            if (name, code, outcome) == (table, lang, "flagged"):
                found[rule] += number
        return dict(found.most_common())


def read_verdicts(folder: Path) -> Verdicts:
    """Count the verdicts of a release, a few thousand rows at a time."""
    found = Verdicts()
    keys = ["table", "lang", "stage", "outcome", "rule"]
    for rows in batches(files_of(folder, "dropped/verdicts-"), [*keys, "threshold"]):
        grouped = rows.group_by(keys).aggregate([([], "count_all"), ("threshold", "max")]).to_pylist()
        for one in grouped:
            found.counts[one["table"], one["lang"], one["stage"], one["outcome"], one["rule"]] += one["count_all"]
            if one["threshold_max"] is not None:
                found.bounds[one["table"], one["lang"], one["rule"]] = one["threshold_max"]
    return found


def table_facts(
    folder: Path, manifest: Mapping[str, Any], lang: str, table: str, verdicts: Verdicts, judged: pa.Array
) -> dict[str, Any]:
    """One language of one table: each rule with its histogram, other thresholds and nearest rows; lengths of the kept texts.

    judged: ids that an evaluation set never drops.
    """
    translated = manifest["recipe"]["build"] in TRANSLATIONS
    langs = LANGS.get(table, ("lang",))
    fields = FIELDS[table]
    stream = Stream(table, ID_COLUMNS[table], fields, ("lang",) if translated else langs, "", ())
    safe = _Safe(manifest, ID_COLUMNS[table], judged)
    total = manifest["accounting"][lang][table]["in"]
    gathered: dict[tuple[str, float | None, str], Gathered] = {}
    rules: dict[tuple[str, ...], list[Any]] = {}
    sizes = np.zeros(_MAX_LENGTH + 1, np.int64)
    seen = 0
    for kept, split, rows in rows_of(folder, lang, table):
        if kept:
            sizes += lengths(rows, stream.texts)
        if "failure" in rows.column_names:
            # What has no translation was dropped before any threshold.
            rows = rows.filter(pc.equal(rows["failure"], ""))
        rows = rows.append_column("protected", safe.mask(rows, split))
        order = scattered(np.arange(seen, seen + rows.num_rows, dtype=np.uint64))
        seen += rows.num_rows
        for spoken, mask in by_language(rows, stream.lang_columns):
            if spoken not in rules:
                rules[spoken] = _rules(manifest, table, spoken, verdicts)
            known = [rule for rule in rules[spoken] if rule.column in rows.column_names]
            own = order[mask.to_numpy().astype(np.bool_)]
            gather(rows.filter(mask), own, -(-total // MAX_VALUES), stream, known, gathered)
    return {"rules": [_shown(one) for one in gathered.values()], "lengths": sizes}


def rows_of(folder: Path, lang: str, table: str) -> Iterator[tuple[bool, str, pa.Table]]:
    """Whether the release keeps them, their split, and the rows: kept ones first, then those that it dropped."""
    for path in files_of(folder, f"{lang}-{table}/"):
        for rows in batches([path]):
            yield True, path.name.rsplit("-", 3)[0], rows
    for rows in batches(files_of(folder, f"dropped/{lang}-{table}-")):
        yield False, "", rows


def lengths(rows: pa.Table, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many texts have each length in characters (code points)."""
    found = np.zeros(_MAX_LENGTH + 1, np.int64)
    for name in texts:
        sizes = np.minimum(pc.utf8_length(rows[name]).to_numpy(), _MAX_LENGTH)
        counts = np.bincount(sizes)
        found[: len(counts)] += counts
    return found


def length_facts(sizes: npt.NDArray[np.int64], source: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    """Lengths as they are drawn: counts on a logarithmic axis, and quantiles of texts that are not empty."""
    return {
        "counts": _binned(sizes), "outline": None if source is None else _binned(source), "a_decade": A_DECADE, "empty": int(sizes[0]),
        "quantiles": _quantiles(sizes), "source_quantiles": None if source is None else _quantiles(source),
    }  # fmt: skip


def _binned(sizes: npt.NDArray[np.int64]) -> list[int]:
    used = np.flatnonzero(sizes[1:]) + 1
    if not used.size:
        return []
    # The logarithm of a bound may lie a hair below it.
    places = np.floor(A_DECADE * np.log10(used) + 1e-9).astype(np.int64)
    counts: list[int] = np.bincount(places, sizes[used]).astype(np.int64).tolist()
    return counts


def _quantiles(sizes: npt.NDArray[np.int64]) -> dict[str, int] | None:
    below = np.cumsum(sizes[1:])
    if not below[-1]:
        return None
    # The least length that so many texts do not exceed.
    return {
        name: int(np.searchsorted(below, share * below[-1])) + 1
        for name, share in (("p5", 0.05), ("median", 0.5), ("p95", 0.95), ("longest", 1.0))
    }


class _Safe:
    """Rows that a rule may not drop: judged ones of an evaluation set, and those of protected splits of a filter build."""

    def __init__(self, manifest: Mapping[str, Any], id_column: str, judged: pa.Array) -> None:
        recipe = manifest["recipe"]
        self._protected = set(recipe.get("protected", ())) if recipe["build"] == "filter" else set()
        self._id_column, self._judged = id_column, judged

    def mask(self, rows: pa.Table, split: str) -> pa.ChunkedArray:
        if split in self._protected:
            return pa.chunked_array([pa.array(np.ones(rows.num_rows, np.bool_))])
        found = pc.is_in(rows[self._id_column], self._judged)
        return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _rules(manifest: Mapping[str, Any], table: str, spoken: tuple[str, ...], verdicts: Verdicts) -> list[Any]:
    """The rules that were applied to rows of one language (of pairs: two); a threshold that a row failed is the one that its verdict names."""
    recipe, lang = manifest["recipe"], spoken[-1]
    rules: list[Any] = []
    if recipe["build"] in TRANSLATIONS:
        from dsbuild.filters.decide import load_thresholds

        known = load_thresholds(recipe.get("bitext", {}), tgt=lang, force=True)
        rules = [rule for rule in known if table in rule.tables]
    elif recipe["build"] == "filter" and table in manifest.get("filters", {}):
        rules = _filter_rules(manifest, table, spoken, verdicts)
    bounds = {rule: bound for (name, code, rule), bound in verdicts.bounds.items() if (name, code) == (table, lang)}
    return [
        replace(rule, value=bounds[rule.name]) if rule.name in bounds and rule.op != "is" else rule for rule in rules
    ]


def _filter_rules(manifest: Mapping[str, Any], table: str, spoken: tuple[str, ...], verdicts: Verdicts) -> list[Any]:
    groups = manifest["filters"][table]
    share = manifest.get("findings", {}).get(f"retain.{table}")
    retained = [pa.table({"threshold": [share["threshold"]], "share": [share["share"]]})] if share else []
    try:
        return deciding_stage(table, groups, manifest, {}).rules(spoken, retained)
    except RecipeError:
        # A release of an earlier version holds no calibration; the thresholds that a row failed are in its verdicts.
        recipe = manifest["recipe"]
        default = {**manifest, "recipe": {**recipe, "thresholds": "default"}}
        rules = deciding_stage(table, groups, default, {}).rules(spoken, retained)
        source = Path(recipe["thresholds"]).name
        return [replace(rule, source=source) for rule in rules if (table, spoken[-1], rule.name) in verdicts.bounds]


def _shown(one: Gathered) -> dict[str, Any]:
    found = told(one)
    return {**found, "below": found["below"][:_NEAREST], "above": found["above"][:_NEAREST]}
