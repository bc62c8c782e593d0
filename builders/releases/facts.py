"""Facts of a release, computed from its files: `facts.json`, the texts that are made from it, and the check that both still hold."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dsbuild
from dsbuild import files, release
from dsbuild.builders.evaluation import evaluations
from dsbuild.builders.releases import reviewed
from dsbuild.builders.releases.card_check import check_card
from dsbuild.builders.releases.contents import Contents
from dsbuild.builders.releases.measures import OriginOf, ask, measure_split
from dsbuild.builders.releases.parallel_losses import losses, verdict_files
from dsbuild.cards import answers as human
from dsbuild.cards import licences
from dsbuild.cards.croissant import CROISSANT, croissant
from dsbuild.cards.datasheet import DATASHEET, datasheet
from dsbuild.cards.facts import FACTS, Facts, SplitFacts, as_data, as_text, differences
from dsbuild.errors import MissingExtra, ReleaseError
from dsbuild.stage import digest

_MAX_SHOWN = 5
# What a row says of its own text, and what that makes it where the text is not a translation of this build.
_SAID = {"human": "written by people", "translated": "translated in the source", "generated": "generated"}
_MADE_BY = {"machine": "machine-translated", "human": "human-translated"}
SOURCE_TEXT = "as in the source"
GENERATED = "generated"
UNSTATED = "translated, nobody said by whom"


def compute(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the release in `folder`, as `facts.json` has them; its files are read once, in bounded memory.

    The folder may still be being written: of the manifest everything but the list of files is needed.
    """
    origin_of = _origin_of(manifest)
    splits = tuple(
        measure_split(config, about, split, [folder / path for path in one["files"]], origin_of)
        for config, about in sorted(manifest["configs"].items())
        for split, one in sorted(about["splits"].items())
    )
    recipe, source, engines = manifest["recipe"], manifest["source"], manifest["engines"]
    return as_data(
        Facts(
            name=manifest["name"], version=manifest["version"], dsbuild=manifest["dsbuild"], build=recipe["build"], recipe=recipe,
            rows=sum(one.rows for one in splits), size_bytes=sum(one.size_bytes for one in splits),
            languages={lang: one["name"] for lang, one in manifest["languages"].items()}, source=source,
            engines={name: _engine(engine) for name, engine in engines.items()}, licences=_licences(manifest), splits=splits,
            origins=_origins(splits), accounting=manifest["accounting"], lost=_lost(folder, manifest), verdicts=_verdicts(folder),
            filters=manifest.get("filters", {}), findings=manifest.get("findings", {}),
            stages=tuple(_without(stage, "keys") for stage in manifest["stages"]), notes=tuple(manifest.get("notes", ())),
            parallel=losses(folder, manifest), review=_review(folder), retrieval=_retrieval(folder), release=manifest.get("release"),
        )
    )  # fmt: skip


def _review(folder: Path) -> dict[str, Any] | None:
    return reviewed.load(folder / reviewed.REVIEW) if (folder / reviewed.REVIEW).is_file() else None


def _retrieval(folder: Path) -> dict[str, Any] | None:
    path = folder / evaluations.RETRIEVAL
    return evaluations.load(path) if path.is_file() else None


