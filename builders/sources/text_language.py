"""The language that a set seems to be in, where neither the user nor the set says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from dsbuild import languages
from dsbuild.builders.sources.filesource import Layout
from dsbuild.builders.sources.rows import TableFile, read_chunks
from dsbuild.builders.sources.source import Opening, stated_lang

# So many texts are looked at, joined to pieces of this many characters: what single sentences leave open a page does not.
_MAX_TEXTS, _PIECE_CHARS = 400, 800
_MIN_SHARE = 0.7
# How the remark begins by which a reader knows that nobody said the language.
IDENTIFIED = "identified as"
# Of a longer text the beginning tells its language as well.
_TEXT_CHARS = 4_000


def identified(texts: Iterable[str]) -> tuple[str, float]:
    """The language that at least 70 % of the first texts seem to be in, and that share by characters; "" where none is."""
    from dsbuild.filters.language import LanguageId

    pieces = [""]
    for text in islice(texts, _MAX_TEXTS):
        pieces[-1] += text[:_TEXT_CHARS] + "\n"
        if len(pieces[-1]) >= _PIECE_CHARS:
            pieces.append("")
    votes: Counter[str] = Counter()
    for piece, found in zip(pieces, LanguageId().identify(pieces), strict=True):
        votes[found.label] += len(piece)
    label, number = votes.most_common(1)[0]
    share = number / votes.total() if votes.total() else 0.0
    return (label, share) if label in languages.codes() and share >= _MIN_SHARE else ("", share)


def remark_of(lang: str, share: float, option: str) -> str:
    """What users are told of a language that was identified; option: what they say where it is wrong."""
    return f"{IDENTIFIED} {lang} ({share:.0%} of the text that was looked at); if that is wrong, say {option}"


def settled(opening: Opening, layout: Layout, *known: str | None) -> tuple[str, Layout]:
    """The language that was said, else one of `known`, else the one of the passages, which becomes a remark of the layout.

    Raises `SourceError` where the passages do not tell it either.
    """
    if opening.lang or any(known):
        return stated_lang(opening.spec, opening.lang, *known), layout
    lang, share = identified(_texts(layout.corpus))
    remark = remark_of(lang, share, "--lang (dsbuild translate: --src-lang)")
    return stated_lang(opening.spec, lang), replace(layout, remarks=(*layout.remarks, remark))


def _texts(files: Iterable[TableFile]) -> Iterator[str]:
    for file in files:
        for chunk in read_chunks(file):
            yield from chunk.columns["text"].to_pylist()
