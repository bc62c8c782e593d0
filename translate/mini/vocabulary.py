"""The shared SentencePiece model: its training, and the pieces that each language's output may hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dsbuild.translate.mini.corpus import LANGS
from dsbuild.translate.mini.masking import SYMBOLS

BOS, PAD, EOS, UNK = 0, 1, 2, 3
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def language_token(lang: str) -> str:
    """The piece that starts an output in a language.

    >>> language_token("hi")
    '__hi__'
    """
    return f"__{lang}__"


def train_pieces(texts: Iterable[str], path: Path, size: int, threads: int) -> None:
    """Train a unigram model of `size` pieces, placeholders and language tokens among them, and write it."""
    import sentencepiece

    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            model_type="unigram",
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            user_defined_symbols=[*SYMBOLS, *map(language_token, LANGS)],
            bos_id=BOS,
            pad_id=PAD,
            eos_id=EOS,
            unk_id=UNK,
            bos_piece=SPECIAL[BOS],
            pad_piece=SPECIAL[PAD],
            eos_piece=SPECIAL[EOS],
            unk_piece=SPECIAL[UNK],
            unk_surface="",
            num_threads=threads,
            max_sentence_length=4000,
            minloglevel=2,
        )


def load_pieces(path: Path) -> Any:
    """The SentencePiece processor of a model file."""
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def pieces_of(processor: Any) -> list[str]:
    """All pieces in the order of their ids."""
    return [processor.id_to_piece(index) for index in range(processor.get_piece_size())]


def slices(targets: dict[str, Iterable[Sequence[int]]], placeholders: Sequence[int]) -> dict[str, list[int]]:
    """For every language the sorted ids that its training outputs hold, with the end and the placeholders."""
    return {
        lang: sorted({EOS, *placeholders, *(index for ids in texts for index in ids)} - {UNK, PAD, BOS})
        for lang, texts in targets.items()
    }
