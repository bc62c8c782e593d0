"""Do the rules of the document profile judge parallel documents alike? NTREX news in 19 languages, clean and spoiled.

A document is its segments, one a line. Every language gets the verdicts of the groups gopher, repetition and fineweb; the keep rate is
that of the clean documents, agreement the share of documents with the verdict of the English one. Spoiled: cut to its first
segments, lines repeated, bulleted or broken off, one line over and over; the same in every language. Definitions were
compared on these texts while they were written (lengths in letters, the free n-gram); no threshold was chosen on them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild.filters.decide import decide
from dsbuild.filters.profiles import rules_for
from dsbuild.filters.quality import GROUPS, Quality, Variant
from dsbuild.text import words

DATA = Path(__file__).parent.parent / "../shared/data/parallel/ntrex"
LANGUAGES = {
    "en": "src.eng", "ar": "ref.arb", "bn": "ref.ben", "de": "ref.deu", "es": "ref.spa", "fr": "ref.fra", "gu": "ref.guj", "hi": "ref.hin",
    "ja": "ref.jpn", "kn": "ref.kan", "ml": "ref.mal", "mr": "ref.mar", "ne": "ref.nep", "ru": "ref.rus", "sw": "ref.swa", "ta": "ref.tam",
    "te": "ref.tel", "ur": "ref.urd", "zh-Hans": "ref.zho-CN",
}  # fmt: skip
SPOILS: dict[str, Callable[[list[str]], list[str]]] = {
    "first segment": lambda lines: lines[:1],
    "first two": lambda lines: lines[:2],
    "first three": lambda lines: lines[:3],
    "first five": lambda lines: lines[:5],
    "half twice": lambda lines: lines + lines[: len(lines) // 2],
    "two lines again": lambda lines: [*lines, lines[0], lines[-1]],
    "one line ten times": lambda lines: [*lines, *[lines[1 % len(lines)]] * 10],
    "bullets": lambda lines: [f"- {line}" for line in lines],
    "broken off": lambda lines: [f"{line.rstrip('.।。۔?!')}..." if number % 2 else line for number, line in enumerate(lines)],
    "menu": lambda lines: [word for line in lines for word in words(line)[:3]],
}  # fmt: skip
# Variant of the scorer, thresholds: what dsbuild does by default, FineWeb-2's values, and the peer's English defaults.
WAYS: dict[str, tuple[Variant, str]] = {
    "default": ("unicode", "default"), "fineweb2": ("unicode", "fineweb2"), "peer, English values": ("peer", "default"),
}  # fmt: skip


def run(*, quick: bool) -> dict[str, Any]:
    """Per way: keep rate by language, its spread in points, and the least agreement with English, clean and spoiled."""
    if not DATA.is_dir():
        return {"parity": "not run: NTREX is not there"}
    documents = _documents()
    found: dict[str, Any] = {}
    for way, (variant, thresholds) in WAYS.items():
        clean = {lang: verdicts(texts, lang, variant, thresholds) for lang, texts in _texts(documents, None).items()}
        keep = {lang: round(100 * float(kept.mean()), 1) for lang, kept in clean.items()}
        result: dict[str, Any] = {
            "keep_rate": keep,
            "spread_points": round(max(keep.values()) - min(keep.values()), 1),
            "agreement": _agreement(clean),
        }
        spoiled: dict[str, list[Any]] = {lang: [] for lang in LANGUAGES}
        for name, spoil in SPOILS.items():
            if quick and name != "first three":
                continue
            judged = {
                lang: verdicts(texts, lang, variant, thresholds) for lang, texts in _texts(documents, spoil).items()
            }
            result[f"agreement, {name}"] = _agreement(judged)
            for lang, kept in judged.items():
                spoiled[lang].append(kept)
        result["agreement, all spoiled"] = _agreement({lang: np.concatenate(parts) for lang, parts in spoiled.items()})
        found[way] = result
    return found


def verdicts(texts: Sequence[str], lang: str, variant: Variant, thresholds: str) -> Any:
    """Which texts the groups' rules keep."""
    columns = Quality(variant=variant).score(pa.array(texts, pa.string()), [lang] * len(texts))
    rules = rules_for(GROUPS, "document", lang, {}, thresholds)
    return decide(pa.table(columns), rules).keep.to_numpy(zero_copy_only=False)


def _agreement(judged: dict[str, Any]) -> dict[str, float]:
    """The least and the mean share, over languages, of documents with English's verdict."""
    shares = {lang: 100 * float((kept == judged["en"]).mean()) for lang, kept in judged.items() if lang != "en"}
    least = min(shares, key=lambda lang: shares[lang])
    return {"least": round(shares[least], 1), "of": least, "mean": round(sum(shares.values()) / len(shares), 1)}  # type: ignore[dict-item]


def _documents() -> dict[str, list[list[str]]]:
    ids = _lines("DOCUMENT_IDS.tsv.gz")
    found: dict[str, list[list[str]]] = {}
    for lang, name in LANGUAGES.items():
        segments: dict[str, list[str]] = {}
        for document, line in zip(ids, _lines(f"newstest2019-{name}.txt.gz"), strict=True):
            segments.setdefault(document, []).append(line)
        found[lang] = list(segments.values())
    return found


def _texts(
    documents: dict[str, list[list[str]]], spoil: Callable[[list[str]], list[str]] | None
) -> dict[str, list[str]]:
    return {
        lang: ["\n".join(spoil(list(lines)) if spoil else lines) for lines in texts]
        for lang, texts in documents.items()
    }


def _lines(name: str) -> list[str]:
    return gzip.decompress((DATA / name).read_bytes()).decode("utf-8").splitlines()
