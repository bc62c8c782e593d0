"""Personal data in texts of any script: e-mail, IP addresses, phones, payment cards, Aadhaar, PAN, IFSC and UPI addresses.

What is found is found by its form and its check digit, and by the word before it where the form alone says too little. Digits of every
script are read. Places are code points of the text as it came. What a text holds depends on nothing but the text and its language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.errors import UnknownName
from dsbuild.filters.pii_addresses import internet_v4, internet_v6, mail
from dsbuild.filters.pii_context import KINDS, Found, Kind, compiled
from dsbuild.filters.pii_numbers import cards, codes, phones
from dsbuild.filters.pii_words import regions as regions_of
from dsbuild.text import fold_digits

# Addresses for special purposes (127.0.0.1) name nobody.
PERSONAL: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "private_ip")

COLUMNS = {
    "pii_count": "how many pieces of personal data the text holds; addresses for special purposes, as 127.0.0.1, do not count",
    **{f"pii_{kind}": f"how many of kind {kind}" for kind in KINDS},
    "pii_spans": "each piece: kind, and where it stands in code points",
}
SPANS = pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32())]))

# A row without any of these holds nothing: an @, a ::, seven digits near each other, four numbers with points, or a PAN or IFSC.
_GATE = (
    r"[@＠]|[:：][:：]|\p{Nd}(?:[^\pL\pN\n]{0,3}\p{Nd}){6}|(?:\p{Nd}+[.．]){3}\p{Nd}"
    r"|(?:[0-9A-Fa-f]{1,4}:){7}|[A-Z]{5}\p{Nd}{4}[A-Z]|[A-Z]{4}\p{Nd}[A-Z0-9]{6}"
)
# Signs that stand for others in numbers and addresses, one for one.
_SIGNS = str.maketrans("＠．：－＋／（）‐‑‒–—−\u00a0\u2007\u2009\u202f", "@.:-+/()------    ")
_FILL = "\0"
_PLACEHOLDER = compiled(rf"<(?:{'|'.join(kind.upper() for kind in KINDS)})>")
_PASSES = 8

_Search = Callable[[str, tuple[str, ...]], Iterator[Found]]
_SEARCHES: tuple[_Search, ...] = (mail, internet_v6, internet_v4, cards, codes, phones)


def placeholder(kind: Kind) -> str:
    """What stands for a piece of personal data in a masked text; it depends on the kind alone.

    >>> placeholder("email")
    '<EMAIL>'
    """
    return f"<{kind.upper()}>"


def find(text: str, lang: str = "", *, regions: Sequence[str] = ()) -> list[Found]:
    """The personal data in a text, in order, none overlapping another; placeholders of masked texts are left alone.

    lang: BCP-47, tells in which regions' form phones without a country code are read; regions (ISO 3166) say so instead. Without
    either only phones with a country code are found. Linear in the length of the text.

    >>> find("मेल अजय@उदाहरण.भारत, फ़ोन +91 98765 43210", "hi")
    [Found(kind='email', start=4, end=19), Found(kind='phone', start=26, end=41)]
    """
    work = fold_digits(text) if text.isascii() else fold_digits(text).translate(_SIGNS)
    if "<" in work:
        work = _PLACEHOLDER.sub(lambda found: _blank(len(found.group())), work)
    wanted = tuple(regions) or regions_of(lang)
    found: list[Found] = []
    # What is found is taken out before the next pass, as masking would: so masking a masked text changes nothing.
    for _ in range(_PASSES):
        before = len(found)
        for search in _SEARCHES:
            fresh = list(search(work, wanted))
            if fresh:
                found += fresh
                work = _without(work, fresh)
        if len(found) == before:
            break
    return sorted(found, key=lambda one: one.start)


def mask(text: str, found: Iterable[Found], kinds: Sequence[str] = PERSONAL) -> str:
    """The text with what was found, of some kinds, replaced by placeholders.

    >>> mask("write to a@b.org", find("write to a@b.org"))
    'write to <EMAIL>'
    """
    parts, place = [], 0
    for one in found:
        if one.kind in kinds:
            parts += [text[place : one.start], placeholder(one.kind)]
            place = one.end
    return "".join([*parts, text[place:]])


def candidates(texts: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which rows may hold personal data at all; the others need no search."""
    chosen: np.ndarray[Any, np.dtype[np.int64]] = np.flatnonzero(
        pc.match_substring_regex(texts, _GATE).to_numpy(zero_copy_only=False)
    )
    return chosen


@lru_cache(maxsize=1)
def phone_library() -> str:
    """The version of the metadata that phones are read with."""
    return version("phonenumbers")


@dataclass(frozen=True)
class Pii:
    """Counts and places of personal data. regions: ISO 3166 codes separated by commas; "": those of the row's language."""

    regions: str = ""
    library: str = field(default_factory=phone_library, init=False)

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", ",".join(split_regions(self.regions)))

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, each as long as `texts`."""
        regions = split_regions(self.regions)
        counts = np.zeros((len(KINDS), len(texts)), np.int32)
        spans: list[list[dict[str, Any]]] = [[] for _ in range(len(texts))]
        for row in candidates(texts).tolist():
            for one in find(texts[row].as_py(), langs[row], regions=regions):
                counts[KINDS.index(one.kind), row] += 1
                spans[row].append({"kind": one.kind, "start": one.start, "end": one.end})
        total = counts[[KINDS.index(kind) for kind in PERSONAL]].sum(axis=0, dtype=np.int32)
        return {
            "pii_count": pa.array(total),
            **{f"pii_{kind}": pa.array(counts[place]) for place, kind in enumerate(KINDS)},
            "pii_spans": pa.array(spans, SPANS),
        }


def split_regions(regions: str | Sequence[str]) -> tuple[str, ...]:
    """The ISO 3166 codes of a setting such as `IN,US`, or of a list of them; `UnknownName` for a region without phones.

    >>> split_regions("in, US")
    ('IN', 'US')
    """
    from phonenumbers import SUPPORTED_REGIONS

    parts = regions.split(",") if isinstance(regions, str) else [str(one) for one in regions]
    found = tuple(one.strip().upper() for one in parts if one.strip())
    for one in found:
        if one not in SUPPORTED_REGIONS:
            raise UnknownName("region of phones (ISO 3166)", one, SUPPORTED_REGIONS)
    return found


def _blank(size: int) -> str:
    # As a placeholder looks from outside, whatever its length.
    return f"<{_FILL * (size - 2)}>" if size > 1 else ">"


def _without(work: str, found: Sequence[Found]) -> str:
    parts, place = [], 0
    for one in sorted(found, key=lambda item: item.start):
        parts += [work[place : one.start], _blank(one.end - one.start)]
        place = one.end
    return "".join([*parts, work[place:]])
