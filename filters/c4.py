"""C4's rules as columns of values: which lines would stay, and what is left of a text.

`peer`: the line rules of datatrove (a kept line ends in `.`, `?`, `!`, `"` or `'` but not in `...`, has three words and none of more than
1000 characters, and none of the phrases below). `unicode`, the default: a line may end in any script's full stop, with quotes, brackets
and citations after it; Thai and Lao lines, which have none, need none; three words are fifteen letters where no spaces are written.
Sentences are counted by their ends in both, not by a model: a text with many abbreviations has a few more than datatrove would find.
The columns only describe: C4 also cuts the lines that fail, which here nobody does.
Sources: Raffel et al. 2020, section 2.2; datatrove 0.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.filters import characters as chars
from dsbuild.filters.characters import kind_table, peer_bits, size_table, unicode_bits
from dsbuild.filters.repetition_kernel import WEIGHT
from dsbuild.filters.utf8 import Bytes, Offsets, buffers, compiled, decode, encode

Variant = Literal["unicode", "peer"]

COLUMNS = {
    "c4_kept_lines": "share of lines that C4 keeps; null without lines",
    "c4_sentences": "sentences in the lines that C4 keeps",
    "c4_lorem": "lines with `lorem ipsum` (peer: among those that end in a full stop and have three words)",
    "c4_braces": "lines with an opening brace (peer: as above)",
    "c4_boilerplate_lines": "share of lines about scripts, cookies, privacy or terms of use, in English",
}

_PHRASES = (
    "lorem ipsum", "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
_MIN_WORDS, _MAX_WORD = 3, 1000
_BRACE, _OPEN, _CLOSE, _DOT, _ELLIPSIS = 0x7B, 0x5B, 0x5D, 0x2E, 0x2026
_EDIT, _NEEDED = np.frombuffer(b"edit", np.uint8), np.frombuffer(b"citation needed", np.uint8)
_PEER_ENDS = np.frombuffer(b".?!\"'", np.uint8)


def _phrase_table() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    data, bounds = encode(_PHRASES)
    return data, bounds


_TEXT, _BOUNDS = _phrase_table()


@dataclass(frozen=True)
class C4Quality:
    """The columns of `COLUMNS`. variant: "unicode" or "peer"."""

    variant: Variant = "unicode"

    name: ClassVar[str] = "c4"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant {self.variant!r}: there are unicode and peer")

    def score(self, texts: pa.Array | Sequence[str], langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns, as long as `texts`; the languages are not looked at."""
        data, offsets = buffers(texts) if isinstance(texts, pa.Array | pa.ChunkedArray) else encode(texts)
        values = np.full((len(offsets) - 1, len(COLUMNS)), np.nan)
        peer = self.variant == "peer"
        digits = unicode_bits()
        _measure(data, offsets, kind_table(), peer_bits() if peer else digits, digits, size_table(), peer, values)
        return {name: pa.array(values[:, place], mask=np.isnan(values[:, place])) for place, name in enumerate(COLUMNS)}


@compiled
def _back(data: Bytes, start: int, end: int) -> Any:
    """The last code point before `end`, and where it begins; -1 where nothing is left."""
    index = end - 1
    while index > start and data[index] & 0xC0 == 0x80:
        index -= 1
    if index < start:
        return np.int64(-1), start
    code, _ = decode(data, index)
    return code, index


@compiled
def _holds(data: Bytes, start: int, end: int, phrase: Bytes) -> bool:
    """Whether the ASCII phrase stands in the text, whatever its case."""
    for at in range(start, end - len(phrase) + 1):
        place = 0
        while place < len(phrase):
            byte = data[at + place]
            if 0x41 <= byte <= 0x5A:
                byte += 0x20
            if byte != phrase[place]:
                break
            place += 1
        if place == len(phrase):
            return True
    return False


