"""From text to a model's tokens and back, one class per model family, read from the model folder's own files.

Every class knows how its family is told the languages: a source code and a forced target prefix (NLLB, M2M100),
a tag before the source (MADLAD, multilingual Marian), or nothing (a model of one pair). Codes are looked up in
the vocabulary first: CTranslate2 reads an unknown token as `<unk>` without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from dsbuild import languages
from dsbuild.errors import EngineError, RecipeError
from dsbuild.translate.model_folder import ModelFolder
from dsbuild.translate.pieces import (
    WORD_START,
    Decoded,
    Encoded,
    PieceTokenizer,
    Tokenizer,
    fill_unknown,
    is_usual_script,
    join_pieces,
    load_spm,
)

_MARIAN_TAG = re.compile(r">>[A-Za-z_-]+<<")
_MADLAD_TAG = re.compile(r"<2[A-Za-z_-]+>")
_PAIR = re.compile(r"([a-z]{2,3}(?:-[A-Z][a-z]{3})?)-([a-z]{2,3}(?:-[A-Z][a-z]{3})?)")
_OPUS_NAME = re.compile(r"opus-mt(?:-tc)?(?:-big)?-([a-z]{2,3})-([a-z]{2,3})$")
_MADLAD_CODES = {"he": "iw"}  # BCP-47 -> tag, where MADLAD-400 kept an older code


class CodeTokenizer(PieceTokenizer):
    """NLLB-200 and M2M100: source code, pieces, end token; target code as forced prefix."""

    @cached_property
    def specials(self) -> frozenset[str]:
        """Language codes and the usual special tokens."""
        codes = {token for token in self.folder.source_vocabulary if _is_code(token)}
        return frozenset({self.folder.eos, self.folder.unk, "<s>", "</s>", "<pad>", *codes})

    def code(self, lang: str) -> str:
        """The vocabulary's token for a BCP-47 code."""
        known = languages.get(lang)
        if self.folder.family == "nllb":
            return known.nllb or lang
        return f"__{known.m2m100 or lang}__"

    def check(self, src: str, tgt: str) -> None:
        """Both codes must be in the vocabulary."""
        for lang, vocabulary in ((src, self.folder.source_vocabulary), (tgt, self.folder.target_vocabulary)):
            if (code := self.code(lang)) not in vocabulary:
                raise self.refuse(lang, code)

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """[source code] pieces [end], prefix [target code]."""
        self.check(src, tgt)
        return self.finished([self.code(src), *self.pieces(text)], [self.code(tgt)])

    def count(self, text: str, src: str) -> int:
        """Pieces, the source code and the end token."""
        del src
        return len(self.pieces(text)) + 2


class MadladTokenizer(PieceTokenizer):
    """MADLAD-400 and other T5 models with `<2xx>` tags: the tag stands before the text."""

    @cached_property
    def tags(self) -> frozenset[str]:
        """The language tags of the vocabulary."""
        return frozenset(token for token in self.folder.source_vocabulary if _MADLAD_TAG.fullmatch(token))

    @cached_property
    def specials(self) -> frozenset[str]:
        """Language tags and the usual special tokens."""
        return frozenset({self.folder.eos, self.folder.unk, "<s>", "</s>", "<pad>", *self.tags})

    def tag(self, lang: str) -> str:
        """The vocabulary's tag for a target language."""
        known = languages.get(lang)
        primary = lang.split("-")[0]
        names = [lang, f"{primary}_{known.script}", _MADLAD_CODES.get(lang, "")]
        names += [primary, known.m2m100, known.iso639_3] if is_usual_script(lang) else []
        tags = [f"<2{name}>" for name in names if name]
        for tag in tags:
            if tag in self.tags:
                return tag
        raise self.refuse(lang, tags[0])

    def check(self, src: str, tgt: str) -> None:
        """The target's tag must be in the vocabulary; the model finds the source language out by itself."""
        languages.get(src)
        self.tag(tgt)

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """[tag] pieces [end]."""
        del src
        return self.finished([*self._head(self.tag(tgt)), *self.pieces(text)])

    def count(self, text: str, src: str) -> int:
        """Pieces, the tag and the end token."""
        del src
        return len(self._head(min(self.tags))) + len(self.pieces(text)) + 1

    def _head(self, tag: str) -> list[str]:
        """The tag as the SentencePiece model writes it; a model that does not know it would read it as text."""
        pieces: list[str] = self.source_spm.encode(tag, out_type=str)
        if tag not in pieces:
            return [tag]
        return pieces[: pieces.index(tag) + 1]


