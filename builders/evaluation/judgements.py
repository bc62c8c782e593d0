"""What reviewers answered: one line an answer, the last one counts; merged, and summed up with intervals and agreement."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from dsbuild import files
from dsbuild.errors import SourceError
from dsbuild.shares import wilson

VERDICTS = ("yes", "no", "unsure")
SPANS = ("right", "wrong")
CATEGORIES = {
    "meaning": "says something else", "addition": "adds what the source does not say", "omission": "leaves something out",
    "grammar": "not grammatical, or not idiomatic", "term": "wrong word, name or number", "untranslated": "left in the source language",
    "language": "wrong language or script", "other": "something else",
}  # fmt: skip
SUMMARY = "review.json"
MAX_NOTE = 2_000

# What names an answer: the row, and who judged it.
_KEYS = ("release", "lang", "table", "id", "by")
_FIELDS = {"acceptable": VERDICTS, "spans": SPANS, "category": tuple(CATEGORIES)}

Answer = dict[str, Any]


def check(raw: Mapping[str, Any]) -> Answer:
    """The answer's own fields, checked: acceptable, spans and category are one of their values or null, note is a text.

    Raises `ValueError` with what is wrong. An answer of which nothing is said takes back an earlier one.
    """
    unknown = set(raw) - {*_FIELDS, "note"}
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r}")
    found: Answer = {}
    for name, values in _FIELDS.items():
        value = raw.get(name)
        if value is not None and value not in values:
            raise ValueError(f"{name} is not one of {', '.join(values)}")
        found[name] = value
    note = raw.get("note") or ""
    if not isinstance(note, str) or len(note) > MAX_NOTE:
        raise ValueError(f"note is not a text of at most {MAX_NOTE:,} characters")
    if found["category"] and found["acceptable"] == "yes":
        raise ValueError("an acceptable translation has no error category")
    return {**found, "note": note}


def is_said(answer: Mapping[str, Any]) -> bool:
    """Whether an answer says anything."""
    return any(answer.get(name) for name in (*_FIELDS, "note"))


def read(path: Path) -> dict[tuple[str, ...], Answer]:
    """The answers that count, by release, language, table, id and reviewer; a line that was cut off at the end does not count.

    Raises `SourceError` with the line for anything else that is no answer.
    """
    found: dict[tuple[str, ...], Answer] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    # After the last line feed stands nothing, or what a crash left.
    for number, line in enumerate(lines[:-1], 1):
        if not line.strip():
            continue
        try:
            answer = json.loads(line)
            key = tuple(str(answer[name]) for name in _KEYS)
            check({name: answer.get(name) for name in (*_FIELDS, "note")})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"{path}, line {number}: not an answer of dsbuild review ({error})") from error
        found.pop(key, None)
        found[key] = answer
    return found


def line(answer: Mapping[str, Any]) -> str:
    """An answer as a file of answers holds it."""
    return json.dumps(answer, ensure_ascii=False, sort_keys=True) + "\n"


def append(path: Path, answer: Mapping[str, Any]) -> None:
    """Write one answer behind the others and wait until it is on the disk; what a crash cut off is removed first."""
    said = line(answer).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a+b") as handle:
            size = handle.seek(0, os.SEEK_END)
            whole = _whole(handle, size)
            if whole < size:
                handle.truncate(whole)
            try:
                handle.write(said)
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                # Half a line would make the next answer unreadable too.
                os.truncate(path, whole)
                raise
        if new:
            files.sync_folder(path.parent)
    except OSError as error:
        raise files.disk_error(path, error) from error


def _whole(handle: Any, size: int) -> int:
    """Where the last whole line ends."""
    at = size
    while at > 0:
        start = max(0, at - 4096)
        handle.seek(start)
        place = handle.read(at - start).rfind(b"\n")
        if place >= 0:
            return int(start + place + 1)
        at = start
    return 0


def merge(paths: Sequence[Path], out: Path) -> dict[str, Any]:
    """Put the answers of several files into one, the latest of each reviewer for each row, and sum them up beside it.

    The order of the files does not matter: of two answers of one reviewer to one row the later by its time counts.
    """
    kept: dict[tuple[str, ...], Answer] = {}
    for path in paths:
        for key, answer in read(path).items():
            if key not in kept or _later(answer) > _later(kept[key]):
                kept[key] = answer
    answers = [kept[key] for key in sorted(kept)]
    files.write_text(out, "".join(map(line, answers)))
    return write_summary(answers, out.with_name(SUMMARY))


def _later(answer: Mapping[str, Any]) -> tuple[str, str]:
    return str(answer.get("at", "")), json.dumps(answer, sort_keys=True)


def write_summary(answers: Iterable[Mapping[str, Any]], path: Path) -> dict[str, Any]:
    """Sum up, and write it as JSON to `path`."""
    found = summary(answers)
    files.write_text(path, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    return found


def summary(answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Acceptance by language and table with a 95 % interval, categories, spans, and the agreement of every two reviewers.

    A row that several people judged counts once: as acceptable if more said yes than no, and not at all if as many did.
    """
    said = [one for one in answers if is_said(one)]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for one in said:
        groups[str(one["lang"]), str(one["table"])].append(one)
    tables = [
        {"lang": lang, "table": table, **_acceptance(group), "categories": _counted(group, "category"),
         "spans": _share(group, "spans", "right", "wrong")}
        for (lang, table), group in sorted(groups.items())
    ]  # fmt: skip
    return {
        "releases": sorted({str(one["release"]) for one in said}), "reviewers": sorted({str(one["by"]) for one in said}), "answers": len(said),
        "tables": tables, "agreement": agreement(said),
    }  # fmt: skip


