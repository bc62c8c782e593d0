"""Dense encoders of the sentence-transformers kind as retrievers: any model folder or hub name, with prompts for both sides."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import exact_search
from dsbuild.builders.retrieval.model_files import model_files
from dsbuild.builders.retrieval.retriever import Collection
from dsbuild.builders.retrieval.vector_cache import Encoding, VectorCache
from dsbuild.builders.retrieval.vector_index import Floats, VectorRetriever
from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName

SIMILARITIES = ("cosine", "dot")
# Names under which models keep their prompts, in the order in which sentence-transformers looks for them.
_PROMPTS = {"query": ("query",), "passage": ("document", "passage", "corpus")}


@dataclass(eq=False)
class Dense(VectorRetriever):
    """Cosine (or dot product) of vectors by a sentence-transformers model.

    path: a folder or a name on the hub; revision: of a hub model; query_prompt, passage_prompt: texts put before queries and documents, or
    names of prompts of the model (query_prompt_name, …); without either, the model's own prompts for queries and documents. max_length: tokens
    at which texts are cut, 0 for the model's own; device: "" picks one; similarity: "" is the model's own. Vectors are kept for later runs in
    the store, by the digest of the model's files, prompt, length and text.
    """

    path: str = ""
    revision: str = ""
    query_prompt: str = ""
    passage_prompt: str = ""
    query_prompt_name: str = ""
    passage_prompt_name: str = ""
    max_length: int = 0
    batch: int = 32
    device: str = ""
    similarity: str = ""
    trust_remote_code: bool = False

    # The same text in another batch may differ in the last bits.
    REPEATS: ClassVar[bool] = False
    GIVEN: ClassVar[dict[str, str]] = {"path": "model"}
    EXAMPLE: ClassVar[str] = "intfloat/multilingual-e5-small"

    def __post_init__(self) -> None:
        self.name = "dense"
        super().__post_init__()
        if self.similarity not in ("", *SIMILARITIES):
            raise UnknownName("similarity of retriever dense", self.similarity, SIMILARITIES)
        if self.batch < 1 or self.max_length < 0:
            raise RecipeError(f"retriever.dense: batch={self.batch}, max_length={self.max_length}: at least 1 and 0")
        self.name = "dense:" + re.sub(r"[^\w.-]+", "_", Path(self.path).expanduser().name)
        self._keep: Path | None = None
        self._scratch: Path | None = None
        self._model: Any = None
        self._found: tuple[Path, str] | None = None
        self._own: dict[str, Any] | None = None

    def keep_in(self, folder: Path) -> None:
        """Name the folder for vectors that serve later runs."""
        self._keep = folder

    def _files(self) -> tuple[Path, str]:
        """The model's folder and the digest of its files."""
        if self._found is None:
            self._found = model_files(self.path, self.revision, "retriever.dense")
        return self._found

    def _settings(self) -> dict[str, Any]:
        """What the model's own configuration says."""
        if self._own is None:
            path = self._files()[0] / "config_sentence_transformers.json"
            try:
                self._own = json.loads(path.read_text("utf-8")) if path.is_file() else {}
            except ValueError as error:
                raise EngineError(f"{path}: damaged ({error})") from None
        return self._own

    def prompt(self, side: str) -> str:
        """The text that is put before each text of a side, `query` or `passage`."""
        text, name = (
            (self.query_prompt, self.query_prompt_name)
            if side == "query"
            else (self.passage_prompt, self.passage_prompt_name)
        )
        own: dict[str, str] = self._settings().get("prompts") or {}
        if text and name:
            raise RecipeError(f"retriever.dense: {side}_prompt or {side}_prompt_name, not both")
        if name:
            if name not in own:
                raise UnknownName(f"prompt of {self.path}", name, own)
            return own[name]
        return text or next((own[key] for key in _PROMPTS[side] if own.get(key)), "")

    def _similarity(self) -> str:
        own = self.similarity or self._settings().get("similarity_fn_name") or "cosine"
        if own not in SIMILARITIES:
            raise EngineError(
                f"dense:{self.path}: the model compares by {own}; say retriever.dense.similarity=cosine or dot"
            )
        return str(own)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`; reads the model's files, not the model."""
        return {
            "retriever": "dense", "weights": self._files()[1], "query_prompt": self.prompt("query"), "passage_prompt": self.prompt("passage"),
            "max_length": self.max_length, "similarity": self._similarity(), **self.fingerprint_index(),
        }  # fmt: skip

    def _load(self) -> Any:
        if self._model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                raise MissingExtra(f"retriever dense:{self.path}", "sentence-transformers", "dense") from None
            try:
                self._model = SentenceTransformer(
                    str(self._files()[0]),
                    device=self.device or None,
                    trust_remote_code=self.trust_remote_code,
                    local_files_only=True,
                )
            except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise EngineError(
                    f"dense:{self.path}: cannot be loaded as a sentence-transformers model ({first[:200]})"
                ) from error
            if self.max_length:
                self._model.max_seq_length = self.max_length
        return self._model

    def _vectors_of(self, texts: pa.Array, side: str, out: Floats | None) -> Floats:
        model = self._load()
        size = model.get_embedding_dimension()
        prompt = self.prompt(side)
        folder = self._keep or self._scratch
        assert folder is not None, "index or keep_in comes first"
        cache = VectorCache(folder, Encoding(self._files()[1], prompt, _length(model), int(size)))

        def encode(some: Sequence[str]) -> npt.NDArray[Any]:
            found = model.encode(
                list(some), prompt=prompt, batch_size=len(some), show_progress_bar=False, convert_to_numpy=True
            )
            return np.asarray(found, np.float32)

        vectors = np.empty((len(texts), size), np.float32) if out is None else out
        cache.fill(texts, encode, self.batch, vectors)
        if self._similarity() == "cosine":
            for start in range(0, len(vectors), 65_536):
                vectors[start : start + 65_536] = exact_search.normalised(vectors[start : start + 65_536])
        return vectors

    def build(self, corpus: Collection, scratch: Path) -> None:
        """See `Ordered`."""
        self._scratch = scratch
        size = self._load().get_embedding_dimension()
        # On disk: the system keeps in memory what fits.
        vectors: Any = np.lib.format.open_memmap(scratch / "documents.npy", "w+", np.float32, (len(corpus), size))
        self.hold(self._vectors_of(corpus.texts, "passage", vectors), corpus)

    def encode(self, texts: pa.Array) -> Floats:
        """See `VectorRetriever`."""
        return self._vectors_of(texts, "query", None)

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._model = None


def _length(model: Any) -> int:
    """Tokens at which a model cuts texts, 0 where it never does."""
    length = model.max_seq_length
    return int(length) if length is not None and np.isfinite(length) else 0
