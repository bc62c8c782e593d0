"""The twelve cheap rules of pairs against OpusFilter's: the same scores and verdicts, and how much faster.

Pairs are made up in Latin and Devanagari and spoiled in eighteen ways; where the folder of real texts stands beside the project, NTREX
in six languages is compared too. Equal means: the same score (to nine digits) and the same verdict at OpusFilter's thresholds, variant
`peer`. Time is CPU seconds over clean pairs from columns to columns of scores, the nine rules that count together, the others apart;
OpusFilter runs in an environment of its own.

    python bench/filters.py bitext [--quick] [--format json]
"""

from __future__ import annotations

import gzip
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from peers import NotRun, ask, environment
from stress import Documents

from dsbuild.filters.pair_rules import PairRules

OPUSFILTER = "opusfilter==3.3.1"
NTREX = Path(__file__).parent.parent.parent / "shared/data/parallel/ntrex"
REAL = {
    "hi": ("hin", "Devanagari"), "ta": ("tam", "Tamil"), "ar": ("arb", "Arabic"), "ru": ("rus", "Cyrillic"), "de": ("deu", "Latin"),
    "sw": ("swa", "Latin"),
}  # fmt: skip
NINE = ("length", "length_ratio", "longest_word", "mean_word", "tags", "alphabet", "script", "terminal", "numerals")
THREE = {"common_substring": "substring", "similarity": "similarity", "repetition": "repetition"}
# Our columns of each rule, in OpusFilter's order of scores. Two of its scores, of both sides, are one column: the worse side.
COLUMNS: dict[str, tuple[str, ...]] = {
    "length": ("pairs_words_a", "pairs_words_b"), "mean_word": ("pairs_mean_word_a", "pairs_mean_word_b"),
    **{name: (f"pairs_{name}",) for name in (*NINE, *THREE) if name not in ("length", "mean_word")},
}  # fmt: skip
WORSE: dict[str, Callable[..., float]] = {"longest_word": max, "tags": max, "alphabet": min, "script": min}
ACCEPTS: dict[str, Callable[[list[float]], bool]] = {
    "length": lambda found: all(1 <= value <= 100 for value in found), "length_ratio": lambda found: found[0] < 3,
    "longest_word": lambda found: found[0] < 40, "mean_word": lambda found: all(2 <= value <= 20 for value in found),
    "tags": lambda found: not found[0], "alphabet": lambda found: found[0] >= 0.75, "script": lambda found: found[0] >= 1,
    "terminal": lambda found: found[0] >= -2, "numerals": lambda found: found[0] >= 0.5,
    "common_substring": lambda found: found[0] < 0.9, "similarity": lambda found: found[0] < 0.9, "repetition": lambda found: found[0] < 2,
}  # fmt: skip
DIFFERENCES = (
    "common substring: difflib leaves out characters that make up over 1 % of a side of 200 characters or more; ours is the real longest one",
    "numerals: over 199 digits on a side are compared by their counts (difflib then leaves out frequent digits)",
    "tags: markup declarations (`<![...`) that break the peer's parser are read to their end",
)

# Every letter as one of another script.
_LATIN, _NAGARI = "abcdefghijklmnoprstuvwyz", "अबचदएफगहइजकलमनओपरसतउवऑयझ"
_TO_NAGARI = str.maketrans(_LATIN, _NAGARI)


def _insert(text: str, rng: random.Random, piece: str) -> str:
    words = text.split(" ")
    words.insert(rng.randrange(len(words) + 1), piece)
    return " ".join(words)


