"""Marks through a translation that changes nothing, and through every known way of spoiling them, on the answers of XQuAD.

    python bench/markers.py [--quick] [--format json]

Without damage every span must come back to its place, in every scheme. A spoiled mark must be repaired or rejected with a reason: `wrong`
counts the spans that were kept around other words than their own, or elsewhere in the text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spoiled_marks import SPOILED

from dsbuild.project.marker_parser import Read, read
from dsbuild.project.markers import SCHEMES, encode, scheme_named
from dsbuild.spans import Span

XQUAD = Path(__file__).parents[2] / "shared/data/projection/xquad"
LANGS = ("en", "de", "es", "hi")
# These take words away or write some twice, so that places before a span may differ: its own words alone are compared.
_OTHER_TEXT = ("emptied", "copied", "cut off")
# What stood in marks within a span is gone with it.
_SWALLOWED = "emptied"
_PLACEHOLDER = scheme_named("placeholder", "zqx{n}")


def paragraphs(lang: str, most: int | None) -> Iterator[tuple[str, list[Span]]]:
    """Every paragraph with all its answers as spans."""
    data = json.loads(gzip.decompress((XQUAD / f"xquad.{lang}.json.gz").read_bytes()))["data"]
    for one in [paragraph for article in data for paragraph in article["paragraphs"]][:most]:
        answers = [question["answers"][0] for question in one["qas"]]
        places = [(answer["answer_start"], answer["answer_start"] + len(answer["text"])) for answer in answers]
        yield one["context"], [Span(str(number), "A", (place,)) for number, place in enumerate(places)]


def whole(langs: tuple[str, ...], most: int | None) -> dict[str, Any]:
    """Spans that come back to their place, by scheme and language."""
    found: dict[str, Any] = {}
    for scheme in (*SCHEMES.values(), _PLACEHOLDER):
        counts: dict[str, list[int]] = {}
        for lang in langs:
            right = total = 0
            for text, spans in paragraphs(lang, most):
                marked = encode(text, spans, scheme)
                back = read(marked, marked.text)
                total += len(spans)
                right += sum(
                    back.text == text and answer.pieces == span.pieces
                    for span, answer in zip(spans, back.answers, strict=True)
                )
            counts[lang] = [right, total]
        found[scheme.name] = counts
    return found


def spoiled(langs: tuple[str, ...], most: int | None) -> dict[str, Any]:
    """What becomes of the spans under each kind of damage: kept rightly, wrong, or rejected with a reason."""
    found: dict[str, Any] = {}
    for kind, spoil in SPOILED.items():
        counts: Counter[str] = Counter()
        for lang in langs:
            for number, (text, spans) in enumerate(paragraphs(lang, most)):
                marked = encode(text, spans, SCHEMES["letters"])
                back = read(marked, spoil(marked.text, number % 7))
                for span, answer in zip(spans, back.answers, strict=True):
                    if answer.outcome == "kept":
                        here = right(text, span, back, answer.pieces, kind)
                        counts["kept" if here else "wrong"] += 1
                    else:
                        counts[answer.reason] += 1
        found[kind] = dict(sorted(counts.items()))
    return found


def right(text: str, span: Span, back: Read, pieces: tuple[tuple[int, int], ...], kind: str) -> bool:
    """Whether a kept span holds its own letters and digits, and as many stand before it."""
    placed = Span("", "", pieces)
    mine, own = letters(placed.surface(back.text)), letters(span.surface(text))
    if kind == _SWALLOWED:
        left = iter(own)
        return all(one in left for one in mine)
    return mine == own and (
        kind in _OTHER_TEXT or len(letters(back.text[: placed.start])) == len(letters(text[: span.start]))
    )


def letters(text: str) -> list[str]:
    """The letters and digits of a text, whatever stands between them; capitals, because one kind of damage makes all letters so."""
    return re.findall(r"\w", text.upper())


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true", help="ten paragraphs of English")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if not XQUAD.is_dir():
        raise SystemExit(f"{XQUAD}: not there; the bench reads XQuAD beside the project")
    langs, most = (("en",), 10) if given.quick else (LANGS, None)
    found = {"whole": whole(langs, most), "spoiled": spoiled(langs, most)}
    if given.format == "json":
        print(json.dumps(found))
        return
    for scheme, counts in found["whole"].items():
        print(f"{scheme:12}", "  ".join(f"{lang} {one:,} of {total:,}" for lang, (one, total) in counts.items()))
    for kind, counts in found["spoiled"].items():
        total = sum(counts.values())
        said = ", ".join(f"{name} {count:,}" for name, count in counts.items() if name not in ("kept", "wrong"))
        print(
            f"{kind:20} kept {100 * counts.get('kept', 0) / total:5.1f} %  wrong {counts.get('wrong', 0):,}  rejected: {said or '-'}"
        )


if __name__ == "__main__":
    main()
