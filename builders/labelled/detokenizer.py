"""Text as people write it from its tokens: where a space stands between two tokens, and where none does.

The rules of the Moses detokenizer (Koehn et al. 2007, `detokenizer.perl`), with quotes and brackets by their Unicode kinds: nothing is changed
but white space, so that every token stands in the text as it is. What tokens do not say (hyphens, dashes, slashes) keeps its spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Signs that lean on the word before them, or on the one after.
_ENDS = frozenset(",.;:!?%…।॥،؛؟、。，！？：；")
_BEGINS = frozenset("¿¡")
_CURRENCY = frozenset("$£€¥₹")
# `can n't`, `Ada 's`; `l' eau`, `dell' acqua`.
_CLITIC = re.compile(r"n['’]t|['’](?:s|re|ve|ll|d|m|em)", re.IGNORECASE)
_ELISION = re.compile(r".*[^\W\d_]['’]", re.DOTALL)
# A quotation mark that is written alike on both sides, or on the other side in some languages: what opened before it decides.
_CLOSES_AFTER = {"“": "„", "«": "»", "‹": "›", "‘": "‚"}
_OPENS_BEFORE = {"»": "«", "›": "‹"}
_TURNING = ('"', "'")


def spaces_after(tokens: Sequence[str]) -> list[bool]:
    """For each token whether a space follows it; the last one has none.

    >>> tokens = "Ada ( 9 ) ca n’t go .".split()
    >>> "".join(token + " " * space for token, space in zip(tokens, spaces_after(tokens)))
    'Ada (9) can’t go.'
    """
    made: list[bool] = []
    waiting: list[str] = []
    leaning = True
    for place in range(len(tokens)):
        before, after = _leans(tokens, place, waiting)
        if place:
            made.append(not (leaning or before))
        leaning = after
    return [*made, False][: len(tokens)]


def _leans(tokens: Sequence[str], place: int, waiting: list[str]) -> tuple[bool, bool]:
    """Whether no space stands before the token, and none after it; waiting: quotation marks that are open, changed here."""
    token = tokens[place]
    if token in ("``", "''"):
        return token == "''", token == "``"
    if token == "'" and not waiting.count("'") and place and tokens[place - 1][-1:] in ("s", "S"):
        return True, False  # the players' own
    if len(token) == 1 and (token in _TURNING or unicodedata.category(token) in ("Pi", "Pf") or token == "„"):
        return _quoted(tokens, place, waiting)
    if _CLITIC.fullmatch(token):
        return True, False
    if token in _CURRENCY:
        # `$ 5`, and in other languages `5 $`.
        return False, "".join(tokens[place + 1 : place + 2])[:1].isdigit() and not (
            place and tokens[place - 1][-1:].isdigit()
        )
    kinds = {unicodedata.category(char) for char in token}
    ends = all(char in _ENDS for char in token) or kinds == {"Pe"}
    begins = all(char in _BEGINS for char in token) or kinds == {"Ps"}
    return ends, begins or _ELISION.fullmatch(token) is not None


def _quoted(tokens: Sequence[str], place: int, waiting: list[str]) -> tuple[bool, bool]:
    token = tokens[place]
    if token in _TURNING:
        closes = token in waiting
        opener = token
    else:
        opener = _CLOSES_AFTER.get(token, "")
        other = _OPENS_BEFORE.get(token, "")
        closes = opener in waiting if opener else unicodedata.category(token) == "Pf"
        if other:
            # German and Danish turn guillemets round: one that another follows, and none precedes, opens.
            closes = other in waiting or other not in tokens[place + 1 :]
            opener = other
    if closes:
        if opener in waiting:
            waiting.remove(opener)
        return True, False
    waiting.append(token)
    return False, True
