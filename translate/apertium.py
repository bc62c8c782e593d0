"""The `apertium` engine: rule-based machine translation from Debian's packages, without any model download.

Facts it rests on (Apertium 3.8): the stream characters must be escaped; a sentence end written as `.[]` closes each line, so
that the tagger does not read two lines as one sentence; `*`, `#` and `@` mark unknown words and failed generation.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from typing import ClassVar

from dsbuild import languages
from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError

# Debian packages of pairs that were read and found usable; eng-hbs is not (its output is mostly marks).
_PACKAGES = {
    ("en", "es"): "apertium-eng-spa", ("es", "en"): "apertium-eng-spa", ("en", "ca"): "apertium-eng-cat", ("ca", "en"): "apertium-eng-cat",
    ("en", "gl"): "apertium-en-gl", ("gl", "en"): "apertium-en-gl", ("en", "eo"): "apertium-eo-en", ("eo", "en"): "apertium-eo-en",
    ("es", "ca"): "apertium-spa-cat", ("ca", "es"): "apertium-spa-cat", ("es", "pt"): "apertium-es-pt", ("pt", "es"): "apertium-es-pt",
}  # fmt: skip

_ESCAPE = re.compile(r"([\\\[\]{}^$/<>])")
_UNESCAPE = re.compile(r"\\(.)")
# Marks of the stream that also stand in ordinary text travel as private-use characters, which pass untouched.
_MARKS = "*#@\n\r\x00"
_MARK = re.compile(r"[*#@](?!zqx\d)")
_END = ".[]"


class ApertiumEngine:
    """Translates files of lines with the `apertium` command; a line that makes it stall or fail is found by halving the file.

    mode: an installed mode such as `eng-cat_valencia` instead of the pair's own; timeout_s: per 1,000 lines, at least that long.
    The words that Apertium does not know are counted per segment (`n_unknown`) and stay as they are in the text.
    """

    name: ClassVar[str] = "apertium"
    capabilities: ClassVar[Capabilities] = Capabilities(placeholder="zqx{n}", batch_tokens=1000)

    def __init__(self, mode: str = "", timeout_s: float = 60.0) -> None:
        self.mode = mode
        self.timeout_s = timeout_s
        self._modes: tuple[str, ...] | None = None
        self._version = ""

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, the versions of Apertium and of its installed pairs, and the mode."""
        if not self._version:
            self._version = self._installed_versions()
        return {"engine": self.name, "version": 2, "packages": self._version, "mode": self.mode}

    def terms(self) -> Terms:
        """Apertium and its language data are GPL; what it translates carries no licence of its own."""
        return Terms("GPL-3.0", "apertium.org", "licence of the program and its dictionaries, not of its output")

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Each direction must be an installed mode."""
        if shutil.which("apertium") is None:
            packages = " ".join(dict.fromkeys(_PACKAGES.get((src, tgt), "") for tgt in tgts)).strip()
            raise EngineError(f"apertium is not installed: apt-get install apertium {packages}".rstrip())
        for tgt in tgts:
            self._mode_of(src, tgt)

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """One for each line: files are sized by lines."""
        return [1] * len(texts)

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """One file for each batch: Apertium's tagger looks across lines in some pairs, so a batch is never regrouped."""
        for number, batch in enumerate(batches):
            yield number, self._translate(list(batch))

    def close(self) -> None:
        """Nothing is held open."""

    def _translate(self, batch: list[Request]) -> list[Output]:
        mode = self._mode_of(batch[0].src, batch[0].tgt)
        lines, problem = self._run(mode, [request.text for request in batch])
        if lines is not None:
            return [_output(request.text, line) for request, line in zip(batch, lines, strict=True)]
        if len(batch) == 1:
            return [Output("", "error", error=problem)]
        middle = len(batch) // 2
        return self._translate(batch[:middle]) + self._translate(batch[middle:])

    def _run(self, mode: str, texts: Sequence[str]) -> tuple[list[str] | None, str]:
        """The translated lines, or None and what went wrong."""
        data = "".join(_ESCAPE.sub(r"\\\1", _hidden(text)) + f"{_END}\n" for text in texts)
        limit = self.timeout_s * max(1.0, len(texts) / 1000)
        try:
            done = subprocess.run(
                ["apertium", "-f", "none", mode],
                input=data.encode("utf-8"),
                capture_output=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"timeout: apertium gave no answer in {limit:.0f} s"
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        if done.returncode != 0 or len(lines) != len(texts) + 1 or not all(line.endswith(_END) for line in lines[:-1]):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            return None, f"engine_error: apertium exit {done.returncode}{', ' + said[-1][:120] if said else ''}"
        return [line.removesuffix(_END) for line in lines[:-1]], ""

    def _mode_of(self, src: str, tgt: str) -> str:
        if self._modes is None:
            listed = subprocess.run(["apertium", "-l"], capture_output=True, text=True, check=False).stdout
            self._modes = tuple(listed.split())
        codes = [(languages.get(code).iso639_3, code) for code in (src, tgt)]
        if self.mode:
            if self.mode not in self._modes:
                raise EngineError(f"apertium has no mode {self.mode!r}; installed: {', '.join(self._modes) or 'none'}")
            named = [part.partition("_")[0] for part in self.mode.split("-", 1)]
            if len(named) != 2 or not all(part in known for part, known in zip(named, codes, strict=True)):
                raise EngineError(
                    f"apertium: the mode {self.mode!r} does not translate {src} -> {tgt}; leave engine.mode out, or name another"
                )
            return self.mode
        for first in codes[0]:
            for second in codes[1]:
                if f"{first}-{second}" in self._modes:
                    return f"{first}-{second}"
        package = _PACKAGES.get((src, tgt))
        advice = (
            f"apt-get install {package}"
            if package
            else f"it serves {', '.join(sorted(f'{a}-{b}' for a, b in _PACKAGES))}"
        )
        raise EngineError(f"apertium has no installed mode {src} -> {tgt}: {advice}")

    def _installed_versions(self) -> str:
        if shutil.which("dpkg-query"):
            listed = subprocess.run(
                ["dpkg-query", "-W", "-f", "${Package}=${Version} ", "apertium*"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            return " ".join(entry for entry in listed.split() if not entry.endswith("="))
        return subprocess.run(["apertium", "-V"], capture_output=True, text=True, check=False).stdout.strip()


def _stand_ins(text: str) -> str:
    """Private-use characters for `_MARKS`, none of which the text holds itself."""
    blocks = ("".join(map(chr, range(start, start + len(_MARKS)))) for start in range(0xF0000, 0xFFFF0, len(_MARKS)))
    return next(block for block in blocks if not any(one in text for one in block))


def _hidden(text: str) -> str:
    # The dictionaries hold letters with their accents in one: a loose accent would be left to the word's translation.
    return unicodedata.normalize("NFC", text).translate(str.maketrans(_MARKS, _stand_ins(text)))


def _output(text: str, line: str) -> Output:
    n_unknown = len(_MARK.findall(line))
    clean = _UNESCAPE.sub(r"\1", re.sub(r"[*#@]", "", line)).translate(str.maketrans(_stand_ins(text), _MARKS))
    return Output(clean, n_src_tokens=len(text.split()), n_tgt_tokens=len(clean.split()), n_unknown=n_unknown)
