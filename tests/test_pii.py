"""Personal data: what is found, what is not, and that masking is a function of each text alone."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.pii import COLUMNS, Pii, candidates, find, mask
from dsbuild.filters.pii_context import KINDS


def found(text: str, lang: str = "en") -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in find(text, lang)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("write to a.b+c@mail.example.co.in.", "a.b+c@mail.example.co.in"),
        ("लिखें: अजय@उदाहरण.भारत।", "अजय@उदाहरण.भारत"),
        ("联系我们test@example.com谢谢", "test@example.com"),
        ("邮箱：用户@例子.中国的", "用户@例子.中国"),
        ("메일 kim@example.kr로", "kim@example.kr"),
        ("почта пётр@почта.рф, жду", "пётр@почта.рф"),
        ("müller@bücher.de", "müller@bücher.de"),
        ("wide: ａ＠ｂ．org".replace("ａ", "a").replace("ｂ", "b"), "a＠b．org"),
        ("mail@xn--e1afmkfd.xn--p1ai now", "mail@xn--e1afmkfd.xn--p1ai"),
        ("write to me@host.comNext one", "me@host.com"),
        ("<mailto:me@host.com>", "me@host.com"),
    ],
)
def test_addresses_of_every_script(text: str, address: str) -> None:
    assert found(text) == [("email", address)]


@pytest.mark.parametrize(
    "text",
    [
        "https://user@host.com/x and ssh://git@host.org:22/a", "clone git@github.com:owner/name.git", "me@host.com:work/tree", "icon@2x.png",
        "@user says a@b and user @ host.com", "lodash@4.17.21", "name@.com a.@b.org @", "x" * 70 + "@b.org", "f(@a.b)",
    ],
)  # fmt: skip
def test_what_looks_like_an_address(text: str) -> None:
    assert found(text) == []


def test_internet_addresses() -> None:
    assert found("dns 8.8.8.8, [2001:4860:4860::8888]:53.") == [("ip", "8.8.8.8"), ("ip", "2001:4860:4860::8888")]
    assert found("http://1.1.1.1:80/ on ९.९.९.९ (1.0.0.1/24)") == [
        ("ip", "1.1.1.1"),
        ("ip", "९.९.९.९"),
        ("ip", "1.0.0.1"),
    ]
    local = "10.0.0.1 127.0.0.1 192.168.1.9 172.16.0.1 169.254.1.1 fe80::1 ::1 255.255.255.0"
    assert found(local) == [("private_ip", address) for address in local.split()]
    assert found("172.32.0.1 地址8.8.4.4是") == [("ip", "172.32.0.1"), ("ip", "8.8.4.4")]


@pytest.mark.parametrize(
    "text",
    [
        "version 8.8.4.4 is out", "v8.8.4.4", "Version: 8.8.4.4", "संस्करण 8.8.4.4", "Section 1.2.3.4", "§ 1.2.3.4", "1.2.3.45.6", "1.2.3.4.5",
        "1.3.6.1.4.1.311", "Chrome/120.0.0.0 Safari", "8.8.4.256", "08.8.4.4", "2.1.3.4 Methods", "plugins 0.10.18.3-1ubuntu", "版本8.8.4.4",
        "12:30:45 a::b std::vector Fade::Bad", "00:1A:2B:3C:4D:5E", "00:11:22:33:44:55:66:77", "::", "x8.8.8.8 8.8.8.8x 8.8.8.8_",
    ],
)  # fmt: skip
def test_what_looks_like_an_internet_address(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "lang", "phone"),
    [
        ("call +91 98765 43210 now", "", "+91 98765 43210"),
        ("फ़ोन ९८७६५४३२१०", "hi", "९८७६५४३२१०"),
        ("मोबाइल नंबर: 098765-43210", "hi", "098765-43210"),
        ("write to 98765 43210", "mr", "98765 43210"),
        ("(415) 555-2671", "en", "(415) 555-2671"),
        ("電話03-1234-5678まで", "ja", "03-1234-5678"),
        ("Tél. 01 23 45 67 89", "fr", "01 23 45 67 89"),
        ("هاتف ٠١٠٠١٢٣٤٥٦٧", "ar", "٠١٠٠١٢٣٤٥٦٧"),
        ("tel:+442079460958", "xx", "+442079460958"),
        ("+44 (0)20 7946 0958", "de", "+44 (0)20 7946 0958"),
    ],
)
def test_phones(text: str, lang: str, phone: str) -> None:
    assert found(text, lang) == [("phone", phone)]


def test_regions_can_be_said() -> None:
    assert found("98765 43210", "und") == []
    assert [one.kind for one in find("98765 43210", "und", regions=("IN",))] == ["phone"]


@pytest.mark.parametrize(
    "text",
    [
        "from 1999-2005 to 2021", "on 12/05/2021 and 2021-05-12, 12.05.2021 14.30", "1 234 567 890 people", "₹ 9876543210", "Rs. 9876543210 paid",
        "9876543210 रुपये", "12,34,56,789", "ISBN 978-0-306-40615-7 and 9780306406157", "pi is 3.1415926535", "at 40.7128 -74.0060", "order 9876543210",
        "550e8400-e29b-41d4-a716-446655440000", "d41d8cd98f00b204e9800998ecf8427e", "https://x.com/9876543210?a=9876543210", "1622505600000",
        "4 8 15 16 23 42 108 200 300 400", "2010 2011 2012 2013", "id=9876543210", "98765432109876543210", "DOI 10.1000/9876543210", "x9876543210",
        "Matthew 5:3-12, 6:9-13", "GB82 WEST 1234 5698 7654 32",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lang", ["en", "hi"])
def test_numbers_that_are_nobodys(text: str, lang: str) -> None:
    assert found(text, lang) == []


def test_cards_and_papers() -> None:
    text = "कार्ड 4111 1111 1111 1111, 3782-822463-10005, 5555555555554444; आधार २३४१ २३४१ २३४६, PAN ABCPE1234F, SBIN0001234, a.b@oksbi"
    assert [kind for kind, _ in found(text, "hi")] == ["card", "card", "card", "aadhaar", "pan", "ifsc", "upi"]
    assert found("Aadhaar no. 234123412346") == [("aadhaar", "234123412346")]
    assert found("IFSC code: ABCD0123456") == [("ifsc", "ABCD0123456")]
    for text in ("4111 1111 1111 1112", "1234 5678 1234 5670", "2341 2341 2347", "1341 2341 2346", "234123412346", "ABCDE1234F",
                 "ABCPE1234FX", "ABCD0123456", "abcpe1234f", "4111111111111111x", "a-4111111111111111", "a.b@example"):  # fmt: skip
        assert found(text) == [], text


def test_columns() -> None:
    texts = pa.array(["skipped", "a@b.org and 10.0.0.1", "nothing", "é a@b.org c@d.org", "दो १२ तीन"])[1:]
    columns = Pii().score(texts, ["en"] * 4)
    assert set(columns) == set(COLUMNS)
    assert columns["pii_count"].to_pylist() == [1, 0, 2, 0]
    assert columns["pii_private_ip"].to_pylist() == [1, 0, 0, 0]
    assert columns["pii_spans"].to_pylist()[2] == [
        {"kind": "email", "start": 2, "end": 9},
        {"kind": "email", "start": 10, "end": 17},
    ]
    assert candidates(texts).tolist() == [0, 2]
    assert {name: len(column) for name, column in Pii().score(texts[:0], []).items()} == dict.fromkeys(COLUMNS, 0)


def test_odd_texts() -> None:
    for text in ("", "\x00", "\ud800@\ud800.com", "@" * 100, "\x00" * 10 + "@", "a\u0301@b.org", "\U000e0001 8.8.8.8"):
        find(text, "hi")
    assert len(find("a@b.org " * 20_000)) == 20_000
    assert find("1" * 1_000_000 + "@" + "a." * 500_000) == []


WORDS = """a@b.org अजय@उदाहरण.भारत 8.8.8.8 10.0.0.1 fe80::1 ::1 +919876543210 9876543210 ९८७६५४३२१० 4111-1111-1111-1111 2341-2341-2346
    234123412346 ABCPE1234F SBIN0001234 x.y@oksbi phone aadhaar version <EMAIL> < > / :// @ . - : + ( 1 2020 a क 中"""
