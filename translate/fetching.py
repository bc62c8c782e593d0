"""Fill the model store: fetch models from the Hugging Face Hub and convert transformers checkpoints."""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dsbuild.errors import EngineError, MissingExtra, RecipeError
from dsbuild.translate.model_folder import INDICTRANS2_PORT, NOTE, ModelFolder
from dsbuild.translate.models import HUB_ID, OPUS, folder_name, lookup, place, store_folder

_TOKENIZER_FILES = ("sentencepiece.bpe.model", "spiece.model", "sentencepiece.model", "source.spm", "target.spm")
_FETCHED = ("*.json", "*.model", "*.spm", "*.txt", "*.SRC", "*.TGT", "*.md", "LICENSE*")


def pull(model: str, *, revision: str = "main", models_dir: str | Path = "") -> Path:
    """Fetch a model from the Hugging Face Hub into the store and return its folder.

    A CTranslate2 folder is ready at once; a transformers checkpoint goes to `checkpoints`, for `convert`.
    Raises `EngineError` without network, for an unknown id and for a repository that holds no model.
    """
    if not HUB_ID.fullmatch(model):
        raise RecipeError(f"{model!r} is not a Hub id (ORG/NAME)")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        files = huggingface_hub.list_repo_files(model, revision=revision)
        weights = _weights(model, files)
        commit = str(huggingface_hub.model_info(model, revision=revision).sha)
        here = (
            place(model, models_dir)
            if weights == ["model.bin"]
            else store_folder(models_dir) / "checkpoints" / folder_name(model)
        )
        huggingface_hub.snapshot_download(model, revision=commit, local_dir=here, allow_patterns=[*_FETCHED, *weights])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:160]
        raise EngineError(
            f"cannot fetch {model} from the Hugging Face Hub ({reason}): with no network, copy its folder here "
            "and pass --model DIR"
        ) from None
    if weights == ["model.bin"]:
        row = lookup(model)
        _write_note(here, {"source": model, "revision": commit, "license": row.license if row else ""})
        ModelFolder(here)
    else:
        (here / NOTE).write_text(json.dumps({"source": model, "revision": commit}), encoding="utf-8")
    return here


