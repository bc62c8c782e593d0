"""The model store: known models, and what finds, describes and recommends them (`fetching` fills it).

A store is a folder with one CTranslate2 folder per model (`ORG--NAME`), each with a `dsbuild-model.json` that
says family, source, revision and licence; transformers checkpoints wait in its `checkpoints` folder.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dsbuild import languages
from dsbuild.engine import Terms
from dsbuild.errors import EngineError, UnknownName
from dsbuild.translate.model_folder import INDICTRANS2_PORT, ModelFolder

DEFAULT = "facebook/nllb-200-distilled-600M"

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
OPUS = re.compile(r"Helsinki-NLP/opus-mt-([a-z]{2,3})-([a-z]{2,3})")
_INDIC = frozenset(
    [
        "as",
        "bn",
        "brx",
        "doi",
        "gom",
        "gu",
        "hi",
        "kn",
        "ks",
        "mai",
        "ml",
        "mni",
        "mr",
        "ne",
        "or",
        "pa",
        "sa",
        "sat",
        "sd",
        "ta",
        "te",
        "ur",
    ]
)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A row of `known_models.yaml`. languages: a set's name or pairs; direction: of IndicTrans2 models."""

    id: str
    family: str
    license: str
    parameters_m: int
    size_gb: float
    languages: str | tuple[str, ...]
    form: str
    note: str = ""
    direction: str = ""

    def serves(self, src: str, tgt: str) -> bool:
        """Whether the model is known to translate from `src` to `tgt` (BCP-47)."""
        if self.direction:
            sides = (
                {"en": src == "en", "indic": _base(src) in _INDIC},
                {"en": tgt == "en", "indic": _base(tgt) in _INDIC},
            )
            first, second = self.direction.split("-")
            return sides[0][first] and sides[1][second]
        if isinstance(self.languages, tuple):
            return f"{src}-{tgt}" in self.languages
        if self.languages == "madlad":
            return True
        codes = [languages.get(code) for code in (src, tgt)]
        return all(code.nllb if self.languages == "flores200" else code.m2m100 for code in codes)


