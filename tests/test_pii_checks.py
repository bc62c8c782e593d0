"""Check digits, each against an independent computation."""

from __future__ import annotations

import random

import pytest

from dsbuild.filters.pii_checks import (
    address_kind,
    card_issuer,
    is_aadhaar,
    is_isbn13,
    is_known_bank,
    is_pan,
    luhn,
    verhoeff,
)

# The dihedral group as permutations of the corners of a pentagon.
ELEMENTS = [tuple((corner + turn) % 5 for corner in range(5)) for turn in range(5)] + [
    tuple((turn - corner) % 5 for corner in range(5)) for turn in range(5)
]
STEP = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def by_symmetries(digits: str) -> bool:
    product = tuple(range(5))
    for place, letter in enumerate(reversed(digits)):
        digit = int(letter)
        for _ in range(place % 8):
            digit = STEP[digit]
        product = tuple(product[corner] for corner in ELEMENTS[digit])
    return product == tuple(range(5))


def test_verhoeff() -> None:
    draw = random.Random(5)
    for _ in range(300):
        digits = "".join(draw.choices("0123456789", k=draw.randint(1, 14)))
        assert sum(verhoeff(digits + check) for check in "0123456789") == 1
        assert verhoeff(digits) == by_symmetries(digits)
    good = next("1428570" + check for check in "0123456789" if verhoeff("1428570" + check))
    for place in range(len(good) - 1):
        if good[place] != good[place + 1]:
            assert not verhoeff(good[:place] + good[place + 1] + good[place] + good[place + 2 :])
    assert verhoeff("123451")


def test_luhn() -> None:
    draw = random.Random(6)
    for _ in range(200):
        digits = "".join(draw.choices("0123456789", k=15))
        total = sum(
            sum(map(int, str(int(digit) * (1 + (place % 2 == 0))))) for place, digit in enumerate(reversed(digits))
        )
        assert luhn(digits + str(-total % 10))


@pytest.mark.parametrize(
    ("digits", "issuer"),
    [("4111111111111111", "visa"), ("5555555555554444", "mastercard"), ("2223003122003222", "mastercard"), ("378282246310005", "amex"),
     ("30569309025904", "diners"), ("6011111111111117", "discover"), ("3530111333300000", "jcb"), ("6521111111111117", ""), ("", ""),
     ("1234567812345670", ""), ("41111111111111", "")],
)  # fmt: skip
def test_issuers(digits: str, issuer: str) -> None:
    assert card_issuer(digits) == issuer


def test_papers() -> None:
    assert is_aadhaar("234123412346")
    assert not is_aadhaar("23412341234")
    assert not is_aadhaar("000000000000")
    assert is_pan("ABCPE1234F")
    assert not is_pan("ABCPE0000F")
    assert is_known_bank("SBIN0001234")
    assert not is_known_bank("ABCD0001234")
    assert is_isbn13("9780306406157")
    assert not is_isbn13("9780306406158")


def test_addresses() -> None:
    assert address_kind("100.64.0.1") == "private_ip"
    assert address_kind("2001:db8::1") == "private_ip"
    assert address_kind("224.0.0.1") == "private_ip"
    assert address_kind("9.9.9.9") == "ip"
    assert address_kind("not one") == ""
