"""Check digits and forms of numbers that name a person: payment cards, Aadhaar, PAN, IFSC, IP addresses, ISBN.

Sources: ISO/IEC 7812-1 annex B (Luhn) and the issuers' published number ranges; J. Verhoeff 1969, "Error detecting decimal codes";
the Unique Identification Authority of India (Aadhaar: twelve digits, the first 2-9, the last a check digit); the Income Tax
Department of India (PAN: AAAAA9999A, the fourth letter says what kind of holder); the Reserve Bank of India (IFSC: four letters of
the bank, a zero, six letters or digits); RFC 6890 (addresses for special purposes); ISO 2108 (ISBN).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from dsbuild.filters.pii_words import listed

# Issuer -> ranges of the first digits (both ends in the range), lengths.
_ISSUERS: tuple[tuple[str, tuple[tuple[str, str], ...], tuple[int, ...]], ...] = (
    ("visa", (("4", "4"),), (16, 19)),
    ("mastercard", (("51", "55"), ("2221", "2720")), (16,)),
    ("amex", (("34", "34"), ("37", "37")), (15,)),
    ("diners", (("300", "305"), ("36", "36"), ("38", "39")), (14,)),
    ("discover", (("6011", "6011"), ("644", "649"), ("65", "65")), (16, 19)),
    ("rupay", (("508", "508"), ("60", "60"), ("81", "82")), (16,)),
    ("jcb", (("3528", "3589"),), (16,)),
    ("unionpay", (("62", "62"),), (16, 17, 18, 19)),
    ("maestro", (("5018", "5018"), ("5020", "5020"), ("5038", "5038"), ("6304", "6304"), ("6759", "6763")), (16,)),
    ("mir", (("2200", "2204"),), (16,)),
)

# The multiplication table of the dihedral group of a pentagon: rotations are 0-4, reflections 5-9.
_PRODUCT = tuple(
    tuple((a + b) % 5 if a < 5 and b < 5 else (a + b - 5) % 5 + 5 if a < 5 else (a - 5 - b) % 5 + 5 if b < 5 else (a - b) % 5 for b in range(10))
    for a in range(10)
)  # fmt: skip
# Verhoeff's permutation, applied once more at each place from the right.
_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

# Kinds of holder: association, body, company, firm, government, Hindu family, local authority, artificial person, person, trust.
_HOLDERS = frozenset("ABCFGHLJPT")


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(sum(divmod(2 * value, 10)) for value in values[1::2])) % 10 == 0


def card_issuer(digits: str) -> str:
    """Who issues cards with such numbers, by their first digits and length; "" if the number can be no card.

    >>> card_issuer("4111111111111111"), card_issuer("378282246310005"), card_issuer("1234567812345670")
    ('visa', 'amex', '')
    """
    for name, ranges, sizes in _ISSUERS:
        if len(digits) in sizes and any(low <= digits[: len(low)] <= high for low, high in ranges) and luhn(digits):
            return name
    return ""


def verhoeff(digits: str) -> bool:
    """Whether the last digit is the Verhoeff check digit of the others.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _PRODUCT[check][_permuted(place % 8, int(digit))]
    return check == 0


@lru_cache(maxsize=80)
def _permuted(times: int, digit: int) -> int:
    for _ in range(times):
        digit = _PERMUTATION[digit]
    return digit


def is_aadhaar(digits: str) -> bool:
    """Whether twelve digits can be an Aadhaar number; all the same digit, and those that read alike backwards, are none."""
    return len(digits) == 12 and digits[0] in "23456789" and digits != digits[::-1] and verhoeff(digits)


def is_pan(text: str) -> bool:
    """Whether ten characters AAAAA9999A can be a PAN.

    >>> is_pan("ABCPE1234F"), is_pan("ABCDE1234F")
    (True, False)
    """
    return len(text) == 10 and text[3] in _HOLDERS and text[5:9] != "0000"


def is_known_bank(ifsc: str) -> bool:
    """Whether the first four letters of an IFSC are the code of a bank that is in the list."""
    return ifsc[:4] in listed("banks")


def address_kind(text: str) -> str:
    """What an IP address is: "ip" where the whole Internet can reach it, "private_ip" for special purposes, "" if it is none.

    >>> address_kind("8.8.8.8"), address_kind("192.168.0.1"), address_kind("fe80::1"), address_kind("1.2.3.256")
    ('ip', 'private_ip', 'private_ip', '')
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "private_ip" if any(address in block for block in _special()) else "ip"


@lru_cache(maxsize=1)
def _special() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """What the whole Internet cannot reach, RFC 6890 and its successors."""
    return tuple(map(ipaddress.ip_network, listed("special_addresses")))


def is_isbn13(digits: str) -> bool:
    """Whether thirteen digits are an ISBN or another article number for books (978, 979) with a right check digit."""
    if len(digits) != 13 or digits[:3] not in ("978", "979"):
        return False
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0