PIECES = st.sampled_from(
    [*WORDS.split(), "+91 98765 43210", "98765 43210", "4111 1111 1111 1111", "2341 2341 2346", " ", "  ", "\n", "\0"]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=12).map("".join)


@settings(max_examples=120, deadline=None)
@given(TEXTS, st.sampled_from(["en", "hi", "und"]))
def test_masking_twice_is_masking_once(text: str, lang: str) -> None:
    places = find(text, lang)
    assert all(0 <= one.start < one.end <= len(text) and one.kind in KINDS for one in places)
    assert all(one.end <= other.start for one, other in pairwise(places))
    masked = mask(text, places, KINDS)
    assert find(masked, lang) == []
    assert mask(masked, find(masked, lang)) == masked


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS.filter(lambda text: text.isprintable()), max_size=5), st.randoms(use_true_random=False))
def test_rows_do_not_know_each_other(texts: list[str], draw: object) -> None:
    order = list(range(len(texts)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    whole = Pii().score(pa.array(texts, pa.string()), ["hi"] * len(texts))["pii_spans"].to_pylist()
    mixed = (
        Pii().score(pa.array([texts[row] for row in order], pa.string()), ["hi"] * len(texts))["pii_spans"].to_pylist()
    )
    assert mixed == [whole[row] for row in order]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_the_fast_path_skips_nothing(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    if find(clean, "hi"):
        assert candidates(pa.array([clean])).tolist() == [0]
