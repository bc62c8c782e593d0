"""What translation engines are known to do to letter marks, done to a marked text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

# By name: the text as it comes back; the number says which mark it is done to, where it is done to one.
SPOILED: Mapping[str, Callable[[str, int], str]] = {
    "lost mark": lambda text, n: _nth(text, n, lambda mark: ""),
    "split": lambda text, n: _nth(text, n, lambda mark: mark.replace("/", "/ ").replace("<", "< ")),
    "full-width": lambda text, n: _nth(text, n, lambda mark: mark.replace("<", "＜").replace(">", "＞")),
    "quotes": lambda text, n: text.replace("<", "《").replace(">", "》"),
    "escaped": lambda text, n: text.replace("<", "&lt;").replace(">", "&gt;"),
    "doubled bracket": lambda text, n: _nth(text, n, lambda mark: mark.replace("<", "<<").replace(">", ">>")),
    "doubled mark": lambda text, n: _nth(text, n, lambda mark: mark * 2),
    "doubled mark, space": lambda text, n: _nth(text, n, lambda mark: f"{mark} {mark}"),
    "capital": lambda text, n: text.upper(),
    "slash lost": lambda text, n: _nth(text, n, lambda mark: mark.replace("/", "")),
    "bracket lost": lambda text, n: _nth(text, n, lambda mark: mark[:-1]),
    "first bracket lost": lambda text, n: _nth(text, n, lambda mark: mark[1:]),
    "moved comma": lambda text, n: re.sub(r"(<[a-z]+>)", r"\1, ", text),
    "spaces": lambda text, n: re.sub(r"(<[a-z]+>)", r"\1 ", re.sub(r"(</[a-z]+>)", r" \1", text)),
    "emptied": lambda text, n: re.sub(r"<([a-z]+)>[^<>]*</\1>", r"<\1></\1>", text),
    "turned": lambda text, n: re.sub(r"<([a-z]+)>([^<>]*)</\1>", r"</\1>\2<\1>", text),
    "copied": lambda text, n: re.sub(r"(<([a-z]+)>[^<>]*</\2>)", r"\1 wx \1", text, count=1),
    "all lost": lambda text, n: re.sub(r"</?[a-z]+>", "", text),
    "cut off": lambda text, n: text[: len(text) * n // 7],
}


def _nth(text: str, n: int, change: Callable[[str], str]) -> str:
    marks = list(re.finditer(r"</?[a-z]+>", text))
    if not marks:
        return text
    one = marks[n % len(marks)]
    return text[: one.start()] + change(one[0]) + text[one.end() :]
