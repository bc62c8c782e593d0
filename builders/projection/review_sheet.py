"""A sheet on which native speakers judge translated relations with any table program, and what their answers come to.

The questions are those of MultiTACRED's human study (Hennig et al. 2023: does the translation keep the relation, is it acceptable to a native
speaker), the first in two parts: whether it says what the source says, and whether the label still holds.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import Field

from dsbuild import files, release
from dsbuild.builders.chosen import mark
from dsbuild.builders.evaluation import judgements
from dsbuild.builders.labelled.multitacred import Multitacred, marked
from dsbuild.builders.labelled.tacred import Tacred
from dsbuild.builders.projection.release_pairs import TABLE, beside, check_source, splits_of
from dsbuild.errors import SourceError, UnknownName
from dsbuild.recipe import Section
from dsbuild.shares import wilson
from dsbuild.spans import Labelled

# What is asked, by column: yes, no or unsure; nothing is no answer.
QUESTIONS = {
    "adequate": "it says what the source says",
    "fluent": "a native speaker could have written it",
    "label_holds": "it states the relation, between the two marked entities",
}
SPANS = "spans"
ERRORS = {**judgements.CATEGORIES, SPANS: "a mark stands around the wrong words"}
_TOLD = ("release", "lang", "id", "split", "relation", "stands_for", "source", "translation")
COLUMNS = (*_TOLD, *QUESTIONS, "error", "note")
# A cell that begins so is a formula to table programs.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class SheetSection(Section):
    """How many rows of each language, and which (seed)."""

    rows: int = Field(default=100, ge=1)
    seed: int = 1


def write_sheets(folder: Path, langs: Sequence[str], n: int, seed: int, out: Path | None = None) -> dict[str, int]:
    """Write `sheet-LANG.tsv` for each language; says how many rows each has (0: no row was kept, and no sheet).

    One that is there stays: somebody may be filling it.
    The same release, n and seed give the same rows. out: a folder outside of the release, by default `review-<folder>` beside it.
    """
    manifest = release.read_manifest(folder)
    check_source(folder, manifest)
    kind = manifest["recipe"]["source"]["src"].partition(":")[0]
    if kind not in (Tacred.kind, Multitacred.kind):
        raise SourceError(
            f"{folder}: not a release of relations ({kind}:), and sheets are of those; use dsbuild review DIR"
        )
    src = manifest["source"]["lang"]
    home = out or folder.resolve().parent / f"review-{folder.resolve().name}"
    if home.resolve().is_relative_to(folder.resolve()):
        raise SourceError(f"{home}: sheets go to a folder outside of the release; choose another --out")
    known = sorted(manifest["accounting"])
    written = {}
    for lang in langs:
        if lang not in known:
            raise UnknownName("language of this release", lang, known)
        path = home / f"sheet-{lang}.tsv"
        chosen = sample(folder, src, lang, splits_of(manifest, lang), n, seed)
        if chosen and not path.exists():
            files.write_text(path, _sheet(manifest, src, lang, folder, chosen))
        written[str(path)] = len(chosen)
    return written


def sample(
    folder: Path, src: str, lang: str, splits: Iterable[str], n: int, seed: int
) -> dict[str, tuple[str, str, float]]:
    """The ids of at most n rows with split, relation and how many rows of their relation each stands for; in the order of the release.

    Every relation has its share of the rows and one at least, as far as n goes.
    """
    strata: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for split in splits:
        for (item,) in beside(folder, (lang,), split):
            strata[_relation(item)].append((mark(seed, "sheet", lang, item.id), item.id, split))
    sizes = shares({name: len(rows) for name, rows in strata.items()}, n)
    drawn = {name: sorted(rows)[: sizes[name]] for name, rows in strata.items()}
    return {
        row_id: (split, name, len(strata[name]) / len(rows))
        for name, rows in drawn.items()
        for _, row_id, split in rows
    }


def shares(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """How many of n rows each stratum gets: one at least (the larger ones first, should n not reach), the rest in proportion.

    >>> shares({"no_relation": 80, "per:title": 15, "org:website": 1}, 10)
    {'no_relation': 8, 'per:title': 1, 'org:website': 1}
    """
    total = sum(sizes.values())
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))
    found = {name: int(place < n) for place, name in enumerate(largest)}
    for _ in range(min(n, total) - sum(found.values())):
        # The stratum that lacks most of what is its due.
        short = max(
            (name for name in largest if found[name] < sizes[name]),
            key=lambda name: (n * sizes[name] / total - found[name], sizes[name], name),
        )
        found[short] += 1
    return {name: found[name] for name in sizes}


def _sheet(
    manifest: Mapping[str, Any], src: str, lang: str, folder: Path, chosen: Mapping[str, tuple[str, str, float]]
) -> str:
    text = io.StringIO()
    lines = csv.writer(text, delimiter="\t", lineterminator="\n")
    lines.writerow(COLUMNS)
    for split in splits_of(manifest, lang):
        for source, target in beside(folder, (src, lang), split):
            if target.id in chosen:
                _, relation, weight = chosen[target.id]
                told = (manifest["build_key"], lang, target.id, "" if split == TABLE else split, relation)
                cells = (*told, f"{weight:.6g}", marked(source), marked(target))
                lines.writerow([*map(_plain, cells), *[""] * (len(COLUMNS) - len(cells))])
    return text.getvalue()


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _relation(item: Labelled) -> str:
    return item.relations[0].label if item.relations else ""


def read_sheet(path: Path) -> list[dict[str, Any]]:
    """The rows of a filled sheet that say anything; `SourceError` with the line for what is no answer."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as UTF-8 ({error})") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    if lacking := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise SourceError(f"{path}: no column {lacking[0]!r}; keep the sheet's first line, and save it with tabs")
    found = []
    for row in reader:
        said = {name: (row[name] or "").strip() for name in (*QUESTIONS, "error", "note")}
        where = f"{path}:{reader.line_num}"
        for name in QUESTIONS:
            said[name] = said[name].lower()
            if said[name] and said[name] not in judgements.VERDICTS:
                raise SourceError(
                    f"{where}: {name} is {said[name]!r}; write {', '.join(judgements.VERDICTS)} or nothing"
                )
        if said["error"] and said["error"] not in ERRORS:
            raise SourceError(f"{where}: error is {said['error']!r}; write one of {', '.join(ERRORS)} or nothing")
        if any(said.values()):
            told = {name: (row[name] or "").removeprefix("'") for name in _TOLD}
            found.append({**told, "stands_for": _weight(told["stands_for"], where), **said, "by": path.stem})
    return found


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text.replace(",", "."))
    except ValueError:
        weight = 0.0
    if not weight > 0:
        raise SourceError(f"{where}: stands_for is {text!r}; leave that column as it was")
    return weight


