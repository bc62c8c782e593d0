"""Look at a release folder: status, what-if."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import release
from dsbuild.builders.filtering.decided import Decided
from dsbuild.builders.made_by import TRANSLATIONS, command_of
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.recipe import apply_settings
from dsbuild.stage import Workspace
from dsbuild.tables import ID_COLUMNS


def status(folder: Path) -> dict[str, Any]:
    """What the manifest says, and whether every file is there with its size."""
    manifest = release.read_manifest(folder)
    problems = release.damaged(folder, manifest, deep=False)
    sizes = {entry["path"]: entry["size_bytes"] for entry in manifest["files"]}
    return {
        "name": manifest["name"], "version": manifest["version"], "dsbuild": manifest["dsbuild"],
        "state": "complete" if not problems else "damaged: " + "; ".join(problems),
        "configs": [
            {"config": name, "split": split, "rows": one["rows"], "size_bytes": sum(sizes[path] for path in one["files"])}
            for name, config in sorted(manifest["configs"].items()) for split, one in sorted(config["splits"].items())
        ],
        "accounting": [
            {"lang": lang, "table": table, **row} for lang, tables in manifest["accounting"].items() for table, row in tables.items()
        ],
        "engines": manifest["engines"],
    }  # fmt: skip


def what_if(folder: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Decide again from the stored scores with other thresholds; nothing is run and nothing is written.

    Rows that hard failed stay failed, judged rows of an evaluation set stay kept, and what the decisions take along (queries
    without a positive, `--parallel`) follows as in a build. Memory grows with the ids of the set.
    """
    from dsbuild.filters.decide import load_thresholds

    manifest = release.read_manifest(folder)
    if manifest["recipe"]["build"] == "filter":
        from dsbuild.builders.filtering.filter_what_if import what_if_filtered

        return what_if_filtered(folder, manifest, settings)
    if manifest.get("funnel"):
        from dsbuild.builders.funnel.what_if import what_if_funnel

        return what_if_funnel(folder, manifest, settings)
    if manifest["recipe"]["build"] not in TRANSLATIONS:
        raise RecipeError(
            f"{folder}: made by {command_of(manifest)}, which keeps no scores to decide again; what-if is for translated, filtered and generated sets"
        )
    values = apply_settings({}, settings)
    if unknown := sorted(set(values) - {"bitext"}):
        raise UnknownName("section of thresholds", unknown[0], ["bitext"])
    if not isinstance(values.get("bitext", {}), Mapping):
        raise RecipeError("what-if: bitext is a section; name a threshold, such as --set bitext.max_length_ratio=3")
    chosen = {**manifest["recipe"].get("bitext", {}), **values.get("bitext", {})}
    if not settings:
        raise RecipeError("what-if: name a threshold, such as --set bitext.max_length_ratio=3")
    linked = manifest["recipe"]["build"] == "translate"  # a table of texts has no judgements
    evaluation = linked and bool(manifest["source"].get("evaluation"))
    qrels = _qrels(folder, manifest) if linked else []
    judged = _judged(qrels) if evaluation else {}
    decided: dict[tuple[str, str], Decided] = {}
    for lang, accounted in manifest["accounting"].items():
        for table in (name for name in accounted if name in ID_COLUMNS):
            rules = [
                rule
                for rule in load_thresholds(chosen, tgt=lang, force=True)
                if table in rule.tables and rule.action == "drop"
            ]
            decided[lang, table] = _decide_again(folder, lang, table, rules, judged.get(table, set()))
    notes = ["From stored scores; no model was run."]
    if judged:
        notes.append("Judged rows of this evaluation set are never dropped.")
    if linked:
        extra = _carried(folder, manifest, decided, qrels, training=not evaluation)
    else:
        extra = _broken(folder, decided)
        unchecked = sum(one.newly_kept(extra[key]) for key, one in decided.items())
        if manifest["recipe"].get("table") == "instructions" and unchecked:
            notes.append(f"{unchecked:,} rows that would be kept were dropped before their instructions were checked.")
    tables = [
        {"lang": lang, "table": table, **one.counts(extra[lang, table])} for (lang, table), one in decided.items()
    ]
    return {"settings": list(settings), "tables": tables, "notes": notes}