@dataclass(frozen=True, slots=True)
class Stored:
    """A model of the store: its id, folder, family, licence, bytes on disk."""

    id: str
    path: Path
    family: str
    license: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model that is a better or freer choice for some of the wanted targets, and why."""

    id: str
    license: str
    tgts: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Description:
    """What `dsbuild models show` prints: facts in order, and what is to be done next ("" if nothing)."""

    facts: dict[str, str] = field(default_factory=dict)
    todo: str = ""


@cache
def known() -> tuple[KnownModel, ...]:
    """The table of known models, in its order."""
    text = importlib.resources.files("dsbuild.translate").joinpath("known_models.yaml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = yaml.safe_load(text)
    for row in rows:
        if isinstance(row["languages"], list):
            row["languages"] = tuple(row["languages"])
    return tuple(KnownModel(**row) for row in rows)


def lookup(model_id: str) -> KnownModel | None:
    """The row of a model id, None for one that is not in the table."""
    wanted = "Helsinki-NLP/opus-mt-{src}-{tgt}" if OPUS.fullmatch(model_id) else model_id
    return next((row for row in known() if row.id == wanted), None)


def store_folder(models_dir: str | Path = "") -> Path:
    """The store: the folder that is named, else `dsbuild/models` in the user's cache."""
    if models_dir:
        return Path(models_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsbuild" / "models"


def stored(models_dir: str | Path = "") -> list[Stored]:
    """The models of the store, sorted by id. A folder that is no usable model is left out."""
    rows = []
    for path in sorted(store_folder(models_dir).glob("*--*")):
        with contextlib.suppress(EngineError):
            folder = ModelFolder(path)
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            rows.append(Stored(path.name.replace("--", "/", 1), path, folder.family, terms(folder).license, size))
    return rows


def find(model: str, models_dir: str | Path = "") -> Path:
    """The folder of a model: a path, or an id in the store. Raises `EngineError` with the command that gets it."""
    as_path = Path(model).expanduser()
    if as_path.is_dir():
        return as_path
    if not HUB_ID.fullmatch(model):
        raise EngineError(f"{model}: no such model folder")
    path = place(model, models_dir)
    if path.is_dir():
        return path
    row = lookup(model)
    if row is not None and row.form == "folder":
        raise EngineError(f"model {model} is not in {path.parent}: {INDICTRANS2_PORT}")
    raise EngineError(
        f"model {model} is neither a folder nor in the model store {path.parent}: with network, run "
        f"`dsbuild models convert {model}` (or `dsbuild models pull ID` for a ready CTranslate2 folder); "
        "with none, --engine memory, apertium or mini"
    )


def show(model: str, models_dir: str | Path = "") -> Description:
    """Everything known of a model: row of the table, folder, family, licence, digest, sizes."""
    row = lookup(model)
    try:
        folder = ModelFolder(find(model, models_dir))
    except EngineError as error:
        if row is None:
            if HUB_ID.fullmatch(model) and not Path(model).exists():
                raise UnknownName("model", model, [entry.id for entry in known()]) from None
            raise
        facts = {
            "id": model,
            "family": row.family,
            "license": row.license,
            "size": f"{row.size_gb:g} GB (int8)",
            "note": row.note,
        }
        return Description(facts, str(error))
    said = terms(folder)
    facts = {
        "id": str(folder.note.get("source", "")) or model,
        "folder": str(folder.path),
        "family": folder.family,
        "license": said.license or "not stated",
        "note": said.note,
        "revision": str(folder.note.get("revision", "")),
        "quantization": str(folder.note.get("quantization", "")),
        "source tokens": str(len(folder.source_vocabulary)),
        "target tokens": str(len(folder.target_vocabulary)),
        "sha256": folder.digest(),
    }
    return Description({key: value for key, value in facts.items() if value})


def terms(folder: ModelFolder) -> Terms:
    """Licence and origin of a model folder: its note, else the table; "" where neither says it."""
    source = str(folder.note.get("source", ""))
    row = lookup(source) or lookup(folder.path.name.replace("--", "/", 1))
    source = source or (row.id if row else "")
    return Terms(str(folder.note.get("license", "")) or (row.license if row else ""), source, row.note if row else "")


def recommend(src: str, tgts: Sequence[str], model: str = "") -> list[Recommendation]:
    """Known models that serve some targets better than `model`, or under a freer licence.

    Made-for-the-languages first (IndicTrans2), then small single pairs (OPUS-MT), then the free many-to-many models.
    """
    chosen = lookup(model or DEFAULT)
    free_already = chosen is not None and "NC" not in chosen.license
    why = {
        "indictrans2": "made for the languages of India, and free for any use",
        "marian": "small and fast, and free for any use with attribution",
        "m2m100": "free for any use",
        "madlad": "free for any use; large",
    }
    rows = sorted(
        (row for row in known() if row.family in why), key=lambda row: (list(why).index(row.family), row.parameters_m)
    )
    found = []
    for row in rows:
        served = tuple(tgt for tgt in tgts if row.serves(src, tgt))
        same = chosen is not None and row.family == chosen.family
        if not served or same or (free_already and row.family != "indictrans2"):
            continue
        if row.family == "marian":
            found += [
                Recommendation(row.id.format(src=src, tgt=tgt), row.license, (tgt,), why[row.family]) for tgt in served
            ]
        else:
            found.append(Recommendation(row.id, row.license, served, why[row.family]))
    return found


def _base(lang: str) -> str:
    return lang.split("-")[0]


def folder_name(model: str) -> str:
    """The store's folder name of a Hub id, or the last part of a path."""
    return model.strip("/").split("/")[-1] if not HUB_ID.fullmatch(model) else model.replace("/", "--")


def place(model: str, models_dir: str | Path) -> Path:
    """Where the store keeps a model."""
    return store_folder(models_dir) / folder_name(model)