class MarianTokenizer(PieceTokenizer):
    """OPUS-MT: one SentencePiece model per side; a `>>xxx<<` tag where the model has several targets."""

    def __init__(self, folder: ModelFolder, pair: str = "") -> None:
        self.spm_names = ("source.spm",)
        super().__init__(folder)
        self.target_spm = load_spm(folder.need_file("target.spm"))
        self.pair = pair

    @cached_property
    def tags(self) -> frozenset[str]:
        """The target tags of the vocabulary; none: a model of one pair."""
        return frozenset(token for token in self.folder.source_vocabulary if _MARIAN_TAG.fullmatch(token))

    @cached_property
    def specials(self) -> frozenset[str]:
        """Target tags and the usual special tokens."""
        return frozenset({self.folder.eos, self.folder.unk, "<s>", "</s>", "<pad>", *self.tags})

    def check(self, src: str, tgt: str) -> None:
        """A tag in the vocabulary, or the pair that the model says it is of."""
        if self.tags:
            self._tag(tgt)
        else:
            check_pair(self.folder, self.pair, src, tgt)

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """[tag] pieces [end]."""
        self.check(src, tgt)
        return self.finished([*([self._tag(tgt)] if self.tags else []), *self.pieces(text)])

    def count(self, text: str, src: str) -> int:
        """Pieces, the tag if there is one, and the end token."""
        del src
        return len(self.pieces(text)) + 1 + bool(self.tags)

    def _tag(self, lang: str) -> str:
        known = languages.get(lang)
        names = [f"{known.iso639_3}_{known.script}", lang]
        names += [known.iso639_3, lang.split("-")[0]] if is_usual_script(lang) else []
        tags = [f">>{name}<<" for name in names]
        for tag in tags:
            if tag in self.tags:
                return tag
        raise self.refuse(lang, tags[-1])


class PlainTokenizer:
    """Any other CTranslate2 model of one pair: SentencePiece pieces, or characters (`chars`).

    With `chars` a space is the token `▁` where the vocabulary has it. The end token is added only where the
    vocabulary's side has been trained with it, which such a folder cannot say: `config.json` decides.
    """

    def __init__(self, folder: ModelFolder, kind: str, pair: str) -> None:
        self.folder = folder
        self.placeholder = ""
        self.max_tokens = folder.positions("encoder")
        self.pair = pair
        self.spm = load_spm(folder.need_file(*PieceTokenizer.spm_names, "source.spm")) if kind == "spm" else None
        target = folder.file("target.spm")
        self.target_spm = load_spm(target) if kind == "spm" and target else self.spm

    def check(self, src: str, tgt: str) -> None:
        """The pair must be said: nothing in such a folder tells the languages."""
        check_pair(self.folder, self.pair, src, tgt)

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """Tokens as they are."""
        self.check(src, tgt)
        tokens = self.pieces(text)
        unknown = tuple(token for token in tokens if token not in self.folder.source_vocabulary)
        return Encoded(tokens, [], len(tokens) + self.folder.adds_source_eos, unknown)

    def decode(self, tokens: Sequence[str], encoded: Encoded) -> Decoded:
        """Joined pieces or characters, unknown ones copied from the source."""
        filled, error = fill_unknown(tokens, self.folder.unk, encoded)
        if self.target_spm is not None:
            return Decoded(join_pieces(self.target_spm, filled), error)
        return Decoded("".join(filled).replace(WORD_START, " "), error)

    def count(self, text: str, src: str) -> int:
        """Number of tokens."""
        del src
        return len(self.pieces(text)) + self.folder.adds_source_eos

    def pieces(self, text: str) -> list[str]:
        """Pieces or characters of a text."""
        if self.spm is not None:
            pieces: list[str] = self.spm.encode(text, out_type=str)
            return pieces
        space = WORD_START if WORD_START in self.folder.source_vocabulary else " "
        return [space if character.isspace() else character for character in text]


def check_pair(folder: ModelFolder, pair: str, src: str, tgt: str) -> None:
    """Raise `EngineError` unless a model of one pair is of this one: by option, note or an OPUS-MT name."""
    said = pair or str(folder.note.get("pair", ""))
    if not said and (match := _OPUS_NAME.search(str(folder.note.get("source", "")) or folder.path.name)) is not None:
        said = f"{match[1]}-{match[2]}"
    if not said:
        raise EngineError(
            f"{folder.path.name}: a {folder.family} model does not tell its languages: "
            f"say them with --set engine.pair={src}-{tgt}"
        )
    if (match := _PAIR.fullmatch(said)) is None:
        raise RecipeError(f"engine.pair: {said!r} is not SRC-TGT, such as en-hi")
    if not all(is_named(lang, code) for lang, code in zip((src, tgt), match.groups(), strict=True)):
        raise EngineError(f"{folder.path.name}: this model translates {said}, not {src}-{tgt}")


def is_named(lang: str, code: str) -> bool:
    """Whether a model's own code (two or three letters) is a name of a BCP-47 language."""
    known = languages.get(lang)
    return code in (lang, known.code, known.iso639_3) or (is_usual_script(lang) and code == lang.split("-")[0])


def make_tokenizer(folder: ModelFolder, kind: str, pair: str) -> Tokenizer:
    """The tokenizer of a folder's family. kind: "" for the family's own, "spm" or "chars" for plain folders."""
    if folder.family in ("nllb", "m2m100"):
        return CodeTokenizer(folder)
    if folder.family == "madlad":
        return MadladTokenizer(folder)
    if folder.family == "marian":
        return MarianTokenizer(folder, pair)
    if folder.family == "indictrans2":
        from dsbuild.translate.indictrans2 import IndicTrans2Tokenizer

        return IndicTrans2Tokenizer(folder)
    if kind not in ("spm", "chars"):
        raise EngineError(
            f"{folder.path}: neither NLLB, M2M100, OPUS-MT, MADLAD nor IndicTrans2; say how its tokens are made: "
            "--set engine.tokenizer=spm or --set engine.tokenizer=chars"
        )
    return PlainTokenizer(folder, kind, pair)


def _is_code(token: str) -> bool:
    return re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}|__[a-z]{2,4}__", token) is not None
