"""An engine for the tests of `dsbuild.host`: answers in capitals, and fails when a word of the text says so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName


class Upper:
    """Answers in capitals; obeys words: DIE, HANG, FAIL, EXIT, PRINT."""

    capabilities = Capabilities(scores=True, isolated=True, beams=(2, 4), placeholder="<{n}>", max_tokens=7)

    def __init__(self, name: str = "upper", die_at_start: bool = False, always: str = "") -> None:
        if die_at_start:
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "broken":
            raise RecipeError("engine.name: 'broken' is broken")
        self.name = name
        self.always = always

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        return {"engine": self.name, "n": 1, "x": 0.5, "none": None, "pid": os.getpid()}

    def terms(self) -> Terms:
        return Terms("MIT", "here", "note")

    def check(self, src: str, tgts: Sequence[str]) -> None:
        if "xx" in tgts:
            raise UnknownName("language", "xx", ["hi", "mr"])
        if "yy" in tgts:
            raise MissingExtra("upper", "upperlib", "upper")

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        return [len(text.split()) for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        for index in reversed(range(len(batches))):
            yield index, [self._one(request) for request in batches[index]]

    def _one(self, request: Request) -> Output:
        words = [*request.text.split(), self.always]
        if "DIE" in words:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "HANG" in words:
            time.sleep(60)
        if "FAIL" in words:
            raise EngineError("upper: no")
        if "EXIT" in words:
            os._exit(3)
        if "PRINT" in words:
            print("noise on standard output")
            os.write(1, b"more noise\n")
        beam = "" if request.beam is None else f" beam {request.beam}"
        said = "".join(f" {key}={value}" for key, value in request.context.items())
        return Output(f"{request.text.upper()}{beam}{said}", "stop", -0.25, 3, 4, 1)

    def close(self) -> None:
        if note := os.environ.get("UPPER_CLOSED"):
            Path(note).write_text("closed")
