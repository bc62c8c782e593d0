"""A review of a release: rows that native speakers judge, chosen by a seed, and the file that their answers go to."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsbuild import release
from dsbuild.builders.chosen import choose, fetch, files_of, mark
from dsbuild.builders.evaluation import judgements
from dsbuild.builders.made_by import TRANSLATIONS
from dsbuild.builders.sources.opened import FIELDS
from dsbuild.cards.page import language
from dsbuild.cards.plots import direction
from dsbuild.cards.report import render_review
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.tables import ID_COLUMNS

_ID_COLUMNS = {**ID_COLUMNS, "labelled": "id"}
_FIELDS = {**FIELDS, "labelled": ("text",)}
# Longer texts are judged by their beginning: nobody compares ten pages.
_MAX_CHARS = 6_000


@dataclass
class Review:
    """The rows of one review in the order in which they are shown, and what has been answered.

    facts: what the page says above the rows; answers: the file; by: who judges; said: answers by place.
    """

    facts: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    answers: Path
    by: str
    said: dict[int, judgements.Answer] = field(default_factory=dict)

    def page(self, nonce: str) -> str:
        """The page; it fetches rows and answers as data."""
        return render_review(self.facts, nonce)

    def state(self) -> dict[str, Any]:
        """What the page reads: facts, rows, and answers by place."""
        return {
            "facts": dict(self.facts),
            "items": list(self.items),
            "answers": {str(place): answer for place, answer in self.said.items()},
        }

    def answer(self, place: int, raw: Mapping[str, Any]) -> judgements.Answer:
        """Save the answer to a row at once; `ValueError` for what is no answer or no row of this review."""
        if not 0 <= place < len(self.items):
            raise ValueError("no such row")
        found = judgements.check(raw)
        item = self.items[place]
        if found["spans"] and not item["spans"]:
            raise ValueError("this row has no spans")
        named = {name: item[name] for name in ("lang", "table", "id")}
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        judgements.append(self.answers, {"release": self.facts["release"], "by": self.by, "at": at, **named, **found})
        self.said[place] = found
        return found

    def finish(self) -> dict[str, Any]:
        """Sum up all answers of the file, this reviewer's and others', beside it."""
        known = judgements.read(self.answers) if self.answers.exists() else {}
        return judgements.write_summary(known.values(), self.answers.with_name(judgements.SUMMARY))


def open_review(
    folder: Path, langs: Sequence[str], n: int, seed: int, answers: Path | None, reviewer: str | None
) -> Review:
    """Choose the rows and read what was answered before; the same release, languages, n and seed give the same rows.

    n: rows of each language, as many of each table as there are; answers: by default `review-<folder>/answers.jsonl` beside the release.
    """
    manifest = release.read_manifest(folder)
    known = sorted({config["lang"] for config in manifest["configs"].values()})
    for lang in langs:
        if lang not in known:
            raise UnknownName("language in this release", lang, known)
    if not langs:
        raise RecipeError("review: name a language, such as --langs hi")
    release_key = str(manifest["build_key"])
    path = answers or folder.resolve().parent / f"review-{folder.resolve().name}" / "answers.jsonl"
    if path.is_dir() or path.resolve().is_relative_to(folder.resolve()):
        raise SourceError(f"{path}: answers go to a file outside of the release; choose another --answers")
    earlier = judgements.read(path) if path.exists() else {}
    by = reviewer or _reviewer(path, earlier.values())
    items = [item for lang in dict.fromkeys(langs) for item in _rows(folder, manifest, lang, n, seed)]
    if not items:
        raise SourceError(f"{folder}: no rows of {', '.join(langs)} to review")
    src = manifest["source"]["lang"]
    codes = {
        code
        for item in items
        for side in (item["source"] or (), item["target"])
        for code in (item["lang"], *(field["lang"] for field in side))
    }
    facts = {
        "name": manifest["name"], "version": manifest["version"], "release": release_key, "by": by, "answers": path.name,
        "langs": [{"lang": lang, "name": language(lang)} for lang in dict.fromkeys(langs)], "names": {code: language(code) for code in sorted(codes)},
        "translated": manifest["recipe"]["build"] in TRANSLATIONS and any(lang != src for lang in langs), "src": src,
        "categories": judgements.CATEGORIES, "spans": any(item["spans"] for item in items), "max_note": judgements.MAX_NOTE,
    }  # fmt: skip
    said = {}
    for place, item in enumerate(items):
        answer = earlier.get((release_key, item["lang"], item["table"], item["id"], by))
        if answer and judgements.is_said(answer):
            said[place] = judgements.check(
                {name: answer.get(name) for name in ("acceptable", "spans", "category", "note")}
            )
    return Review(facts, items, path, by, said)


def _reviewer(path: Path, earlier: Any) -> str:
    """Who answered in this file before; a new file gets a name of its own, so that two people's answers stay apart when merged."""
    names = {str(answer["by"]) for answer in earlier}
    if len(names) > 1:
        raise RecipeError(f"{path}: answers of {', '.join(sorted(names))}; say who you are with --reviewer")
    return names.pop() if names else f"reviewer-{secrets.token_hex(4)}"


