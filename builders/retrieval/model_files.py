"""The files of a model that is loaded with torch: where they are, and a digest that says which model it is."""

from __future__ import annotations

import re
from pathlib import Path

from dsbuild.digests import file_sha256
from dsbuild.errors import EngineError
from dsbuild.stage import digest

# Files of a model's folder that do not change what it computes with torch.
_ASIDE = re.compile(
    r"(^|/)\.|(^|/)(onnx|openvino|coreml)/|\.(md|h5|msgpack|ot|onnx|png|jpg|gitattributes)$|(^|/)LICENSE", re.IGNORECASE
)
_WEIGHTS = (".safetensors", ".bin", ".npy", ".pt", ".txt")


def model_files(path: str, revision: str = "", what: str = "model") -> tuple[Path, str]:
    """The folder of a model, fetched from the hub if it is none here, and the digest of its files by name.

    `EngineError` for what is neither a folder nor a model that can be fetched, and for a folder without weights.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        folder = _fetched(path, revision, what)
    names = sorted(
        name
        for file in folder.rglob("*")
        if file.is_file() and not _ASIDE.search(name := file.relative_to(folder).as_posix())
    )
    if not any(name.endswith(_WEIGHTS) for name in names):
        raise EngineError(
            f"{what} {path}: no weights (*.safetensors, *.bin) in that folder; name the folder of a model"
        )
    return folder, digest(*(part for name in names for part in (name, file_sha256(folder / name, None))))


def _fetched(path: str, revision: str, what: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    aside = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.onnx"]
    try:
        return Path(snapshot_download(path, revision=revision or None, ignore_patterns=aside))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(
            f"{what} {path}: neither a folder nor a model that can be fetched ({first[:200]}); name the folder of a model"
        ) from None