def _acceptance(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**_share(group, "acceptable", "yes", "no"), "unsure": sum(one["acceptable"] == "unsure" for one in group)}


def _share(group: Sequence[Mapping[str, Any]], name: str, good: str, bad: str) -> dict[str, Any]:
    votes: Counter[str] = Counter()
    for one in group:
        votes[str(one["id"])] += {good: 1, bad: -1}.get(one.get(name) or "", 0)
    judged = {str(one["id"]) for one in group if one.get(name) in (good, bad)}
    yes, no = (sum(sign * votes[row] > 0 for row in judged) for sign in (1, -1))
    low, high = wilson(yes, yes + no)
    rate = yes / (yes + no) if yes + no else None
    return {
        "judged": yes + no,
        good: yes,
        bad: no,
        "disputed": len(judged) - yes - no,
        "rate": rate,
        "low": low,
        "high": high,
    }


def _counted(group: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    return dict(Counter(str(one[name]) for one in group if one.get(name)).most_common())


def agreement(answers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every two reviewers and each language: rows that both said yes or no to, the share of equal answers, and Cohen's kappa (1960).

    kappa is None where both gave all rows one and the same answer: chance explains everything then.
    """
    by: dict[tuple[str, str], dict[tuple[str, ...], str]] = defaultdict(dict)
    for one in answers:
        if one.get("acceptable") in ("yes", "no"):
            by[str(one["lang"]), str(one["by"])][tuple(str(one[name]) for name in _KEYS[:-1])] = one["acceptable"]
    found = []
    for (lang, first), (other, second) in combinations(sorted(by), 2):
        shared = sorted(by[lang, first].keys() & by[other, second].keys())
        if lang == other and shared:
            pairs = [(by[lang, first][key], by[other, second][key]) for key in shared]
            found.append({"lang": lang, "reviewers": [first, second], "rows": len(pairs), **kappa(pairs)})
    return found


def kappa(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float | None]:
    """Raw agreement and Cohen's kappa of two judges; None without pairs, kappa also where chance alone would make them agree on everything.

    >>> kappa([("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15)
    {'raw': 0.7, 'kappa': 0.4}
    """
    n = len(pairs)
    equal = sum(one == other for one, other in pairs)
    firsts, seconds = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    # In whole numbers: n² times the agreement that chance alone would give.
    chance = sum(firsts[value] * seconds[value] for value in firsts)
    return {
        "raw": equal / n if n else None,
        "kappa": None if chance == n * n else round((equal * n - chance) / (n * n - chance), 12),
    }
