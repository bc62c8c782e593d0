"""Errors put into human translations: which of them do the checks of translations see?

Ten kinds of error (`injections.py`) go into the references of NTREX, as single lines and as passages of three lines, and into those
of FLORES dev where that is stored. Thresholds are chosen for each language on the even documents of NTREX, so that 98 % of the references
there are kept (97 % of others, about), with the same share of false alarms for every check but those that hardly have any; what is
printed is of the odd documents and of FLORES.
The priors of length and the rates of names were counted on all of NTREX, so FLORES is the only text that nothing has seen.

    python bench/checks.py [--data DIR] [--langs hi,de] [--format json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from fit_priors import NTREX
from injections import SPOILS, Kit, Segment, spelled

from dsbuild.filters.bitext import BitextChecks
from dsbuild.filters.decide import decide, load_thresholds
from dsbuild.filters.names import names

Floats = npt.NDArray[np.float64]

LANGS = ("hi", "mr", "ta", "es", "de", "sw", "ja", "ar")
# Another language to translate into: close ones in the same script where there is one, and one in another script.
NEAR = {"hi": "mr", "mr": "hi", "es": "fr", "de": "es", "sw": "es", "ja": "zh-Hans", "ar": "ur"}
FAR = {"hi": "ta", "mr": "gu", "ta": "te", "es": "ru", "de": "ru", "sw": "ar", "ja": "de", "ar": "hi"}
# Score columns and the side on which they are bad (0: both). Names and sentences are counted in `unrelated`, `missing` and `added`.
SIGNS = {
    "copy_share": 1, "wrong_script": 1, "language_score": -1, "loop": 1, "length_z": 0, "unrelated": 1, "number_mismatch": 1,
    "terminal_mismatch": 1, "url_mismatch": 1, "missing": 1, "added": 1,
}  # fmt: skip
# Kept where the bounds are chosen: a bound that so few references lie beyond lets more of others pass beyond it.
CHOSEN, KEPT = 0.98, 0.97
# These alarm on hardly any reference at their default thresholds, and are not moved.
FIXED = ("copy_share", "wrong_script")
# Log-odds below this speak for the translation.
LEAST = {"missing": 0.3, "added": 0.3}
PASSAGE = 3


def lines(path: Path) -> list[str]:
    """The lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as handle:
        return [line.rstrip("\n") for line in handle]


class Ntrex:
    """The news of NTREX in all its languages."""

    def __init__(self, data: Path) -> None:
        folder = data / "ntrex"
        self.documents = lines(folder / "DOCUMENT_IDS.tsv.gz")
        self.texts = {lang: lines(folder / f"newstest2019-ref.{code}.txt.gz") for code, lang in NTREX.items()}
        self.texts["en"] = lines(folder / "newstest2019-src.eng.txt.gz")

    def segments(self, lang: str, other: str, size: int) -> list[Segment]:
        """Runs of so many lines of one document, one from every line on."""
        found, start = [], 0
        while start < len(self.documents):
            end = start + size
            if end <= len(self.documents) and len(set(self.documents[start:end])) == 1:
                found.append(
                    segment(
                        self.texts["en"], self.texts[lang], self.texts[other], start, end, lang, self.documents[start]
                    )
                )
            start += 1
        return found


def segment(
    source: Sequence[str], target: Sequence[str], other: Sequence[str], start: int, end: int, lang: str, document: str
) -> Segment:
    """Some aligned lines."""
    return Segment(*(tuple(side[start:end]) for side in (source, target, other)), document, "" if lang == "ja" else " ")


