"""What the searches for personal data share: what a find is, and what stands around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import regex

Kind = Literal["email", "ip", "private_ip", "phone", "card", "aadhaar", "pan", "ifsc", "upi"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Scripts that are written without spaces, and Korean, whose particles stick to what they follow.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# What sticks to a number or an address: a letter of a script that writes spaces, a mark, a digit.
GLUE = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]"
# How far back a word may stand that says what a number is, in code points.
WINDOW = 40


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data: what it is and where it stands, as half-open code points of the text as it came."""

    kind: Kind
    start: int
    end: int


def compiled(pattern: str) -> Any:
    """A pattern in the dialect with set operations."""
    return regex.compile(pattern, regex.V1)


_THEN = r"[\s:：=#.(\[-]*+(?:(?:no|nos|number|numbers|nr|num|is|at|on|us|नंबर|नम्बर|क्रमांक|号码|番号)\b[\s:：=#.(\[-]*+)?"


def words_before(entries: Iterable[str], then: str = _THEN) -> Any:
    """A pattern for a text that ends in one of the words (`*`: and more letters) and what may stand between it and a number."""
    parts = [regex.escape(word.rstrip("*")) + (r"[\p{L}\p{M}]{0,12}" if word.endswith("*") else "") for word in entries]
    return regex.compile(
        rf"(?<!{GLUE})(?:{'|'.join(sorted(parts, key=len, reverse=True))}){then}$", regex.V1 | regex.IGNORECASE
    )


def before(work: str, start: int) -> str:
    """What stands before a place, in the same line and after the last placeholder."""
    window = work[max(0, start - WINDOW) : start]
    return window[max(window.rfind(">"), window.rfind("\n")) + 1 :]