def sum_sheets(paths: Sequence[Path], out: Path | None) -> dict[str, Any]:
    """What the sheets come to, by language and question: counts, share with a 95 % interval, share by relations' weights, agreement.

    Each file is one reviewer, named after it. A row that several judged counts for each of them. out: the answers as `dsbuild review` saves
    them, with `review.json` beside, which a data sheet reads.
    """
    rows = [row for path in paths for row in read_sheet(path)]
    if not rows:
        raise SourceError(f"{paths[0]}: nobody has answered yet; fill the columns {', '.join(QUESTIONS)}")
    found: dict[str, Any] = {
        "answers": len(rows), "reviewers": sorted({row["by"] for row in rows}), "questions": list(_answered(rows)),
        "errors": _errors(rows), "agreement": list(_agreement(rows)),
    }  # fmt: skip
    if out is not None:
        answers = list(map(_answer, rows))
        files.write_text(out, "".join(judgements.line(answer) for answer in answers))
        judgements.write_summary(answers, out.with_name(judgements.SUMMARY))
    return found


def _answered(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for lang in sorted({row["lang"] for row in rows}):
        mine = [row for row in rows if row["lang"] == lang]
        acceptable = [{**row, "acceptable": _acceptable(row)} for row in mine]
        asked: dict[str, Sequence[Mapping[str, Any]]] = {**dict.fromkeys(QUESTIONS, mine), "acceptable": acceptable}
        for question, those in asked.items():
            counts = Counter(row[question] for row in those)
            judged = counts["yes"] + counts["no"]
            low, high = wilson(counts["yes"], judged)
            weights = {
                value: sum(row["stands_for"] for row in those if row[question] == value) for value in ("yes", "no")
            }
            yield {
                "lang": lang, "question": question, "judged": judged, **{name: counts[name] for name in judgements.VERDICTS},
                "rate": counts["yes"] / judged if judged else None, "low": low, "high": high,
                "weighted": weights["yes"] / sum(weights.values()) if judged else None,
            }  # fmt: skip


def _acceptable(row: Mapping[str, Any]) -> str:
    """Semantically and linguistically acceptable, as the paper's headline figure: the first two answers together."""
    both = {row["adequate"], row["fluent"]}
    return "no" if "no" in both else "yes" if both == {"yes"} else "unsure" if "unsure" in both else ""


def _errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["error"]:
            counts[row["lang"]][row["error"]] += 1
    return {lang: dict(counts[lang].most_common()) for lang in sorted(counts)}


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of every two reviewers and each question: rows that both said yes or no to, equal answers, Cohen's kappa."""
    by: dict[tuple[str, str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    for row in rows:
        for question in QUESTIONS:
            if row[question] in ("yes", "no"):
                by[row["lang"], question, row["by"]][row["release"], row["id"]] = row[question]
    for one, other in combinations(sorted(by), 2):
        shared = sorted(by[one].keys() & by[other].keys())
        if one[:2] == other[:2] and shared:
            pairs = [(by[one][key], by[other][key]) for key in shared]
            yield {
                "lang": one[0],
                "question": one[1],
                "reviewers": [one[2], other[2]],
                "rows": len(shared),
                **judgements.kappa(pairs),
            }


def _answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as an answer of `dsbuild review`: acceptable as above, the spans by their error or by a label that holds."""
    acceptable = _acceptable(row) or None
    spans = "wrong" if row["error"] == SPANS else "right" if row["label_holds"] == "yes" else None
    category = row["error"] if row["error"] not in ("", SPANS) and acceptable != "yes" else None
    said = judgements.check({"acceptable": acceptable, "spans": spans, "category": category, "note": row["note"]})
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {
        "release": row["release"],
        "by": row["by"],
        "at": at,
        "lang": row["lang"],
        "table": TABLE,
        "id": row["id"],
        **said,
    }