def spoiled(kind: str, segments: Sequence[Segment], lang: str, seed: int) -> Iterator[tuple[str, str]]:
    """(source, spoiled translation) wherever there is something to spoil."""
    rng = random.Random(f"{kind} {lang} {seed}")
    known = (
        [(name, word) for one in segments for name in names(one.source) if (word := spelled(name, one.target))]
        if kind == "entity_swap"
        else []
    )
    for place, one in enumerate(segments):
        after = place + len(one.targets)
        following = segments[after] if after < len(segments) else None
        neighbour = following.target if following and following.document == one.document else None
        elsewhere = segments[(place + len(segments) // 2) % len(segments)].targets[0]
        text = SPOILS[kind](one, Kit(rng, lang, neighbour, elsewhere, known))
        if text is not None and text != one.target:
            yield one.source, text


def columns(checks: BitextChecks, pairs: Sequence[tuple[str, str]]) -> dict[str, Floats]:
    """The scores, NaN where a check abstains, turned so that high is bad."""
    scores = checks.score([source for source, _ in pairs], [target for _, target in pairs])
    found = {}
    for name, sign in SIGNS.items():
        if name in scores:
            values = pc.cast(scores[name], pa.float64()).to_numpy(zero_copy_only=False)
            found[name] = np.abs(values) if sign == 0 else sign * values
    found["empty"] = pc.cast(scores["empty"], pa.float64()).to_numpy(zero_copy_only=False)
    return found


def fails(scores: Mapping[str, Floats], bounds: Mapping[str, float]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each check whether a score is beyond its bound; a score that is not there passes."""
    return {name: scores[name] > bound + 1e-9 for name, bound in bounds.items()}


def choose(kinds: Sequence[Mapping[str, Floats]]) -> dict[str, float]:
    """The bounds at which every check raises at most the same share of false alarms in each kind of text, and each keeps `CHOSEN`."""
    fixed = {
        rule.column: rule.value
        for rule in load_thresholds()
        if rule.column in FIXED and rule.column in kinds[0] and rule.value is not None
    }
    best: dict[str, float] = {}
    for share in np.geomspace(0.0005, 0.03, 80):
        bounds = {
            name: max(LEAST.get(name, -np.inf), *(bound(scores[name], share) for scores in kinds)) for name in kinds[0]
        } | fixed
        if min(kept(scores, bounds) for scores in kinds) < CHOSEN:
            break
        best = bounds
    return best


def bound(values: Floats, share: float) -> float:
    """The score that at most this share of all rows lies beyond."""
    present = np.sort(values[~np.isnan(values)])
    beyond = int(share * len(values))
    return float(present[-1 - beyond]) if len(present) > beyond else -np.inf


def kept(scores: Mapping[str, Floats], bounds: Mapping[str, float]) -> float:
    """The share of rows that no check finds fault with."""
    return 1 - float(np.any(list(fails(scores, bounds).values()), axis=0).mean())


def judge(data: Path, ntrex: Ntrex, lang: str) -> list[dict[str, Any]]:
    """One row per source of text and kind of error."""
    checks = BitextChecks("en", lang)
    near, far = NEAR.get(lang, FAR[lang]), FAR[lang]
    kinds = {"line": ntrex.segments(lang, near, 1), "passage": ntrex.segments(lang, near, PASSAGE)}
    even = set(sorted(set(ntrex.documents), key=ntrex.documents.index)[::2])
    chosen = [[(one.source, one.target) for one in segments if one.document in even] for segments in kinds.values()]
    bounds = choose([columns(checks, pairs) for pairs in chosen])
    reported = {name: [one for one in segments if one.document not in even] for name, segments in kinds.items()}
    folder = data / f"flores_wmt14_mt_outputs/en-{lang}"
    if folder.is_dir():
        sides = lines(folder / "flores-dev.en.gz"), lines(folder / f"flores-dev.{lang}.gz")
        # FLORES comes in pieces of a few sentences of one article, without saying where each begins.
        other = (
            lines(data / f"flores_wmt14_mt_outputs/en-{near}/flores-dev.{near}.gz")
            if near in ("hi", "mr", "ta", "te")
            else [""] * len(sides[0])
        )
        for name, size in (("flores line", 1), ("flores passage", PASSAGE)):
            reported[name] = [
                segment(*sides, other, at, at + size, lang, "flores") for at in range(0, len(sides[0]) - size)
            ]
    rows = []
    for name, segments in reported.items():
        clean = columns(checks, [(one.source, one.target) for one in segments])
        alarms = fails(clean, bounds)
        rate = kept(clean, bounds)
        rows.append({"lang": lang, "text": name, "error": "none", "n": len(segments), "kept": rate,
                     "by": {check: float(found.mean()) for check, found in alarms.items() if found.any()}})  # fmt: skip
        for kind in SPOILS:
            rows += seen(checks, kind, kind, segments, lang, bounds, name)
        if not name.startswith("flores"):
            size = PASSAGE if name == "passage" else 1
            strange = [one for one in ntrex.segments(lang, far, size) if one.document not in even]
            rows += seen(checks, "wrong_language", "wrong_script", strange, lang, bounds, name)
    return rows


def seen(
    checks: BitextChecks,
    kind: str,
    label: str,
    segments: Sequence[Segment],
    lang: str,
    bounds: Mapping[str, float],
    text: str,
) -> list[dict[str, Any]]:
    """The row of one kind of error: how many are found, by which checks, and by the default rules."""
    pairs = [pair for pair in spoiled(kind, segments, lang, 1) if pair[1].strip()]
    if not pairs:
        return []
    found = fails(columns(checks, pairs), bounds)
    scores = checks.score([source for source, _ in pairs], [target for _, target in pairs])
    kept = decide(pa.table(scores), load_thresholds(tgt=lang)).keep
    return [{"lang": lang, "text": text, "error": label, "n": len(pairs), "found": float(np.any(list(found.values()), axis=0).mean()),
             "default": 1 - float(pc.mean(pc.cast(kept, pa.float64())).as_py()),
             "by": {check: round(float(hit.mean()), 3) for check, hit in found.items() if hit.mean() > 0.02}}]  # fmt: skip


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/parallel"))
    parser.add_argument("--langs", default=",".join(LANGS))
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    if not (options.data / "ntrex").is_dir():
        print("not run: no NTREX (--data)")
        return 0
    ntrex = Ntrex(options.data)
    langs = options.langs.split(",")
    rows = [row for lang in langs for row in judge(options.data, ntrex, lang)]
    if options.format == "json":
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for text in dict.fromkeys(row["text"] for row in rows):
        some = [row for row in rows if row["text"] == text]
        here = [lang for lang in langs if any(row["lang"] == lang for row in some)]
        print(f"\n{text}: share found at {KEPT:.0%} kept on other documents\n")
        print("| error | " + " | ".join(here) + " |\n|---|" + "---:|" * len(here))
        for error in dict.fromkeys(row["error"] for row in some):
            cells = {row["lang"]: row.get("found", row.get("kept")) for row in some if row["error"] == error}
            label = "(references kept)" if error == "none" else error
            print(f"| {label} | " + " | ".join(f"{cells[lang]:.1%}" if lang in cells else "-" for lang in here) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
