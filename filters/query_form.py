"""The form of a query: its words and lines, and whether it came in a frame that is none of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import regex

from dsbuild.text import words

COLUMNS = {
    "form_words": "words; in scripts without spaces ideographs, kana or syllables",
    "form_lines": "lines that are not empty",
    "form_framed": "whether it stands in quotation marks, is JSON or markdown, or begins like an item of a list",
    "form_controls": "control characters besides tabs and ends of lines, and characters that stand for what could not be decoded (U+FFFD)",
}
_ITEM = r"(?:[-*•·>]\s+|#+\s|\(?\d{1,3}[.)]\s+)"
_JSON = r"[\[{]\s*[\"'{\[].*[\]}]"
_FENCE = r"```.*|`[^`]+`|\*\*.*\*\*"
_QUOTED = r"\"[^\"]*\"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|「[^」]*」|『[^』]*』|'[^']*'|‘[^’]*’"
_CONTROL = regex.compile(r"[\p{Cc}\uFFFD--[\t\n\r\x0b\x0c\x85]]", regex.VERSION1)
_FRAMED = regex.compile(rf"\s*(?:{_ITEM}.*|(?:{_JSON}|{_FENCE}|{_QUOTED})\s*[.?!]?)\s*", regex.DOTALL)


@dataclass(frozen=True)
class QueryForm:
    """What answers of language models get wrong about a query before it is read."""

    name: ClassVar[str] = "query_form"
    version: ClassVar[int] = 2

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, each as long as `texts`.

        >>> found = QueryForm().score(pa.array(['"who wrote Ulysses"', "who wrote Ulysses"]), ["en", "en"])
        >>> found["form_framed"].to_pylist()
        [True, False]
        """
        given = texts.to_pylist()
        return {
            "form_words": pa.array([len(words(text)) for text in given], pa.int32()),
            "form_lines": pa.array([sum(map(bool, map(str.strip, text.splitlines()))) for text in given], pa.int32()),
            "form_framed": pa.array([_FRAMED.fullmatch(text) is not None for text in given], pa.bool_()),
            "form_controls": pa.array([len(_CONTROL.findall(text)) for text in given], pa.int32()),
        }
