"""Numbers that name a person, in digits folded to 0-9: payment cards, Aadhaar, PAN, IFSC, phones.

A phone needs a country code, or the form that the language's region writes numbers in, or a word such as "phone" before it; dates, years,
prices, thousands, decimals, ISBN, measures and numbers of orders are none, nor is what stands in a URL or sticks to letters.
Source of what a phone is: Google's libphonenumber and its metadata; check digits: `dsbuild.filters.pii_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import regex

from dsbuild.filters.pii_checks import card_issuer, is_aadhaar, is_isbn13, is_known_bank, is_pan
from dsbuild.filters.pii_context import GLUE, Found, before, compiled, words_before
from dsbuild.filters.pii_words import listed

_URL = compiled(r"(?:[a-z]{2,8}://|www\.)[^\s<>]*+")
_NUMBER = compiled(r"(?<![0-9])[+(]{0,2}[0-9](?:[ \t]?[()./-]?[ \t]?\(?[0-9]){6,}+")
_BARE_CARD = compiled(r"(?<![0-9])[0-9]{14,19}(?![0-9])")
_CARD = compiled(
    r"(?<![0-9])(?:[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9])"
)
_AADHAAR = compiled(r"(?<![0-9+])([2-9][0-9]{3})([ -]?)([0-9]{4})\2([0-9]{4})(?![0-9]|[ -][0-9]{4}(?![0-9]))")
_AADHAAR_WORD = words_before(listed("aadhaar"), r"[^0-9\n]{0,24}+")
_PAN = compiled(rf"(?<!{GLUE})[A-Z]{{5}}[0-9]{{4}}[A-Z](?!{GLUE})")
_IFSC = compiled(rf"(?<!{GLUE})[A-Z]{{4}}0[A-Z0-9]{{6}}(?!{GLUE})")
_IFSC_WORD = words_before(["ifsc", "ifs"], r"(?:\s+code)?[\s:=#.(-]*+")
_PHONE_WORD = words_before(listed("phone"))
_OTHER_WORD = words_before(listed("other_number"))
_UNITS = regex.compile(
    r"\s?(?:%|‰|°|\p{Sc}|(?:kg|km|cm|mm|m|ms|s|gb|mb|kb|hz|khz|mhz|ghz|usd|eur|inr|rs|people|years|रुपये|रु|करोड़|लाख|रूपये|元|円|원)\b)",
    regex.V1 | regex.IGNORECASE,
)
_BOUND = compiled(GLUE)
_CURRENCY = compiled(r"\p{Sc}\s*$")
# Numbers with separators that are no phones: dates, years, thousands, decimals, co-ordinates.
_NO_PHONE = compiled(
    "|".join(
        (
            r".*(?<![0-9])(?:19|20)[0-9]{2}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}(?![0-9]).*",
            r".*(?<![0-9])[0-9]{1,2}[-./][0-9]{1,2}[-./](?:[0-9]{2}|(?:1[5-9]|20)[0-9]{2})(?![0-9]).*",
            r"(?:1[0-9]|20)[0-9]{2}(?:[ ]?[-/.][ ]?|[ ])(?:1[0-9]|20)[0-9]{2}.*",
            r"[1-9][0-9]{0,2}([ .])[0-9]{3}(?:\1[0-9]{3})*",
            r".*(?<![0-9])[0-9]{1,3}\.[0-9]{4,}.*",
            r"[0-9]+\.[0-9]+",
        )
    )
)
# Longer runs of digits and separators are tables, not a phone.
_LONGEST_RUN = 48


def _runs(work: str) -> Iterator[tuple[int, str]]:
    """Runs of digits and what stands between the digits of one number, outside URLs; those that letters stick to are left out."""
    urls = [one.span() for one in _URL.finditer(work)] if "://" in work or "www." in work else []
    place = 0
    for one in _NUMBER.finditer(work):
        start = one.start()
        while place < len(urls) and urls[place][1] <= start:
            place += 1
        if place < len(urls) and urls[place][0] <= start:
            continue
        yield start, one.group()


def _stuck(work: str, start: int, end: int) -> bool:
    """Whether a number is a part of a longer word, number or code."""
    if start and work[start] != "+":
        last = work[start - 1]
        if _BOUND.match(last) or (start > 1 and last in "-_./,:#=" and (_BOUND.match(work[start - 2]) or last in "#=")):
            return True
    if end < len(work):
        after = work[end]
        return bool(_BOUND.match(after)) or (end + 1 < len(work) and after in ".,:-_/" and work[end + 1].isalnum())
    return False


def cards(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """Payment cards and Aadhaar numbers."""
    for start, run in _runs(work):
        if sum(letter.isdigit() for letter in run) < 12:
            continue
        last = 0
        for pattern in (_CARD, _BARE_CARD):
            for one in pattern.finditer(run, last):
                digits = "".join(filter(str.isdigit, one.group()))
                if (
                    len(set(digits)) > 1
                    and card_issuer(digits)
                    and not _stuck(work, start + one.start(), start + one.end())
                ):
                    yield Found("card", start + one.start(), start + one.end())
                    last = one.end()
        for one in _AADHAAR.finditer(run, last):
            first, end = start + one.start(), start + one.end()
            if not is_aadhaar(one[1] + one[3] + one[4]) or _stuck(work, first, end) or work[first - 1 : first] == "+":
                continue
            if one[2] or _AADHAAR_WORD.search(before(work, first)):
                yield Found("aadhaar", first, end)


def codes(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """PAN and IFSC."""
    for one in _PAN.finditer(work):
        if is_pan(one.group()):
            yield Found("pan", one.start(), one.end())
    for one in _IFSC.finditer(work):
        if is_known_bank(one.group()) or _IFSC_WORD.search(before(work, one.start())):
            yield Found("ifsc", one.start(), one.end())


def phones(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """Phones: libphonenumber decides, on runs that can be none of the other things that numbers are."""
    for start, run in _runs(work):
        if len(run) > _LONGEST_RUN:
            continue
        plus = run.lstrip("(").startswith("+")
        if not plus and not regions:
            continue
        said = bool(_PHONE_WORD.search(before(work, start)))
        if not plus and not said and not _may_be_phone(work, start, run):
            continue
        for first, last in _spans(run, "ZZ" if plus else "", regions, said):
            if not _stuck(work, start + first, start + last):
                yield Found("phone", start + first, start + last)


def _may_be_phone(work: str, start: int, run: str) -> bool:
    if _NO_PHONE.fullmatch(run) or is_isbn13("".join(filter(str.isdigit, run))):
        return False
    lead = before(work, start)
    return not (
        _OTHER_WORD.search(lead)
        or _CURRENCY.search(lead)
        or _UNITS.match(work, start + len(run))
        or (run.isdigit() and len(run) < 10)
    )


@lru_cache(maxsize=4096)
def _spans(run: str, international: str, regions: tuple[str, ...], said: bool) -> tuple[tuple[int, int], ...]:
    """Where phones stand in a run of digits, by the first region that knows one."""
    import phonenumbers as library

    level = library.Leniency.VALID if international or said else library.Leniency.STRICT_GROUPING
    for region in (international,) if international else regions:
        found = []
        for one in library.PhoneNumberMatcher(run, region, leniency=level, max_tries=4):
            bare = one.raw_string.isdigit()
            # Ten digits in a row are often something else: only where nothing but a mobile phone begins like that.
            if (
                bare
                and not (said or international)
                and library.number_type(one.number) != library.PhoneNumberType.MOBILE
            ):
                continue
            found.append((one.start, one.end))
        if found:
            return tuple(found)
    return ()
