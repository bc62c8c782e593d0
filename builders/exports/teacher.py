"""A sentence-transformers model whose vectors of texts are written as labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.builders.retrieval.model_files import model_files
from dsbuild.errors import EngineError, MissingExtra


class Teacher:
    """Vectors as the model makes them: no prompt, not normalised by us. weights: the digest of the model's files; size: numbers a vector."""

    def __init__(self, path: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra("--model", "sentence-transformers", "dense") from None
        folder, weights = model_files(path, what="--model")
        self.weights = weights[:16]
        try:
            model: Any = SentenceTransformer(str(folder))
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EngineError(f"{path}: cannot be loaded as a sentence-transformers model ({first[:200]})") from error
        self._model = model
        self.size: int = model.get_embedding_dimension()

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One vector a text; equal texts are encoded once."""
        distinct = list(dict.fromkeys(texts))
        place = {text: row for row, text in enumerate(distinct)}
        found = self._model.encode(distinct, show_progress_bar=False, convert_to_numpy=True, prompt="")
        return np.asarray(found, np.float32)[[place[text] for text in texts]]
