"""Addresses in texts of any script: e-mail, UPI, IP.

An address in letters of other scripts is found like any other (अजय@उदाहरण.भारत). In scripts without spaces an address in Latin letters ends
where they do, and a top-level domain where a known one ends. No e-mail: the user of a URL (https://user@host), of a repository
(git@host:path/name), file names (icon@2x.png). Sources: RFC 5322, 6531, 5890 (addresses), RFC 4291 (IPv6).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsbuild.filters.pii_checks import address_kind
from dsbuild.filters.pii_context import GLUE, UNSPACED, WINDOW, Found, before, compiled, words_before
from dsbuild.filters.pii_words import listed

_LOCAL = compiled(r"(?r)[\p{L}\p{M}\p{N}\u200c\u200d._%+'-]{1,65}")
_LATIN_END = compiled(r"(?r)[\p{Latin}\p{Common}\p{Inherited}]+")
_OTHER_END = compiled(r"(?r)[^\p{Latin}]+")
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}\u200c\u200d-]{0,61}[\p{L}\p{M}\p{N}])?"
_DOMAIN = compiled(
    rf"(?:{_LABEL}\.){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}(?![A-Za-z0-9-])|(?:[a-z]{{2,24}}(?=\p{{Lu}})|[A-Za-z]{{2,24}}(?![\p{{Latin}}0-9@_]|-[A-Za-z0-9]))"
    rf"|(?:{'|'.join(listed('unspaced_endings'))})|[[\p{{L}}\p{{M}}]--[\p{{Latin}}{UNSPACED}]]{{2,24}}(?![\p{{L}}\p{{M}}\p{{N}}@]))"
)
_AUTHORITY = compiled(r"://[^\s/?#]*+")
_REPOSITORY = compiled(r":[\w~][\w.~-]*+/")
_HANDLE = compiled(r"[A-Za-z0-9]{2,24}(?![\w@]|[.-]\w)")
_UPI_LOCAL = compiled(r"(?r)[A-Za-z0-9._-]{2,65}")
_V4 = compiled(rf"(?<!{GLUE}|\.|[A-Za-z]/)(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}(?!{GLUE}|\.[0-9]|-[0-9]+[A-Za-z])")
_V6 = compiled(rf"(?<!{GLUE}|[:.])(?=[0-9A-Fa-f]{{0,4}}:)[0-9A-Fa-f:.]{{3,45}}+(?!{GLUE}|:)")
_BYTES = compiled(r"(?:[0-9A-Fa-f]{2}:){7}[0-9A-Fa-f]{2}")
_VERSION = words_before(listed("version"))
_HEADING = compiled(r"[ \t]+[\p{L}--\p{Ll}]")


def mail(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """E-mail and UPI addresses: what stands around each @."""
    if "@" not in work:
        return
    authorities = [one.span() for one in _AUTHORITY.finditer(work)] if "://" in work else []
    at, free, place = work.find("@"), 0, 0
    while at >= 0:
        while place < len(authorities) and authorities[place][1] <= at:
            place += 1
        if not (place < len(authorities) and authorities[place][0] <= at):
            found = _address(work, at, free)
            if found:
                yield found
                free = found.end
        at = work.find("@", at + 1)


def _address(work: str, at: int, free: int) -> Found | None:
    domain = _DOMAIN.match(work, at + 1)
    if domain is None:
        handle = _HANDLE.match(work, at + 1)
        if handle is None or handle.group().lower() not in listed("upi"):
            return None
        local = _UPI_LOCAL.match(work, free, at)
        if local is None or len(local.group()) > 64 or not local.group()[0].isalnum():
            return None
        return Found("upi", local.start(), handle.end())
    local = _LOCAL.match(work, free, at)
    if local is None or len(local.group()) > 64 or domain.group().rpartition(".")[2].lower() in listed("file_endings"):
        return None
    name = local.group()
    letters = [letter for letter in name if letter.isalpha()]
    end = _LATIN_END if not letters or _LATIN_END.match(letters[-1]) else _OTHER_END
    name = end.match(name).group().rpartition("..")[2]
    while name and not (name[0].isalnum() or name[0] == "_"):
        name = name[1:]
    if not name or name[-1] == "." or (name == "git") or _REPOSITORY.match(work, domain.end()):
        return None
    return Found("email", at - len(name), domain.end())


def internet_v6(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """IPv6 addresses, without times, hardware addresses and names of program parts."""
    if work.count(":") < 2:
        return
    for one in _V6.finditer(work):
        written = one.group().rstrip(".")
        if written.endswith(":") and not written.endswith("::"):
            written = written[:-1]
        if written.count(":") < 2 or _BYTES.fullmatch(written) or not any(letter.isdigit() for letter in written):
            continue
        kind = address_kind(written)
        if kind == "private_ip" or (kind and ("::" not in written or written.count(":") > 2 or len(written) >= 8)):
            yield Found("ip" if kind == "ip" else "private_ip", one.start(), one.start() + len(written))


def internet_v4(work: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """IPv4 addresses, without version numbers and numbers of sections."""
    if work.count(".") < 3:
        return
    for one in _V4.finditer(work):
        kind = address_kind(one.group())
        if not kind or (one.group().startswith("0.") and one.group() != "0.0.0.0"):
            continue
        if not _VERSION.search(before(work, one.start())) and not _is_heading(work, one):
            yield Found("ip" if kind == "ip" else "private_ip", one.start(), one.end())


def _is_heading(work: str, one: Any) -> bool:
    """Whether a line begins with the number and a title follows: 2.1.3.4 Methods."""
    if any(int(part) > 30 for part in one.group().split(".")):
        return False
    line = work[work.rfind("\n", max(0, one.start() - WINDOW), one.start()) + 1 : one.start()]
    first = one.start() <= WINDOW or "\n" in work[one.start() - WINDOW : one.start()]
    return first and not line.strip(" \t#*") and _HEADING.match(work, one.end()) is not None
