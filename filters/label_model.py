"""A fastText language model whatever its labels: `__label__hi` (lid.176) or `__label__hin_Deva` (GlotLID, OpenLID, NLLB).

Labels are read as BCP-47 through `dsbuild.languages`; quantised models run compiled (`subwords.py`), others through the
library. Sources: the model cards of lid.176, GlotLID v3, OpenLID and NLLB (their labels).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import regex

from dsbuild import languages
from dsbuild.errors import EngineError
from dsbuild.filters import closed, subwords
from dsbuild.filters.subwords import Subwords
from dsbuild.filters.utf8 import Bytes, Offsets
from dsbuild.text import SCRIPT_CODES

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_LABEL = "__label__"
_CODE = regex.compile(r"[a-z]{2,3}(?:[_-][A-Z][a-z]{3})?(?:[_-][a-zA-Z]{2,8})*")
_BREAKS = regex.compile(r"[\p{N}\p{Cc}\p{Cs}\s]+")
# Of a library model only the most probable labels are asked for.
_TOP = 6
# Labels that may also mean a language: Serbian and Croatian are also "sh", Dari is "fa", and so on.
_MORE_LABELS = {"sr-Latn": ("sh", "sr"), "hr": ("sh",), "bs": ("sh",), "ar": ("arz",), "fa": ("prs",), "prs": ("fa",), "zh-Hant": ("yue", "wuu"),
                "zh-Hans": ("wuu",), "nb": ("nn",), "uz-Cyrl": ("uz",), "ne": ("dty",), "ckb": ("ku",), "azb": ("az",)}  # fmt: skip
# Labels of lid.176 that mean more than the table says.
_SHARED = {"sr": ("sr-Latn",), "sh": ("hr", "bs")}
# What labels outside the table are confused with.
_NEAR = {
    "wuu": ("zh-Hans", "zh-Hant", "yue"),
    "dty": ("ne", "hi"),
    "bcl": ("tl", "ceb"),
    "mwl": ("pt", "es"),
    "rue": ("uk", "be", "ru"),
}
# Labels of lid.176 whose languages are not in the table: those that are no BCP-47, and those not written in Latin.
_RENAMED = {"als": "gsw", "eml": "egl"}
_SCRIPTS = {"Cyrl": "av bxr ce cv krc kv lez mhr mrj myv os rue sah tyv xal", "Arab": "lrc mzn", "Deva": "dty new", "Beng": "bpy",
            "Geor": "xmf", "Hani": "wuu"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LabelModel:
    """A model that is loaded.

    labels: without `__label__`; meanings: the codes of each label, the usual one first, a code of its own where the
    table has none; written: for each label (rows) and script (columns, as `SCRIPT_CODES`) whether it may be written so.
    """

    labels: tuple[str, ...]
    meanings: tuple[tuple[str, ...], ...]
    written: Flags
    compiled: Subwords | None
    library: Any

    def probabilities(self, texts: Sequence[str], data: Bytes, offsets: Offsets) -> Floats:
        """The probability of each label (columns) for each text (rows); the texts twice, as strings and in UTF-8."""
        if self.compiled is not None:
            return self.compiled.predict(data, offsets, closed.breaks())
        found = np.zeros((len(texts), len(self.labels)), np.float32)
        columns = {label: column for column, label in enumerate(self.labels)}
        names, scores = self.library.predict([_BREAKS.sub(" ", text) for text in texts], k=_TOP)
        for row, (some, values) in enumerate(zip(names, scores, strict=True)):
            for name, value in zip(some, values, strict=True):
                found[row, columns[name.removeprefix(_LABEL)]] = min(1.0, float(value))
        return found

    @lru_cache(maxsize=4096)  # noqa: B019 - few models live, and as long as the process
    def columns(self, code: str) -> list[int]:
        """The labels that may mean a language."""
        more = _MORE_LABELS.get(code, ())
        return [place for place, label in enumerate(self.labels) if label in more or code in self.meanings[place]]

    @lru_cache(maxsize=512)  # noqa: B019
    def group(self, column: int) -> tuple[str, ...]:
        """A label's languages and those that they are confused with, the most usual first."""
        meant = self.meanings[column]
        near = [other for code in meant if code in languages.codes() for other in languages.get(code).confusables]
        return tuple(dict.fromkeys((*meant, *near, *_NEAR.get(self.labels[column], ()))))

    @lru_cache(maxsize=64)  # noqa: B019
    def sole(self, script: str) -> str:
        """The one language that is written in a script, for all that the table and the model know; "" if there are several."""
        place = SCRIPT_CODES.index(script)
        able = {code for code in languages.codes() if script in languages.get(code).unicode_scripts}
        able |= {meant[0] for meant, scripts in zip(self.meanings, self.written, strict=True) if scripts[place]}
        return able.pop() if len(able) == 1 else ""