Spoil = Callable[[str, str, random.Random], tuple[str, str]]
_TAGS = (
    "<b>", "</b>", "<br/>", "<3", "a<b and c>d", '<a href="x>y">', "<a href=", "<!-- <i> -->", "<!-- <i>", "<?x y?>", "<!DOCTYPE html>",
    "</ <u>", "<x <y>", "< i>",
)  # fmt: skip
SPOILS: tuple[Spoil, ...] = (
    lambda a, b, rng: (a, b),
    lambda a, b, rng: (a, ""),
    lambda a, b, rng: ("", rng.choice(("", " ", b))),
    lambda a, b, rng: (a, a),
    lambda a, b, rng: (a, a[: rng.randrange(len(a))] + b[:5]),
    lambda a, b, rng: (a, " ".join(b.split(" ")[: rng.randint(1, 4)])),
    lambda a, b, rng: (" ".join([a] * rng.randint(2, 9)), b),
    lambda a, b, rng: (_insert(a, rng, rng.choice(_TAGS)), b),
    lambda a, b, rng: (_insert(a, rng, rng.choice(_TAGS)), _insert(b, rng, rng.choice(_TAGS))),
    lambda a, b, rng: (_insert(a, rng, "x" * rng.randint(35, 45)), b),
    lambda a, b, rng: (a, _insert(b, rng, "-".join(map(str, rng.sample(range(9999), 12))))),
    lambda a, b, rng: (_insert(a, rng, str(rng.randint(1, 10**9))), _insert(b, rng, str(rng.randint(1, 10**9)))),
    lambda a, b, rng: (a, _insert(b, rng, rng.choice(("!?…", "...", "?!?!", "....!", "१२३")))),
    lambda a, b, rng: (a, _insert(b, rng, (rng.choice(b.split(" ")) + rng.choice((" ", "", "  "))) * rng.randint(2, 6))),
    lambda a, b, rng: (a, _insert(b, rng, " ".join([b[:20]] * rng.randint(1, 4)))),
    lambda a, b, rng: (" ".join(a.replace(" ", "")), b),
    lambda a, b, rng: (_insert(a, rng, "§%&=/#*" * rng.randint(1, 6)), b),
    lambda a, b, rng: (_insert(a, rng, rng.choice(("Москва", "東京", "é́", "a\u200db", "\x1c\x1f", "\u3000", "\n", "Ⅷ", "ℵ")) * 2), b),
)  # fmt: skip


def invented(n: int, *, nagari: bool, spoiled: bool, seed: int = 3) -> list[list[str]]:
    """Pairs of invented sentences; the second side is the first with its words changed."""
    documents, rng = Documents(seed), random.Random(seed)
    found = []
    for number in range(n):
        one = documents.sentence()
        two = " ".join(word if rng.random() < 0.2 else word[::-1] for word in one.split(" "))
        if nagari:
            two = two.lower().translate(_TO_NAGARI).replace(".", "।")
        found.append(list(SPOILS[number % len(SPOILS)](one, two, rng)) if spoiled else [one, two])
    return found