def _rows(folder: Path, manifest: Mapping[str, Any], lang: str, n: int, seed: int) -> list[dict[str, Any]]:
    configs = {config["table"]: name for name, config in manifest["configs"].items() if config["lang"] == lang}
    src = manifest["source"]["lang"]
    found = {}
    for table in (table for table in _FIELDS if table in configs):
        paths, id_column = files_of(folder, f"{configs[table]}/"), _ID_COLUMNS[table]
        # Of an empty row there is nothing to judge: others come in its place.
        chosen = choose(paths, id_column, configs[table], 2 * n, seed)
        rows = fetch(paths, id_column, chosen)
        filled = [one for one in chosen if any(rows[one][0].get(name) for name in _FIELDS[table])][:n]
        beside = fetch(files_of(folder, f"{src}-{table}/"), id_column, filled) if lang != src else {}
        found[table] = [_item(lang, table, one, rows[one][0], beside.get(one, [None])[0], src) for one in filled]
    quotas = quota({table: len(items) for table, items in found.items()}, n)
    items = [item for table, those in found.items() for item in those[: quotas[table]]]
    # Queries and passages in turn, in an order that the seed decides.
    return sorted(items, key=lambda item: mark(seed, "order", item["lang"], item["table"], item["id"]))


def _item(
    lang: str, table: str, row_id: str, row: Mapping[str, Any], source: Mapping[str, Any] | None, src: str
) -> dict[str, Any]:
    return {
        "lang": lang, "table": table, "id": row_id, "spans": bool(row.get("spans")),
        "source": _side(source, table, src) if source else None, "target": _side(row, table, lang),
    }  # fmt: skip


def quota(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """How many rows of each table: evenly, and what a small table cannot give from the others.

    >>> quota({"corpus": 500, "queries": 30}, 200)
    {'corpus': 170, 'queries': 30}
    """
    found: dict[str, int] = {}
    left = n
    for place, (table, size) in enumerate(sorted(sizes.items(), key=lambda one: (one[1], one[0]))):
        found[table] = min(size, -(-left // (len(sizes) - place)))
        left -= found[table]
    return {table: found[table] for table in sizes}


def _side(row: Mapping[str, Any], table: str, lang: str) -> list[dict[str, Any]]:
    fields = []
    for name in _FIELDS[table]:
        text = str(row.get(name) or "")
        if text:
            code = str(row.get(f"lang{name[-2:]}", row.get("lang", lang)))
            spans = [
                {"start": one["start"], "end": one["end"], "label": one["label"]} for one in row.get("spans") or ()
            ]
            short = text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
            # The page counts in code points as spans do.
            fields.append({"name": name, "lang": code, "dir": direction(code, short), "text": short, "spans": spans})
    return fields
