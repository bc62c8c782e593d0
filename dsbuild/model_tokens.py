"""Texts as the tokens of a language model, by the tokenizer file in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

from dsbuild.chat_template import ChatTemplate
from dsbuild.errors import EngineError, MissingExtra


class ModelTokens(Protocol):
    """What a text is for a CTranslate2 model: tokens as the model's vocabulary writes them."""

    def plain(self, text: str) -> list[str]:
        """A text from its beginning, begun as the model wants it."""

    def rest(self, text: str) -> list[str]:
        """A text that says itself how it begins."""

    def joint(self, before: str, continuation: str) -> tuple[list[str], int]:
        """Two texts as one, begun as the model wants it, and how many of its tokens reach into the continuation."""

    def text(self, tokens: Sequence[str]) -> str:
        """The text of tokens, special ones left out."""


def n_before(ends: Iterable[int], border: int) -> int:
    """How many tokens end at or before a border; the next one is the first that reaches beyond it.

    ends: of each token in order, where it ends in the text; the parts of one character all end where it ends.

    >>> n_before([0, 3, 5, 8], 4)
    2
    """
    return sum(1 for _ in takewhile(lambda end: end <= border, ends))


def tokens_of(folder: Path, template: ChatTemplate) -> ModelTokens:
    """By `tokenizer.json` (library tokenizers) or `tokenizer.model` (SentencePiece); `EngineError` where there is neither."""
    if (folder / "tokenizer.json").is_file():
        return _Fast(folder, template)
    if (folder / "tokenizer.model").is_file():
        return _Pieces(folder)
    raise EngineError(
        f"{folder}: no tokenizer.json and no tokenizer.model; copy the one of the checkpoint into the folder"
    )


def vocabulary_of(folder: Path) -> list[str]:
    """The vocabulary of a CTranslate2 folder; `EngineError` where there is none."""
    try:
        if (folder / "vocabulary.json").is_file():
            found: list[str] = json.loads((folder / "vocabulary.json").read_text("utf-8"))
            return found
        return (folder / "vocabulary.txt").read_text("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder}: no vocabulary that can be read ({error})") from None


class _Fast:
    def __init__(self, folder: Path, template: ChatTemplate) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtra(f"{folder}/tokenizer.json", "tokenizers", "convert") from None
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Some files leave the beginning to the settings beside them.
        self._begin = template.token("bos_token") if template.setting("add_bos_token") is not False else ""
        self._end = template.token("eos_token")

    def plain(self, text: str) -> list[str]:
        return self.joint(text, "")[0]

    def joint(self, before: str, continuation: str) -> tuple[list[str], int]:
        encoded = self._tokenizer.encode(before + continuation)
        tokens: list[str] = encoded.tokens
        if tokens and tokens[-1] == self._end:
            tokens = tokens[:-1]
        n_scored = len(tokens) - n_before((end for _, end in encoded.offsets[: len(tokens)]), len(before))
        begun = not self._begin or tokens[:1] == [self._begin]
        return tokens if begun else [self._begin, *tokens], n_scored

    def rest(self, text: str) -> list[str]:
        found: list[str] = self._tokenizer.encode(text, add_special_tokens=False).tokens
        return found

    def text(self, tokens: Sequence[str]) -> str:
        found: str = self._tokenizer.decode([self._tokenizer.token_to_id(token) for token in tokens])
        return found


class _Pieces:
    def __init__(self, folder: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        self._model: Any = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        begin = self._model.bos_id()
        self._begin = [self._model.id_to_piece(begin)] if begin >= 0 else []

    def plain(self, text: str) -> list[str]:
        return self._begin + self.rest(text)

    def rest(self, text: str) -> list[str]:
        found: list[str] = self._model.encode(text, out_type=str)
        return found

    def joint(self, before: str, continuation: str) -> tuple[list[str], int]:
        # Where pieces stand is told in another way by each version; pieces that the continuation changes are those that reach into it.
        tokens = self.rest(before + continuation)
        same = takewhile(lambda pair: pair[0] == pair[1], zip(tokens, self.rest(before), strict=False))
        return self._begin + tokens, len(tokens) - sum(1 for _ in same)

    def text(self, tokens: Sequence[str]) -> str:
        found: str = self._model.decode([self._model.piece_to_id(token) for token in tokens])
        return found