def real(code: str) -> list[list[str]]:
    """The English lines and those of a language, of NTREX."""
    sides = []
    for name in ("src.eng", f"ref.{code}"):
        with gzip.open(NTREX / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as file:
            sides.append(file.read().splitlines())
    return [list(pair) for pair in zip(*sides, strict=True)]


def score(scorer: PairRules, pairs: Sequence[Sequence[str]], lang: str) -> dict[str, pa.Array]:
    """Our columns."""
    sides = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
    return scorer.score(*sides, ["en"] * len(pairs), [lang] * len(pairs))


def unlike(name: str, ours: dict[str, list[Any]], theirs: Sequence[Any]) -> tuple[int, int, list[int]]:
    """How many scores and verdicts differ, and the first rows."""
    scores = verdicts = 0
    rows: list[int] = []
    for row, (values, accepted) in enumerate(theirs):
        mine = [min(float(ours[column][row]), 1e300) for column in COLUMNS[name]]
        if name in WORSE:
            values = [WORSE[name](values)]
        differs = any(abs(one - other) > 1e-9 for one, other in zip(mine, values, strict=True))
        scores += differs
        verdicts += ACCEPTS[name](mine) != accepted
        rows += [row] * differs
    return scores, verdicts, rows[:5]


def seconds(scorer: PairRules, sides: Sequence[pa.Array], langs: Sequence[Sequence[str]], times: int) -> float:
    """The median of CPU seconds per pair."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        scorer.score(*sides, *langs)
        spent.append((time.process_time() - started) / len(sides[0]))
    return statistics.median(spent)


def run(*, quick: bool) -> dict[str, Any]:
    """Compare; `ratio` is pairs per CPU second of the nine counting rules, ours (peer variant) over OpusFilter's one after another."""
    n, times = (54, 1) if quick else (5_400, 5)
    sets = [
        ("de", "Latin", invented(n, nagari=False, spoiled=True)),
        ("hi", "Devanagari", invented(n, nagari=True, spoiled=True)),
    ]
    if NTREX.is_dir() and not quick:
        sets += [(lang, script, real(code)) for lang, (code, script) in REAL.items()]
    clean = invented(200 if quick else 20_000, nagari=False, spoiled=False, seed=4)
    arrays = [pa.array([pair[side] for pair in clean], pa.string()) for side in (0, 1)]
    langs = [["en"] * len(clean), ["de"] * len(clean)]
    parts = ("counts", *THREE.values())
    scorers = {(part, variant): PairRules((part,), variant) for part in parts for variant in ("peer", "unicode")}
    for scorer in scorers.values():
        scorer.score(*arrays, *langs)
    mine = {key: seconds(scorer, arrays, langs, times) for key, scorer in scorers.items()}
    sizes = dict.fromkeys(COLUMNS, 50 if quick else 4_000) | {
        "common_substring": 50 if quick else 800,
        "repetition": 20 if quick else 150,
    }
    try:
        python = environment("opusfilter", [OPUSFILTER])
        request = {
            "sets": [{"scripts": ["Latin", script], "pairs": pairs} for _, script, pairs in sets],
            "timed": {"scripts": ["Latin", "Latin"], "pairs": clean[:4_000], "sizes": sizes}, "repetitions": times,
        }  # fmt: skip
        peer = ask(python, "opusfilter_rules.py", request)
    except NotRun as why:
        return {"ratio": f"not run: {why}", "ours": round(1 / mine["counts", "peer"]), "unit": "pairs per CPU second"}
    differ: dict[str, list[int]] = {}
    first: dict[str, Any] = {}
    moved = 0
    for (lang, _, pairs), theirs in zip(sets, peer["scores"], strict=True):
        ours = {name: column.to_pylist() for name, column in score(PairRules(variant="peer"), pairs, lang).items()}
        other = {name: column.to_pylist() for name, column in score(PairRules(), pairs, lang).items()}
        for name, rows in theirs.items():
            scores, verdicts, places = unlike(name, ours, rows)
            differ[name] = [
                total + more for total, more in zip(differ.get(name, [0, 0]), (scores, verdicts), strict=True)
            ]
            if places and name not in first:
                first[name] = (
                    lang,
                    pairs[places[0]],
                    rows[places[0]],
                    [ours[column][places[0]] for column in COLUMNS[name]],
                )
        moved += sum(
            any(
                None not in values and ACCEPTS[name](values) != theirs[name][row][1]
                for name in theirs
                if (values := [other[column][row] for column in COLUMNS[name]])
            )
            for row in range(len(pairs))
        )
    nine = sum(peer["seconds"][name] for name in NINE)
    return {
        "ratio": round(nine / mine["counts", "peer"], 1),
        "ours": round(1 / mine["counts", "peer"]),
        "peer": round(1 / nine),
        "unit": "pairs per CPU second",
        "ratio_unicode": round(nine / mine["counts", "unicode"], 1),
        **{f"ratio_{name}": round(peer["seconds"][name] / mine[part, "peer"], 1) for name, part in THREE.items()},
        **{f"peer_{name}": round(1 / spent) for name, spent in peer["seconds"].items()},
        **{f"ours_{name}": round(1 / mine[part, "peer"]) for name, part in THREE.items()},
        "ratio_all": round(sum(peer["seconds"].values()) / sum(mine[part, "peer"] for part in parts), 1),
        "characters_per_pair": round(sum(len(side) for pair in clean for side in pair) / len(clean)),
        "compared_pairs": sum(len(pairs) for _, _, pairs in sets),
        "kinds_of_spoiling": len(SPOILS),
        "unequal_scores_verdicts": {name: counts for name, counts in differ.items() if any(counts)},
        "unequal_first": first,
        "unicode_judges_otherwise": moved,
        "differences_by_design": list(DIFFERENCES),
    }
