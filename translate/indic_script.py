"""One script for the Indic languages: to Devanagari and back by Unicode block, and the normal form before it.

The blocks of the Brahmi scripts run parallel: the same letter has the same offset in each (Unicode chapter 12,
after ISCII). IndicTrans2 reads and writes all of them as Devanagari, with the conventions of the Indic NLP
Library (Kunchukuttan, 2020): offsets 0x00-0x6F move, danda and double danda stay, letters that Tamil lacks
become the nearest that it has.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

DEVANAGARI = 0x0900
_BLOCKS = {
    "Deva": 0x0900,
    "Beng": 0x0980,
    "Guru": 0x0A00,
    "Gujr": 0x0A80,
    "Orya": 0x0B00,
    "Taml": 0x0B80,
    "Telu": 0x0C00,
    "Knda": 0x0C80,
    "Mlym": 0x0D00,
}
_MOVED = 0x70
_DANDAS = (0x0964, 0x0965)

_INVISIBLE = str.maketrans(dict.fromkeys("\ufeff\ufffe\u2060\u00ad\u200c\u200d") | {"\u200b": " ", "\u00a0": " "})
# Letters with a nukta that NFC keeps in one piece; the others it takes apart by itself (composition exclusions).
_NUKTA = {"\u0929": "\u0928\u093c", "\u0931": "\u0930\u093c", "\u0934": "\u0933\u093c"}
_CHILLU = {
    "\u0d23": "\u0d7a",
    "\u0d28": "\u0d7b",
    "\u0d30": "\u0d7c",
    "\u0d32": "\u0d7d",
    "\u0d33": "\u0d7e",
    "\u0d15": "\u0d7f",
}
_CHILLU_AS_TYPED = re.compile("([" + "".join(_CHILLU) + "])\u0d4d\u200d")
_OWN: dict[str, dict[str, str]] = {
    "Deva": {"\u0972": "\u090f", "|": "\u0964", **_NUKTA},
    "Beng": {"|": "\u0964", "\u09f7": "\u0964"},
    "Guru": {
        "|": "\u0964",
        "\u0a05\u0a3e": "\u0a06",
        "\u0a72\u0a3f": "\u0a07",
        "\u0a72\u0a40": "\u0a08",
        "\u0a73\u0a41": "\u0a09",
        "\u0a73\u0a42": "\u0a0a",
        "\u0a72\u0a47": "\u0a0f",
        "\u0a05\u0a48": "\u0a10",
        "\u0a73\u0a4b": "\u0a13",
        "\u0a05\u0a4c": "\u0a14",
    },
    "Orya": {"\u0b05\u0b3e": "\u0b06", "\u0b0f\u0b57": "\u0b10", "\u0b13\u0b57": "\u0b14", "\u0b35": "\u0b2c"},
    "Mlym": {"\u0d57": "\u0d4c"},
}


def normalise(text: str, script: str) -> str:
    """The spelling that the model was trained on, for a text in the ISO 15924 script.

    Two-part vowel signs in one piece, nukta letters in two, the script's own danda as the common one, joiners and
    other invisible characters gone (after the old spelling of the Malayalam chillus, which needs one), and the
    colon after a letter of the script as visarga.
    """
    if script == "Mlym":
        text = _CHILLU_AS_TYPED.sub(lambda match: _CHILLU[match[1]], text)
    text = unicodedata.normalize("NFC", text.translate(_INVISIBLE))
    block = _BLOCKS.get(script)
    if block is None:
        return text
    for old, new in _OWN.get(script, {}).items():
        text = text.replace(old, new)
    if block != DEVANAGARI:
        text = text.replace(chr(block + 0x64), "\u0964").replace(chr(block + 0x65), "\u0965")
    letters = f"{chr(block)}-{chr(block + 0x63)}{chr(block + 0x66)}-{chr(block + 0x7F)}"  # all but the dandas
    return re.sub(f"(?<=[{letters}]):", chr(block + 0x03), text)


def to_devanagari(text: str, script: str) -> str:
    """Move the letters of a Brahmi script to Devanagari; text in any other script comes back as it is."""
    return text.translate(_table(script, True)) if script in _BLOCKS else text


def from_devanagari(text: str, script: str) -> str:
    """Move Devanagari letters to a Brahmi script; for any other script the text comes back as it is."""
    return text.translate(_table(script, False)) if script in _BLOCKS else text


@cache
def _table(script: str, to: bool) -> dict[int, int]:
    block = _BLOCKS[script]
    if to:
        return {block + offset: DEVANAGARI + offset for offset in range(_MOVED) if block + offset not in _DANDAS}
    offsets = {offset: _tamil(offset) if script == "Taml" else offset for offset in range(_MOVED)}
    return {
        DEVANAGARI + offset: block + moved for offset, moved in offsets.items() if DEVANAGARI + offset not in _DANDAS
    }


def _tamil(offset: int) -> int:
    """Tamil writes each row of plosives with its first letter (and keeps ja), and sha as ssa."""
    row, column = divmod(offset - 0x15, 5)
    if 0x15 <= offset <= 0x28 and offset != 0x1C and column in (1, 2, 3):
        return 0x15 + 5 * row
    if 0x2B <= offset <= 0x2D:
        return 0x2A
    return 0x37 if offset == 0x36 else offset