@compiled
def _without_citations(data: Bytes, start: int, end: int, digits: Any, skip_space: bool) -> int:
    """Where a line ends without the citations ([12], [edit], [citation needed]) at its end."""
    while end - start > 1 and data[end - 1] == _CLOSE:
        opening = end - 2
        while opening > start and data[opening] != _OPEN and end - opening < 40:
            opening -= 1
        if data[opening] != _OPEN:
            break
        size = end - opening - 2
        numeric = True
        index = opening + 1
        while index < end - 1:
            code, index = decode(data, index)
            numeric = numeric and (digits[code] & chars.NUMERAL) > 0
        edit = size == len(_EDIT) and bool((data[opening + 1 : end - 1] == _EDIT).all())
        needed = size == len(_NEEDED) and bool((data[opening + 1 : end - 1] == _NEEDED).all())
        if not (numeric or edit or needed):
            break
        end = opening
        while skip_space and end > start and data[end - 1] == 0x20:
            end -= 1
    return end


@compiled
def _ends(data: Bytes, start: int, end: int, kinds: Any, bits: Any, digits: Any, peer: bool) -> Any:
    """Whether the line ends as a sentence does, and not in an ellipsis."""
    end = _without_citations(data, start, end, digits, not peer)
    code, index = _back(data, start, end)
    if peer:
        if end - start >= 3 and data[end - 1] == _DOT and data[end - 2] == _DOT and data[end - 3] == _DOT:
            return False
        return bool((code == _PEER_ENDS).any())
    while code >= 0 and bits[code] & (chars.CLOSER | chars.SPACE):
        code, index = _back(data, start, index)
    if code < 0 or code == _ELLIPSIS:
        return False
    if bits[code] & chars.TERMINAL:
        return not (code == _DOT and index - start >= 2 and data[index - 1] == _DOT and data[index - 2] == _DOT)
    # A vowel mark may close the last letter: what counts is the letter's script.
    while code >= 0 and not bits[code] & (chars.ALPHA | chars.NUMERAL | chars.SPACE):
        code, index = _back(data, start, index)
    return code >= 0 and chars.CONSONANT <= kinds[code] <= chars.LEADING


@compiled
def _measure(
    data: Bytes, offsets: Offsets, kinds: Any, bits: Any, digits: Any, sizes: Any, peer: bool, out: Any
) -> None:
    for row in range(len(offsets) - 1):
        index, stop = offsets[row], offsets[row + 1]
        lines, kept, sentences, lorem, braces, boilerplate = 0, 0, 0, 0, 0, 0
        while index < stop:
            # One line: its bounds without the space around it, its words and letters.
            first, last, words, word, longest, letters, ends, pending, brace = -1, index, 0, 0, 0, 0, 0, False, False
            while index < stop:
                at = index
                code, index = decode(data, index)
                bit = bits[code]
                if bit & chars.BREAK:
                    break
                if bit & chars.SPACE:
                    word = 0
                    ends += pending
                    pending = False
                    continue
                if first < 0:
                    first = at
                last = index
                words += word == 0
                word += 1
                longest = max(longest, word)
                letters += sizes[code]
                brace = brace or code == _BRACE
                if bit & chars.TERMINAL:
                    if kinds[code] == 0 and code > 0x2FFF:  # full-width marks need no space after them
                        ends += not pending
                        pending = False
                    else:
                        pending = True
                elif not digits[code] & chars.CLOSER:
                    pending = False
            if first < 0:
                continue
            lines += 1
            enough = words >= _MIN_WORDS or (not peer and letters >= _MIN_WORDS * WEIGHT)
            good = longest <= _MAX_WORD and enough and _ends(data, first, last, kinds, bits, digits, peer)
            if not good and peer:
                continue
            talk = False
            for phrase in range(len(_BOUNDS) - 1):
                if _holds(data, first, last, _TEXT[_BOUNDS[phrase] : _BOUNDS[phrase + 1]]):
                    if phrase == 0:
                        lorem += 1
                    else:
                        talk = True
            braces += brace
            boilerplate += talk
            if good and not talk:
                kept += 1
                sentences += max(ends + pending, 1)
        if lines > 0:
            out[row, 0], out[row, 1], out[row, 2], out[row, 3] = kept / lines, sentences, lorem, braces
            out[row, 4] = boilerplate / lines
