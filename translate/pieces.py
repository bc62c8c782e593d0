"""SentencePiece pieces: what all model families share on the way from text to tokens and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from dsbuild.errors import EngineError
from dsbuild.stage import UNIT_SEGMENTS
from dsbuild.translate.model_folder import ModelFolder

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

WORD_START = "▁"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A source as its model wants it.

    tokens: source tokens with special tokens; prefix: forced target tokens; n_tokens: length of what the model
    reads, `tokens` and what CTranslate2 adds; unknown: source tokens that the vocabulary lacks, in order;
    held: what was taken out of the text and goes back into the output (placeholder number, text).
    """

    tokens: list[str]
    prefix: list[str]
    n_tokens: int
    unknown: tuple[str, ...] = ()
    held: tuple[tuple[int, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Decoded:
    """A target text; `error` says what went wrong on the way back ("" if nothing)."""

    text: str
    error: str = ""


class Tokenizer(Protocol):
    """What the engine needs of a family."""

    max_tokens: int | None
    placeholder: str

    def check(self, src: str, tgt: str) -> None:
        """Raise `EngineError` unless the model translates from `src` to `tgt`."""

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """The model's input for a text."""

    def decode(self, tokens: Sequence[str], encoded: Encoded) -> Decoded:
        """The text of output tokens without prefix and end token."""

    def count(self, text: str, src: str) -> int:
        """Number of tokens that the model reads for a text, special tokens included."""


class PieceTokenizer:
    """What the families with SentencePiece models share."""

    trained_tokens: ClassVar[int | None] = 512  # longest source that the family was trained on
    spm_names: tuple[str, ...] = (
        "sentencepiece.bpe.model",
        "sentencepiece.model",
        "spiece.model",
        "spm.model",
    )

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder
        self.placeholder = ""
        limits = [limit for limit in (self.trained_tokens, folder.positions("encoder")) if limit is not None]
        self.max_tokens = min(limits, default=None)
        self.source_spm: SentencePieceProcessor = load_spm(folder.need_file(*self.spm_names))
        self.target_spm = self.source_spm
        self._cut = lru_cache(maxsize=2 * UNIT_SEGMENTS)(self._encode)

    def _encode(self, text: str) -> tuple[str, ...]:
        return tuple(self.source_spm.encode(text, out_type=str))

    @cached_property
    def specials(self) -> frozenset[str]:
        """Tokens with a meaning of their own, which no text may write."""
        return frozenset({self.folder.eos, self.folder.unk, "<s>", "</s>", "<pad>"})

    def pieces(self, text: str) -> list[str]:
        """Pieces of a text; one that would be read as a special token is broken into its characters."""
        # Texts are counted, batched and then translated: without the cache each would be cut three times.
        found = self._cut(text)
        if self.specials.isdisjoint(found):
            return list(found)
        return [part for piece in found for part in ([piece] if piece not in self.specials else list(piece))]

    def finished(self, tokens: list[str], prefix: Sequence[str] = ()) -> Encoded:
        """Add the end token and count."""
        vocabulary = self.folder.source_vocabulary
        automatic = self.folder.adds_source_eos
        if not automatic:
            tokens = [*tokens, self.folder.eos]
        known = vocabulary.issuperset(tokens)
        unknown = () if known else tuple(token for token in tokens if token not in vocabulary)
        return Encoded(tokens, list(prefix), len(tokens) + automatic, unknown)

    def decode(self, tokens: Sequence[str], encoded: Encoded) -> Decoded:
        """Join the pieces, unknown ones copied from the source."""
        if self.specials.isdisjoint(tokens):
            return Decoded(join_pieces(self.target_spm, tokens))
        unk = self.folder.unk
        filled, error = fill_unknown([t for t in tokens if t == unk or t not in self.specials], unk, encoded)
        return Decoded(join_pieces(self.target_spm, filled), error)

    def refuse(self, lang: str, token: str) -> EngineError:
        """The error for a language that the vocabulary does not have."""
        return EngineError(
            f"{self.folder.path.name}: this {self.folder.family} model does not know {lang} "
            f"(no {token} in its vocabulary)"
        )


def fill_unknown(tokens: Sequence[str], unk: str, encoded: Encoded) -> tuple[list[str], str]:
    """Put the source's unknown tokens (emoji, rare characters) where the output has unknown tokens, in order.

    That is a guess only where their numbers differ, and then it is not made: the unknown tokens are left out and
    the second value says so.
    """
    n_unknown = tokens.count(unk)
    if n_unknown and n_unknown != len(encoded.unknown):
        return [
            token for token in tokens if token != unk
        ], f"unknown_tokens: {n_unknown} in the output, {len(encoded.unknown)} in the source"
    surfaces = iter(encoded.unknown)
    return [next(surfaces) if token == unk else token for token in tokens], ""


def join_pieces(spm: SentencePieceProcessor, tokens: Sequence[str]) -> str:
    """The text of pieces; those that the SentencePiece model lacks are read as they are written."""
    text: str = spm.decode(list(tokens))
    return text.replace(WORD_START, " ").strip()


def is_usual_script(lang: str) -> bool:
    """Whether a model's plain name of the language means this code too: a script subtag asks for that script."""
    return "-" not in lang or lang == "zh-Hans"


def load_spm(file: Path) -> SentencePieceProcessor:
    """Load a SentencePiece model; a damaged one is an `EngineError`."""
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file))
    except (RuntimeError, OSError) as error:
        raise EngineError(f"{file}: not a SentencePiece model ({' '.join(str(error).split())})") from None