def convert(
    model: str, *, out: str | Path = "", quantization: str = "int8", revision: str = "main", models_dir: str | Path = ""
) -> Path:
    """Convert a transformers checkpoint (folder or Hub id) into a CTranslate2 folder of the store, or at `out`.

    quantization: as CTranslate2 names it ("int8", "float32", …). Needs the extra [convert]. Raises `EngineError`
    for what CTranslate2 cannot convert: by name for the transformers form of IndicTrans2 and for mBART.
    """
    if "indictrans2" in model.lower():
        raise EngineError(f"{model}: {INDICTRANS2_PORT}")
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtra("models convert", package, "convert")
    checkpoint, source, commit = _checkpoint(model, revision, models_dir)
    kind = _checkpoint_kind(checkpoint)
    target = (
        Path(out)
        if out
        else place(source, models_dir)
        if HUB_ID.fullmatch(source)
        else store_folder(models_dir) / f"local--{folder_name(source)}"
    )
    if target.exists():
        raise EngineError(f"{target}: exists already; remove it to convert again")
    scratch = target.with_name(f"{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    copies = [name for name in _TOKENIZER_FILES if (checkpoint / name).is_file()]
    try:
        _run_converter(checkpoint, kind, scratch, copies, quantization)
        row = lookup(source)
        note = {
            "source": source,
            "revision": commit,
            "license": row.license if row else "",
            "family": _family(kind),
            "quantization": quantization,
        }
        if (match := OPUS.fullmatch(source)) is not None:
            note["pair"] = f"{match[1]}-{match[2]}"
        _write_note(scratch, {key: value for key, value in note.items() if value})
        if kind == "m2m_100" and ModelFolder(scratch).family == "plain":
            raise EngineError(
                f"{checkpoint}: its tokenizer knows no language codes (a SentencePiece file alone does not); "
                "fetch the whole tokenizer (tokenizer.json or vocab.json) and convert again"
            )
        ModelFolder(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _weights(model: str, files: Sequence[str]) -> list[str]:
    """The files that hold the weights: of a CTranslate2 folder, else safetensors, else PyTorch's."""
    if "model.bin" in files:
        return ["model.bin"]
    for suffix in (".safetensors", ".bin"):
        if found := [name for name in files if name.endswith(suffix) and "/" not in name]:
            return found
    raise EngineError(f"{model}: this repository holds neither a CTranslate2 folder nor a transformers checkpoint")


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    (folder / NOTE).write_text(json.dumps(note, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _checkpoint(model: str, revision: str, models_dir: str | Path) -> tuple[Path, str, str]:
    """Folder, source id and commit of a checkpoint, fetched if it is a Hub id that is not here."""
    path = Path(model).expanduser()
    if not path.is_dir():
        if not HUB_ID.fullmatch(model):
            raise EngineError(f"{model}: no such checkpoint folder")
        path = store_folder(models_dir) / "checkpoints" / folder_name(model)
        if not path.is_dir():
            path = pull(model, revision=revision, models_dir=models_dir)
    if (path / "model.bin").is_file():
        raise EngineError(f"{path}: a CTranslate2 folder already; use it with --model {path}")
    note = json.loads((path / NOTE).read_text(encoding="utf-8")) if (path / NOTE).is_file() else {}
    return path, str(note.get("source", path.name)), str(note.get("revision", ""))


def _checkpoint_kind(checkpoint: Path) -> str:
    if not (checkpoint / "config.json").is_file():
        raise EngineError(f"{checkpoint}: no transformers checkpoint (no config.json)")
    kind = str(json.loads((checkpoint / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    if "indictrans" in kind.lower():
        raise EngineError(f"{checkpoint}: {INDICTRANS2_PORT}")
    if kind not in ("m2m_100", "marian", "t5", "mt5", "umt5"):
        raise EngineError(
            f"{checkpoint}: {kind or 'an unknown'} model; `models convert` takes NLLB and M2M100 (m2m_100), "
            "OPUS-MT (marian), MADLAD (t5)"
        )
    if (
        kind in ("m2m_100", "t5")
        and not (checkpoint / "tokenizer.json").is_file()
        and find_spec("google.protobuf") is None
    ):
        raise MissingExtra(f"reading the SentencePiece tokenizer of {checkpoint.name}", "protobuf", "convert")
    return kind


def _family(kind: str) -> str:
    """NLLB and M2M100 share an architecture, and T5 need not be MADLAD: their vocabulary tells."""
    return "marian" if kind == "marian" else ""


def _run_converter(checkpoint: Path, kind: str, target: Path, copies: list[str], quantization: str) -> None:
    from ctranslate2.converters import TransformersConverter
    from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES

    if quantization not in ACCEPTED_MODEL_TYPES:
        raise RecipeError(f"quantization {quantization!r} is none of {', '.join(ACCEPTED_MODEL_TYPES)}")
    try:
        with _quiet():
            converter: Any = TransformersConverter(str(checkpoint), copy_files=copies)
            load = converter.load_tokenizer
            converter.load_tokenizer = lambda *names, **options: _with_codes(load(*names, **options))
            converter.convert(str(target), quantization=quantization)
    except (ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        if kind == "marian" and "vocabulary of size" in reason:
            reason += "; for a Marian model, <pad> must be the last id"
        raise EngineError(f"{checkpoint}: CTranslate2 cannot convert this checkpoint: {reason}") from None


def _with_codes(tokenizer: Any) -> Any:
    """Give M2M100's tokenizer its language codes back: transformers 5 leaves them out of `get_vocab`."""
    codes: dict[str, int] = getattr(tokenizer, "lang_token_to_id", {})
    if codes:
        whole = {**tokenizer.get_vocab(), **codes}
        tokenizer.get_vocab = lambda: whole
    return tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars and the advice of transformers off the terminal."""
    from transformers.utils import logging

    bars: Any = logging
    bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        bars.enable_progress_bar()
