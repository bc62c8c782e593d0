"""Links from the vectors of a multilingual encoder, without training: words are linked whose pieces are alike.

Sources: SimAlign (Jalili Sabet et al. 2020) and awesome-align (Dou and Neubig 2021): the eighth layer of multilingual BERT, links
between sub-word pieces, a word pair linked if one of its piece pairs is. No text is cut off: one longer than the encoder takes is read in windows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import Link
from dsbuild.project.matching import MATCHINGS, Matching, links

_BATCH = 32
_MOST_PIECES = 510

Array = npt.NDArray[np.float64]


class EmbeddingAligner:
    """Aligns with a transformers encoder.

    model: its folder, or a name on the Hub that is in the cache already; layer: whose output is compared, from 0 (the embeddings) on;
    matching: itermax, argmax, match (SimAlign, on cosine) or softmax (awesome-align, on products). The model is loaded when it is first needed.
    """

    name = "simalign"

    def __init__(self, model: str, layer: int = 8, matching: Matching = "itermax") -> None:
        if not model:
            raise RecipeError(
                "align: the aligner simalign needs an encoder: --set align.model=FOLDER (such as bert-base-multilingual-cased)"
            )
        if matching not in MATCHINGS:
            raise UnknownName("matching", matching, MATCHINGS)
        self._path, self._layer, self._matching = model, layer, matching
        self._loaded: tuple[Any, Any] | None = None

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, layer, matching, and the digest of the model's files."""
        return {"name": self.name, "layer": self._layer, "matching": self._matching, "model": _digest(self._path)}

    def align(
        self, pairs: Sequence[Bitext], src: str, tgt: str, more: Sequence[Bitext] = ()
    ) -> list[dict[Link, float]]:
        """Links of each pair with how alike their most alike pieces are, in (0, 1]. Nothing is learned from `more`."""
        vectors = self._vectors([words for pair in pairs for words in (pair.src_words(), pair.tgt_words())])
        found = []
        # One after another: the vectors of source and target take turns.
        for (left, owners), (right, other_owners) in zip(vectors, vectors, strict=False):
            linked: dict[Link, float] = {}
            for (i, j), score in self._matched(left, right).items():
                link = (owners[i], other_owners[j])
                linked[link] = max(linked.get(link, 0.0), score)
            found.append(linked)
        return found

    def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _matched(self, left: Array, right: Array) -> dict[Link, float]:
        if not len(left) or not len(right):
            return {}
        if self._matching == "softmax":
            return links(left @ right.T, "softmax")
        one, two = (
            vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12) for vectors in (left, right)
        )
        return links(np.clip((one @ two.T + 1) / 2, 1e-6, 1.0), self._matching)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            try:
                import torch  # noqa: F401
                from transformers import AutoModel, AutoTokenizer
            except ImportError:
                raise MissingExtra("the aligner simalign", "transformers", "convert") from None
            try:
                tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True, use_fast=True)
                model = AutoModel.from_pretrained(self._path, local_files_only=True).eval()
            except (OSError, ValueError) as error:
                raise EngineError(
                    f"align.model {self._path}: cannot be loaded: {str(error).splitlines()[0][:200]}"
                ) from None
            depth = int(model.config.num_hidden_layers)
            if not 0 <= self._layer <= depth:
                raise RecipeError(f"align.layer {self._layer}: the model {self._path} has the layers 0 to {depth}")
            self._loaded = (tokenizer, model)
        return self._loaded

    def _vectors(self, texts: Sequence[Sequence[str]]) -> Iterator[tuple[Array, list[int]]]:
        """For each text, given as words, the vectors of its pieces and the word of each, in order."""
        import torch

        tokenizer, model = self._load()
        before, after = _frame(tokenizer)
        most = min(_MOST_PIECES, int(getattr(model.config, "max_position_embeddings", _MOST_PIECES + 2)) - 2)
        windows: list[tuple[int, list[int], list[int]]] = []
        for number, words in enumerate(texts):
            pieces, owners = _pieces(tokenizer, words)
            windows += [(number, pieces[at : at + most], owners[at : at + most]) for at in range(0, len(pieces), most)]
        held: dict[int, list[tuple[Array, list[int]]]] = {}
        # By length, so that little is padded.
        order = sorted(range(len(windows)), key=lambda place: (len(windows[place][1]), place))
        outputs: dict[int, Array] = {}
        for at in range(0, len(order), _BATCH):
            batch = order[at : at + _BATCH]
            ids = [[*before, *windows[place][1], *after] for place in batch]
            longest = max(map(len, ids))
            padding = tokenizer.pad_token_id or 0
            table = torch.tensor([one + [padding] * (longest - len(one)) for one in ids])
            mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids])
            with torch.inference_mode():
                layers = model(input_ids=table, attention_mask=mask, output_hidden_states=True).hidden_states
            for row, place in enumerate(batch):
                start = len(before)
                outputs[place] = layers[self._layer][row, start : start + len(windows[place][1])].double().numpy()
        for place, (number, _, owners) in enumerate(windows):
            held.setdefault(number, []).append((outputs[place], owners))
        for number in range(len(texts)):
            parts = held.get(number)
            yield (
                np.concatenate([vectors for vectors, _ in parts]) if parts else np.zeros((0, 1)),
                [owner for _, owners in parts or () for owner in owners],
            )


def _pieces(tokenizer: Any, words: Sequence[str]) -> tuple[list[int], list[int]]:
    """The ids of all pieces of the words, and the word of each. A word that the tokenizer drops has none."""
    if not words:
        return [], []
    encoded = tokenizer(
        list(words), is_split_into_words=True, add_special_tokens=False, truncation=False, verbose=False
    )
    owners = encoded.word_ids()
    kept = [place for place, owner in enumerate(owners) if owner is not None]
    return [encoded["input_ids"][place] for place in kept], [owners[place] for place in kept]


def _frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    framed = list(tokenizer("a")["input_ids"])
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    at = next((at for at in range(len(framed)) if framed[at : at + len(bare)] == bare), 0)
    return framed[:at], framed[at + len(bare) :]


def _digest(path: str) -> str:
    """What a model's files hold; of a name on the Hub the name."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return path
    found = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in (".json", ".txt", ".safetensors", ".bin", ".model"):
            with file.open("rb") as handle:
                found.update(json.dumps([file.name, hashlib.file_digest(handle, "sha256").hexdigest()]).encode())
    return found.hexdigest()[:16]
