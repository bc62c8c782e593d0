"""Read a CTranslate2 model folder: what kind of model it holds, its vocabularies, its digest.

Nothing is loaded but the table of variables at the head of `model.bin`. A folder of the wrong kind is one
`EngineError` that says what it is and what turns it into the right kind.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from dsbuild.errors import EngineError

FAMILIES = ("nllb", "m2m100", "marian", "madlad", "indictrans2", "plain")
NOTE = "dsbuild-model.json"  # family, source id, revision, licence; written by `dsbuild models pull|convert`

_TRANSLATORS = {"TransformerSpec", "TransformerBase", "TransformerBig"}
_OTHERS = {
    "TransformerDecoderSpec": "a language model (decoder only)",
    "TransformerEncoderSpec": "an encoder without a decoder",
    "WhisperSpec": "a speech model",
}
_FLORES = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_CHECKPOINTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
)
_DIGESTED = (".bin", ".json", ".txt", ".model", ".spm", ".SRC", ".TGT")

_digests: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a `model.bin`: format version, specification name and the shape of every variable."""

    version: int
    spec: str
    shapes: dict[str, tuple[int, ...]]


class ModelFolder:
    """A folder with a CTranslate2 translation model.

    family: "" to find it out. Raises `EngineError` when the folder holds no such model, one of another family
    than said, or one without the files that its family needs.
    """

    def __init__(self, path: Path, family: str = "") -> None:
        self.path = path
        self._refuse_other_kinds()
        self.header = read_header(path / "model.bin")
        if self.header.spec not in _TRANSLATORS:
            kind = _OTHERS.get(self.header.spec, f"a {self.header.spec!r}")
            raise EngineError(f"{path}: this CTranslate2 folder holds {kind}, not a translation model")
        self.note: dict[str, Any] = _json(path / NOTE) or {}
        found = self._find_family()
        said = family or str(self.note.get("family", ""))
        if said and said not in FAMILIES:
            raise EngineError(f"{path}: no model family {said!r}; known: {', '.join(FAMILIES)}")
        if said and said != found and said != "plain":
            raise EngineError(
                f"{path}: said to be of the {said} family, but its files and vocabulary are of the {found} family"
            )
        self.family = said or found

    @cached_property
    def source_vocabulary(self) -> frozenset[str]:
        """The source tokens."""
        return self._vocabulary("source")

    @cached_property
    def target_vocabulary(self) -> frozenset[str]:
        """The target tokens."""
        return self._vocabulary("target")

    @property
    def adds_source_eos(self) -> bool:
        """Whether CTranslate2 itself puts the end token after the source."""
        return bool(self.config.get("add_source_eos", False))

    @property
    def eos(self) -> str:
        """The end token."""
        return str(self.config.get("eos_token", "</s>"))

    @property
    def unk(self) -> str:
        """The token that stands for every unknown one."""
        return str(self.config.get("unk_token", "<unk>"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.json`, empty for models older than it."""
        return _json(self.path / "config.json") or {}

    def positions(self, side: str) -> int | None:
        """Number of positions that the model's "encoder" or "decoder" has; None: it makes them as needed."""
        shape = self.header.shapes.get(f"{side}/position_encodings/encodings")
        return shape[0] if shape else None

    def file(self, *names: str) -> Path | None:
        """The first of the named files in the folder, in its `vocab` folder or in the one beside it."""
        for folder in (self.path, self.path / "vocab", self.path.parent / "vocab"):
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        return None

    def need_file(self, *names: str) -> Path:
        """As `file`, but a missing one is an `EngineError` that says where it comes from."""
        if (found := self.file(*names)) is not None:
            return found
        origin = self.note.get("source") or "the model that it was converted from"
        raise EngineError(f"{self.path}: {self.family} model without {' or '.join(names)}; copy it here from {origin}")

    def digest(self) -> str:
        """SHA-256 over the model, its vocabularies and its SentencePiece models: names and contents, no paths."""
        files = {
            file.name: file for file in sorted(self.path.iterdir()) if file.suffix in _DIGESTED and file.name != NOTE
        }
        for name in ("model.SRC", "model.TGT"):
            if self.family == "indictrans2" and (found := self.file(name)) is not None:
                files[name] = found
        said = [f"{name} {_sha256(files[name])}" for name in sorted(files)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def _refuse_other_kinds(self) -> None:
        path = self.path
        if not path.is_dir():
            raise EngineError(f"{path}: no such model folder")
        config = _json(path / "config.json") or {}
        kind = str(config.get("model_type", "")) or "unknown type"
        if (path / "model.bin").is_file():
            return
        if "indictrans" in kind.lower():
            raise EngineError(f"{path}: {INDICTRANS2_PORT}")
        if any((path / name).exists() for name in _CHECKPOINTS):
            raise EngineError(
                f"{path}: a transformers checkpoint ({kind}), not a CTranslate2 model: "
                f"run `dsbuild models convert {path}`"
            )
        if any(path.glob("*.npz")):
            raise EngineError(
                f"{path}: a Marian model in its own format; take its transformers form "
                "(Helsinki-NLP/opus-mt-…) and `dsbuild models convert` that"
            )
        raise EngineError(f"{path}: no CTranslate2 model here (no model.bin)")

    def _find_family(self) -> str:
        if self.file("model.SRC") is not None:
            return "indictrans2"
        source = self.source_vocabulary
        if sum(1 for token in source if _FLORES.fullmatch(token)) >= 2:
            return "nllb"
        if sum(1 for token in source if token.startswith("__") and token.endswith("__")) >= 2:
            return "m2m100"
        if sum(1 for token in source if token.startswith("<2") and token.endswith(">")) >= 2:
            return "madlad"
        if self.config.get("model_type") == "m2m_100" or self.note.get("family") in ("nllb", "m2m100"):
            raise EngineError(
                f"{self.path}: an NLLB or M2M100 model whose vocabulary has no language codes (converted with the "
                "SentencePiece file alone, so every prefix would be an unknown token): convert it again with the whole "
                "tokenizer"
            )
        return "marian" if (self.path / "source.spm").is_file() and (self.path / "target.spm").is_file() else "plain"

    def _vocabulary(self, side: str) -> frozenset[str]:
        for stem in (f"{side}_vocabulary", "shared_vocabulary"):
            if (file := self.path / f"{stem}.json").is_file():
                tokens = json.loads(file.read_text(encoding="utf-8"))
                return frozenset(str(token) for token in tokens)
            if (file := self.path / f"{stem}.txt").is_file():
                return frozenset(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        raise EngineError(
            f"{self.path}: model.bin without a {side} vocabulary ({side}_vocabulary.json or shared_vocabulary.json)"
        )


INDICTRANS2_PORT = (
    "the transformers form of IndicTrans2 is its own code, which CTranslate2's converter does not know; take "
    "AI4Bharat's ready CTranslate2 folder (model.bin with vocab/model.SRC and vocab/model.TGT) and pass it "
    "with --model DIR"
)


def read_header(file: Path) -> Header:
    """Read the table of variables of a `model.bin`, without the weights.

    The layout is that of `ctranslate2.specs.model_spec` (written from format 4 on as type and bytes, before as
    item size and items). Raises `EngineError` if the file is something else or is cut short.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            version = _number(stream, "I")
            if not 1 <= version <= 64:
                raise ValueError
            spec = _string(stream) if version >= 2 else "TransformerBase"
            _number(stream, "I")
            shapes: dict[str, tuple[int, ...]] = {}
            for _ in range(_number(stream, "I")):
                name = _string(stream)
                shapes[name] = tuple(_number(stream, "I") for _ in range(_number(stream, "B")))
                item = _number(stream, "B")
                n_bytes = _number(stream, "I") * (1 if version >= 4 else item)
                if stream.seek(n_bytes, 1) > size:
                    raise EngineError(
                        f"{file}: cut short ({size} bytes, more were announced): fetch or convert it again"
                    )
            for _ in range(_number(stream, "I") if version >= 3 and stream.tell() < size else 0):
                alias = _string(stream)  # equal variables are written once
                shapes[alias] = shapes[_string(stream)]
            return Header(version, spec, shapes)
    except (struct.error, ValueError, KeyError):
        raise EngineError(f"{file}: not a CTranslate2 model file") from None


def _number(stream: BinaryIO, kind: str) -> int:
    (value,) = struct.unpack(f"<{kind}", stream.read(struct.calcsize(f"<{kind}")))
    return int(value)


def _string(stream: BinaryIO) -> str:
    text = stream.read(_number(stream, "H")).decode("utf-8")
    if not text.endswith("\0") or not text[:-1].isprintable():
        raise ValueError(text)
    return text[:-1]


def _json(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{file}: not valid JSON ({error})") from None
    return said if isinstance(said, dict) else None


def _sha256(file: Path) -> str:
    stat = file.stat()
    key = (str(file.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with file.open("rb") as stream:
            _digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _digests[key]