def _carried(
    folder: Path, manifest: Mapping[str, Any], decided: Mapping[tuple[str, str], Decided], qrels: Sequence[pa.Table], *, training: bool
) -> dict[tuple[str, str], dict[str, str]]:  # fmt: skip
    """The rows of each language and table that the decisions on the others take along: id -> rule."""
    from dsbuild.builders.cascade import Cascade

    langs, names = (tuple(dict.fromkeys(key[place] for key in decided)) for place in (0, 1))
    cascade = Cascade(langs, names, bool(manifest["recipe"].get("parallel")), training=training)
    inputs = {f"{lang}.{table}": [one.fates(ID_COLUMNS[table])] for (lang, table), one in decided.items()}
    outputs = cascade.run({**inputs, "qrels": qrels}, Workspace("what-if", folder, folder)).outputs
    return {
        (lang, table): {
            row["id"]: row["rule"] for shard in outputs[f"{lang}.{table}"] for row in shard.table.to_pylist()
        }
        for lang, table in decided
    }


def _broken(folder: Path, decided: Mapping[tuple[str, str], Decided]) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of instruction data that were lost by their instructions, after the thresholds: id -> rule."""
    from dsbuild.builders.translation.instruction_stages import AdaptInstructions

    found: dict[tuple[str, str], dict[str, str]] = {key: {} for key in decided}
    staying = {key: set(itertools.compress(one.ids, one.stays)) for key, one in decided.items()}
    for shard in release.read_part(folder, "dropped/verdicts-"):
        gone = pc.and_(pc.equal(shard["stage"], AdaptInstructions.name), pc.equal(shard["outcome"], "dropped"))
        for row in shard.filter(pc.and_(gone, shard["primary"])).to_pylist():
            key = row["lang"], row["table"]
            if row["id"] in staying[key]:
                found[key][row["id"]] = row["rule"]
    return found


def _qrels(folder: Path, manifest: Mapping[str, Any]) -> list[pa.Table]:
    """The judgements that came with the source; where its tables are not part of the release, those kept and those orphaned."""
    columns = ["query_id", "doc_id", "relevance"]
    if found := list(release.read_part(folder, f"{manifest['source']['lang']}-qrels/", columns)):
        return found
    lang = next(iter(manifest["accounting"]))
    found = list(release.read_part(folder, f"{lang}-qrels/", columns))
    for shard in release.read_part(folder, "dropped/verdicts-"):
        gone = [
            {**dict(zip(columns, row["id"].split("\t"), strict=False)), "relevance": int(row["value"])}
            for row in shard.filter(pc.equal(shard["outcome"], "orphaned")).to_pylist()
            if row["lang"] == lang and row["stage"] == "cascade"
        ]
        found.append(pa.Table.from_pylist(gone, found[0].schema))
    return found


def _judged(qrels: Sequence[pa.Table]) -> dict[str, set[str]]:
    return {
        table: {row_id for shard in qrels for row_id in shard[ID_COLUMNS[table]].to_pylist()}
        for table in ("corpus", "queries")
    }


def _decide_again(folder: Path, lang: str, table: str, rules: Sequence[Any], judged: set[str]) -> Decided:
    from dsbuild.filters.decide import decide

    decided = Decided()
    protected = pa.array(sorted(judged), pa.string())
    for prefix, was_kept in ((f"{lang}-{table}/", True), (f"dropped/{lang}-{table}-", False)):
        for shard in release.read_part(folder, prefix):
            decision = decide(shard, rules)
            stays = pc.or_(decision.keep, pc.is_in(shard[ID_COLUMNS[table]], protected))
            if "failure" in shard.column_names:
                stays = pc.and_(stays, pc.equal(shard["failure"], ""))
            staying = stays.to_pylist()
            decided.add(shard[ID_COLUMNS[table]].to_pylist(), was_kept, staying)
            decided.reasons.update(
                found.rule for found in decision.verdicts if found.primary and not staying[found.index]
            )
    return decided