def _engine(engine: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's terms, with one digest for all that decides its output."""
    return {**_without(engine, "fingerprint"), "fingerprint": digest(str(sorted(engine["fingerprint"].items())))}


def _without(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


def _origin_of(manifest: Mapping[str, Any]) -> OriginOf:
    """Who wrote a text: it is a translation of this build if engines worked and its language is not the source's."""
    origins = [engine["origin"] for engine in manifest["engines"].values()]
    said = {_MADE_BY.get(origin, UNSTATED) for origin in origins if origin != GENERATED}
    made = " or ".join(sorted(said))
    if GENERATED in origins and not manifest["source"]["files"]:  # there is no source that a text could be of
        return lambda lang, row: GENERATED
    src = manifest["source"]["lang"]

    def origin_of(lang: str, row: str) -> str:
        return made if made and lang != src else _SAID.get(row, SOURCE_TEXT)

    return origin_of


def _origins(splits: tuple[SplitFacts, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for one in splits:
        found.setdefault(one.lang, Counter()).update(one.origins)
    return {lang: dict(sorted(counts.items())) for lang, counts in sorted(found.items()) if counts}


def _licences(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The licence of each source, the terms of each model and the licence of rows, with what each asks."""
    stated = manifest["recipe"].get("release", {}).get("license")
    texts = licences.of_texts(manifest["source"], manifest["engines"])
    models = {name: engine for name, engine in manifest["engines"].items() if name not in texts}
    rows = licences.of_rows(texts, stated)
    return {
        "sources": {name: _asks(said) for name, said in texts.items()},
        "models": {
            name: {**_asks(one["license"]), "note": one["note"]} for name, one in {**models, **judges(manifest)}.items()
        },
        "rows": {**_asks(rows), "stated": bool(stated)},
    }


def judges(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The language models that judged rows, with their terms: license (None where nobody stated one) and note."""
    findings = manifest.get("findings", {})
    found = {}
    if "judging" in findings:
        found[str(findings["judge"])] = {key: findings["model"][key] for key in ("license", "note")}
    if "judge_band" in findings:
        found[str(findings["judge_band"]["model"])] = {"license": None, "note": ""}
    return found


def _asks(said: str | None) -> dict[str, Any]:
    found = licences.licence(said)
    return {
        "said": said or "unknown",
        "id": found.id if found and found.known else None,
        "asks": found.limits() if found else [],
        "url": found.url if found else "",
    }


def _lost(folder: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    import pyarrow.parquet as pq

    found: dict[str, dict[str, int]] = {}
    for lang, tables in manifest["accounting"].items():
        for table in tables:
            paths = sorted(folder.glob(f"dropped/{lang}-{table}-*-of-*.parquet"))
            if table != "qrels":
                found.setdefault(lang, {})[table] = sum(pq.read_metadata(path).num_rows for path in paths)
    return found


def _verdicts(folder: Path) -> dict[str, Any]:
    """Verdicts by language, table, outcome and rule: all of them, and those that decided."""
    found: dict[str, Any] = {}
    if not (paths := verdict_files(folder)):
        return found
    query = (
        'SELECT lang, "table", outcome, rule, count(*), count(*) FILTER ("primary") FROM read_parquet($1) '
        "GROUP BY ALL ORDER BY ALL"
    )
    for lang, table, outcome, rule, number, decided in ask(query, [paths]):
        rules = found.setdefault(lang, {}).setdefault(table, {}).setdefault(outcome, {})
        rules[rule] = {"all": number, "decided": decided}
    return found


def read(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that lie in the folder; computed where none do."""
    try:
        found: dict[str, Any] = json.loads((folder / FACTS).read_text("utf-8"))
    except FileNotFoundError:
        return compute(folder, manifest)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{folder / FACTS}: damaged ({error})") from error
    return found


def answers_of(folder: Path) -> Path | None:
    """Where the answers for a release lie: in it, if it was cut with some, else `answers.yaml` beside it, which serves all versions."""
    places = (folder / human.ANSWERS, folder.resolve().parent / human.ANSWERS)
    return next((path for path in places if path.is_file()), None)


def missing_answers(manifest: Mapping[str, Any], answers: Path | None) -> list[str]:
    """The names of the questions that a strict release needs a person's answer to and has none."""
    return [one.name for one in human.unanswered(human.load(answers) if answers else {}).required]


def render_facts(folder: Path, manifest: Mapping[str, Any], answers: Path | None = None) -> list[str]:
    """Write `facts.json` into a release folder that is being written; returns the names of what was written.

    Where `dsbuild review` left a summary of this build beside the answers or the release, its numbers come along.
    """
    written = [FACTS]
    if found := reviewed.find(folder, answers, manifest["build_key"]):
        files.write_text(folder / reviewed.REVIEW, as_text(found))
        written.append(reviewed.REVIEW)
    files.write_text(folder / FACTS, as_text(compute(folder, manifest)))
    return written


def render_datasheet(folder: Path, manifest: Mapping[str, Any], answers: Path | None = None) -> list[str]:
    """Write `DATASHEET.md`, and beside it the answers that it holds, so that it can be made again from the folder alone."""
    given = human.load(answers) if answers else {}
    files.write_text(folder / DATASHEET, datasheet(read(folder, manifest), given))
    if not answers:
        return [DATASHEET]
    files.write_text(folder / human.ANSWERS, human.as_yaml(given))
    return [human.ANSWERS, DATASHEET]


def render_croissant(folder: Path, manifest: Mapping[str, Any], answers: Path | None = None) -> list[str]:
    """Write `croissant.json`, made from the facts, the answers and the digests of the Parquet files."""
    given = human.load(answers) if answers else {}
    files.write_text(folder / CROISSANT, croissant(read(folder, manifest), given, manifest, _sums(folder, manifest)))
    return [CROISSANT]


def _sums(folder: Path, manifest: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Size and sha256 of each file of a configuration; from the manifest where it lists them."""
    from dsbuild import parquet

    listed = {entry["path"]: (entry["size_bytes"], entry["sha256"]) for entry in manifest.get("files", ())}
    paths = [
        path for about in manifest["configs"].values() for one in about["splits"].values() for path in one["files"]
    ]
    return {
        path: listed.get(path) or ((folder / path).stat().st_size, parquet.sha256(folder / path))
        for path in sorted(paths)
    }


def check_facts(folder: Path, *, readme: bool = True, found: Contents | None = None) -> list[str]:
    """What in `facts.json`, `DATASHEET.md`, `croissant.json` and `README.md` is not what the release's files give; one line each.

    Texts are made again and compared where this version of dsbuild made them: another words them otherwise. readme: whether README.md is
    among them; found: what the splits hold, where they were read before.
    """
    manifest = release.read_manifest(folder)
    return list(_checked(folder, manifest, readme=readme, contents=found))


def _checked(folder: Path, manifest: Mapping[str, Any], *, readme: bool, contents: Contents | None) -> Iterator[str]:
    own = manifest["dsbuild"] == dsbuild.__version__
    if own and readme:
        yield from check_card(folder, manifest, contents)
    if not (folder / FACTS).exists():
        return
    said, true = read(folder, manifest), compute(folder, manifest)
    found = differences(said, true)
    yield from (f"{FACTS}: {line}" for line in found[:_MAX_SHOWN])
    answers = folder / human.ANSWERS
    given = human.load(answers) if answers.exists() else {}
    made: dict[str, Callable[[], str]] = {
        DATASHEET: lambda: datasheet(true, given),
        CROISSANT: lambda: croissant(true, given, manifest, _sums(folder, manifest)),
    }
    for name, render in made.items():
        if own and (folder / name).exists():
            yield from _compared(folder / name, render())


def _compared(path: Path, expected: str) -> Iterator[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield f"{path.name}: cannot be read ({error})"
        return
    if text != expected:
        have = set(text.splitlines())
        gone = [line for line in expected.splitlines() if line not in have] or ["other lines, or another order of them"]
        yield from (f"{path.name}: the files give {line.strip()[:120]!r}" for line in gone[:_MAX_SHOWN])


def validate_croissant(folder: Path) -> list[str]:
    """What mlcroissant finds wrong with a release's `croissant.json`; needs the extra [release]."""
    path = folder / CROISSANT
    if not path.is_file():
        raise ReleaseError(f"{folder}: no {CROISSANT}; dsbuild release writes one")
    try:
        import mlcroissant
    except ImportError:
        raise MissingExtra("checking croissant.json", "mlcroissant", "release") from None
    # What is recommended and absent (a date, a citation) is no error, and would be printed.
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        found = mlcroissant.Dataset(jsonld=json.loads(path.read_text("utf-8"))).metadata.ctx.issues
    except mlcroissant.ValidationError as error:
        return [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    return sorted(found.errors)