@lru_cache(maxsize=4)
def load(path: str) -> LabelModel:
    """Load a model file; anything but a fastText model of languages is an `EngineError` that says what the file is."""
    file = Path(path)
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no such file"
        raise EngineError(f"{path}: {what}; give a fastText model file (.bin or .ftz)")
    try:
        compiled = subwords.read(file)
    except (struct.error, ValueError, IndexError, OSError) as error:
        raise EngineError(f"{path}: not a whole fastText model ({error}); fetch the file again") from error
    library: Any = None if compiled else _library(path)
    named = [_LABEL + label for label in compiled.labels] if compiled else list(library.get_labels())
    labels = tuple(label.removeprefix(_LABEL) for label in named)
    coded = [label for label, name in zip(labels, named, strict=True) if name != label and _CODE.fullmatch(label)]
    if not named or 2 * len(coded) <= len(labels):
        shown = repr(named[0]) if named else "none"
        raise EngineError(f"{path}: labels such as {shown}: a language model has {_LABEL}xx or {_LABEL}xxx_Xxxx")
    with_scripts = sum("_" in label for label in labels) * 2 > len(labels)
    meanings = tuple(_meant(label, with_scripts) for label in labels)
    written = np.array([_written(label, meant) for label, meant in zip(labels, meanings, strict=True)])
    return LabelModel(labels, meanings, written, compiled, library)


def _library(path: str) -> Any:
    import fasttext

    # Silences a notice about the return type of load_model that fastText prints to standard error.
    fasttext.FastText.eprint = lambda *_: None
    try:
        return fasttext.load_model(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EngineError(f"{path}: not a fastText model ({error}); give a .bin or .ftz file with labels") from error


def _meant(label: str, with_scripts: bool) -> tuple[str, ...]:
    if not with_scripts:
        usual = languages.find(label, "lid176")
        if usual is not None:
            sharing = (code for code in languages.codes() if languages.get(code).lid176 == label)
            return tuple(dict.fromkeys((usual.code, *sharing, *_SHARED.get(label, ()))))
        if label in _RENAMED:
            return (_RENAMED[label],)
    return tuple(language.code for language in languages.find_all(label)) or (label.replace("_", "-"),)


def _written(label: str, meant: Sequence[str]) -> Flags:
    """In which scripts a label's languages are written: as the table says, else as the label says, else in Latin."""
    known = [languages.get(code) for code in meant if code in languages.codes()]
    scripts = {script for language in known for script in language.unicode_scripts}
    if label in ("sr", "sh"):
        scripts |= {"Latn", "Cyrl"}
    if not scripts:
        said = label.partition("_")[2]
        scripts = {script for script, listed in _SCRIPTS.items() if label in listed.split()} or {said or "Latn"}
        if not scripts <= set(SCRIPT_CODES):
            scripts = set(SCRIPT_CODES)
    return np.array([script in scripts for script in SCRIPT_CODES])
