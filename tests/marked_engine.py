"""A translation engine of the tests: every letter outside of tags becomes another one, and a word of the text says what happens to the tags."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from dsbuild.engine import Capabilities, Output, Request, Terms

_TAG = re.compile(r"(< ?/? ?[HT]>)")


def turned(text: str) -> str:
    """The text in the other language; done twice it is the text."""
    parts = _TAG.split(text)
    return "".join(part if _TAG.fullmatch(part) else codecs.encode(part, "rot13") for part in parts)


def _exchanged(text: str) -> str:
    return re.sub("[HT]>", lambda found: {"H>": "T>", "T>": "H>"}[found[0]], text)


class Turn:
    """Letters turned by half the alphabet. A text that holds one of FAULTS comes back with its marks spoiled."""

    name: ClassVar[str] = "turn"
    capabilities: ClassVar[Capabilities] = Capabilities()
    FAULTS: ClassVar[Mapping[str, Callable[[str], str]]] = {
        "losthead": lambda text: re.sub("</?H>", "", text),
        "losttail": lambda text: text.replace("</T>", ""),
        "lostboth": lambda text: re.sub("</?[HT]>", "", text),
        "twice": lambda text: text + " <H>again</H>",
        "behind": lambda text: text.replace("<T>", "<T/>").replace("</T>", "<T>").replace("<T/>", "</T>"),
        "emptied": lambda text: re.sub("<H>(.*?)</H>", r"<H></H>\1", text),
        "inside": lambda text: re.sub("<H>(.*?)</H>", r"\1", text).replace("</T>", "</T></H>").replace("<T>", "<H><T>"),
        "half": lambda text: text.replace("</T>", "< /T"),
        "split": lambda text: text.replace("</H>", "</ H>"),
        "nothing": lambda text: "",
    }

    def __init__(self, swap: str = "") -> None:
        self.swap = swap

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        return {"engine": self.name, "swap": self.swap}

    def terms(self) -> Terms:
        return Terms("CC0-1.0", "", "")

    def check(self, src: str, tgts: Sequence[str]) -> None:
        pass

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        return [len(text.split()) for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        for number, batch in enumerate(batches):
            yield number, [self._one(request.text) for request in batch]

    def _one(self, text: str) -> Output:
        made = turned(text)
        if self.swap and self.swap in text:
            # Names that are copied, with the marks around each other's.
            made = _exchanged(text)
        for word, spoil in self.FAULTS.items():
            if word in text.split():
                made = turned(spoil(text))
        return Output(made) if made.strip() else Output("", "error", error="nothing")

    def close(self) -> None:
        pass
