"""Look at a release folder, and at what this installation has: status, what-if, lists, doctor."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import languages, release
from dsbuild.builders.filtering.decided import Decided
from dsbuild.builders.made_by import TRANSLATIONS, command_of
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.recipe import apply_settings
from dsbuild.registry import Registry
from dsbuild.stage import Workspace
from dsbuild.tables import ID_COLUMNS

_KINDS = (
    "engines",
    "sources",
    "filters",
    "retrievers",
    "rules",
    "views",
    "styles",
    "models",
    "methods",
    "labelled",
    "recipes",
    "languages",
)


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


def listing(kind: str) -> list[dict[str, str]]:
    """The names of one kind with the first line of what each is; loads no model library."""
    from dsbuild.builders import EXPORTS, LABELLED, RETRIEVERS, RULES, SOURCES, TASKS, recipes
    from dsbuild.filters import ABOUT, FILTERS
    from dsbuild.llm import LANGUAGE_MODELS
    from dsbuild.project import PROJECTORS
    from dsbuild.translate import ENGINES

    registries: dict[str, Registry] = {
        "engines": ENGINES, "sources": SOURCES, "filters": FILTERS, "retrievers": RETRIEVERS, "rules": RULES,
        "views": EXPORTS, "methods": PROJECTORS, "labelled": LABELLED, "styles": TASKS, "models": LANGUAGE_MODELS,
    }  # fmt: skip
    if kind == "languages":
        return [
            {"name": code, "about": f"{languages.get(code).name} ({languages.get(code).script})"}
            for code in languages.codes()
        ]
    if kind == "recipes":
        return [{"name": name, "about": about} for name, about in recipes.named().items()]
    if kind not in registries:
        raise UnknownName("kind of names", kind, _KINDS)
    registry = registries[kind]
    if kind == "styles":
        return _styles()
    if kind == "filters":
        return [
            {"name": name, "about": ABOUT.get(name) or _first_line(registry.get(name))} for name in registry.names()
        ]
    return [{"name": name, "about": _first_line(registry.get(name))} for name in registry.names()]


def _styles() -> list[dict[str, str]]:
    """The styles that a command can name: what only comes before another step is none of them."""
    from dsbuild.builders import TASKS
    from dsbuild.builders.generation import salient

    found: dict[str, Any] = {name: TASKS.get(name) for name in TASKS.names() if not name.startswith("steps/")}
    found |= {f"queries/{name}": style for name, style in salient.STYLES.items()}
    said = {name: _first_line(style) for name, style in sorted(found.items())}
    return [
        {"name": name, "about": f"Without a model: {about[:1].lower()}{about[1:]}" if name.partition("/")[2] in salient.STYLES else about}
        for name, about in said.items()
    ]  # fmt: skip


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""


def model_list(folder: str) -> list[dict[str, Any]]:
    """The known models and the stored ones, with where they are."""
    from dsbuild.translate import models

    here = {one.id: one for one in models.stored(folder)}
    rows: list[dict[str, Any]] = [
        {
            "name": one.id, "family": one.family, "license": one.license, "size_gb": one.size_gb,
            "languages": one.languages if isinstance(one.languages, str) else ", ".join(one.languages),
            "here": str(here[one.id].path) if one.id in here else "",
        }
        for one in models.known()
    ]  # fmt: skip
    listed = {row["name"] for row in rows}
    rows += [
        {"name": one.id, "family": one.family, "license": one.license, "size_gb": round(one.size_bytes / 1e9, 2),
         "languages": "", "here": str(one.path)}
        for one in here.values() if one.id not in listed
    ]  # fmt: skip
    return [
        {
            "name": "mini",
            "family": "m2m100",
            "license": "CC-BY-SA-3.0",
            "size_gb": 0.01,
            "languages": "en -> hi, mr, ta",
            "here": "in the package",
        },
        *rows,
    ]


def model_card(name: str, folder: str) -> dict[str, Any]:
    """Facts of one model; for the shipped one its card."""
    if name == "mini":
        from dsbuild.translate.mini_engine import card

        return {"id": "mini", "card": card()}
    from dsbuild.translate import models

    found = models.show(name, folder)
    return {**found.facts, **({"to do": found.todo} if found.todo else {})}


def doctor() -> list[dict[str, str]]:
    """What of this installation works: packages, extras, tools, devices."""
    rows = [{"what": "python", "state": "ok", "detail": platform.python_version()}]
    for module in ("ctranslate2", "sentencepiece", "fasttext", "duckdb", "datasets"):
        found = importlib.util.find_spec(module) is not None
        rows.append(
            {
                "what": module,
                "state": "ok" if found else "missing",
                "detail": "" if found else "pip install --force-reinstall dsbuild",
            }
        )
    for module, extra, use in (
        ("transformers", "convert", "dsbuild models convert"), ("datatrove", "scale", "--executor datatrove"),
        ("ir_datasets", "irds", "--src irds:ID"), ("mlcroissant", "release", "dsbuild card check --croissant"),
    ):  # fmt: skip
        found = importlib.util.find_spec(module) is not None
        rows.append(
            {
                "what": module,
                "state": "ok" if found else "not installed",
                "detail": use if found else f"for {use}: pip install 'dsbuild[{extra}]'",
            }
        )
    apertium = shutil.which("apertium")
    detail = "engine apertium" if apertium else "for engine apertium: apt-get install apertium apertium-eng-spa"
    rows.append({"what": "apertium", "state": "ok" if apertium else "not installed", "detail": detail})
    gpus = 0
    # A doctor that needs the patient well is no use: a broken CTranslate2 is told of above.
    with contextlib.suppress(ImportError):
        import ctranslate2

        gpus = ctranslate2.get_cuda_device_count()
    rows.append(
        {
            "what": "cuda",
            "state": "ok" if gpus else "none",
            "detail": f"{gpus} device(s)" if gpus else "models run on the CPU",
        }
    )
    return rows
