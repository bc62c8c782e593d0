"""Scores of given translations by CTranslate2 models (`score_batch`): a model folder, or the packaged mini model; and their attention."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from dsbuild.attention import Attention
from dsbuild.errors import EngineError
from dsbuild.scoring import Scored
from dsbuild.spans import Piece
from dsbuild.translate.ctranslate2 import CTranslate2Engine
from dsbuild.translate.mini.masking import SYMBOLS, Masked
from dsbuild.translate.mini_engine import MiniEngine
from dsbuild.translate.pieces import WORD_START, PieceTokenizer
from dsbuild.translate.tokenizers import PlainTokenizer

# Padded tokens that are scored together. On a CPU large batches are up to twice as slow as small ones: they fall out of the caches.
_BATCH_TOKENS = {"cpu": 128, "cuda": 8192}
# Pairs whose attention is asked for together, of about equal length.
_PAIRS = 16
# What a text gets that the model cannot read: longer than its positions.
IMPOSSIBLE = Scored((), (), (), (float("-inf"),))


class CTranslate2Scorer(CTranslate2Engine):
    """Score with a CTranslate2 model folder: NLLB, M2M100, OPUS-MT, MADLAD, plain Transformers.

    Options are those of the engine `ctranslate2`. `EngineError` for a direction that the model lacks, and for IndicTrans2, whose texts
    are rewritten before they become tokens, so that no token has a place. A text beyond the model's longest scores minus infinity.
    """

    name = "ctranslate2"

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        """See `TranslationScorer`."""
        asked = self._asked(sources, targets, src, tgt)
        found = [IMPOSSIBLE] * len(targets)
        for (number, (_, _, tokens)), log_probs in zip(
            asked.items(), _log_probs(self._open(), list(asked.values())), strict=True
        ):
            found[number] = scored(tokens, log_probs, located(targets[number], tokens))
        return found

    def attend(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Attention]:
        """See `Attending`: the attention of the model's last layer, the mean of its heads, where each target piece is made.

        The target is forced as a prefix, and one more token is decoded. A pair beyond the model's longest, or with an empty side, has no pieces.
        """
        tokenizer = self._readable()
        found = [Attention((), (), np.zeros((0, 0))) for _ in targets]
        asked = self._asked(sources, targets, src, tgt)
        order = sorted(
            (number for number, (_, _, tokens) in asked.items() if tokens), key=lambda one: (len(asked[one][2]), one)
        )
        for at in range(0, len(order), _PAIRS):
            some = order[at : at + _PAIRS]
            for number, rows in zip(some, _attention(self._open(), [asked[number] for number in some]), strict=True):
                pieces = tokenizer.pieces(sources[number])
                head = _head(asked[number][0], pieces)
                if pieces and head is not None:
                    where, weights = located(sources[number], pieces), rows[:, head : head + len(pieces)]
                    found[number] = Attention(where, located(targets[number], asked[number][2]), weights)
        return found

    def _readable(self) -> PieceTokenizer | PlainTokenizer:
        """The tokenizer, where its tokens are pieces of the text as it came."""
        if isinstance(self._tokenizer, PieceTokenizer | PlainTokenizer) and self._folder.family != "indictrans2":
            return self._tokenizer
        raise EngineError(f"{self._folder.path.name}: {self._folder.family} models translate, but cannot score")

    def _asked(
        self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str
    ) -> dict[int, tuple[list[str], list[str], list[str]]]:
        """By number of the pair its source tokens, forced prefix and target tokens; without those that the model cannot read."""
        tokenizer = self._readable()
        self._tokenizer.check(src, tgt)
        encoded = {text: self._tokenizer.encode(text, src, tgt) for text in dict.fromkeys(sources)}
        cut = {text: _target_tokens(tokenizer, text) for text in dict.fromkeys(targets)}
        limit, positions = self.capabilities.max_tokens, self._folder.positions("decoder")
        asked = {}
        for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
            one, tokens = encoded[source], cut[target]
            if (limit is None or one.n_tokens <= limit) and (positions is None or len(tokens) + 2 < positions):
                asked[number] = (one.tokens, one.prefix, tokens)
        return asked


class MiniScorer(MiniEngine):
    """Score with the packaged model: from English to Hindi, Marathi and Tamil, for demonstration.

    Names, numbers, signs and unknown words of a source are placeholders for this model; where they stand in the target as they are, the
    target is scored with the placeholders there. Options are those of the engine `mini`. The engine leaves the other languages' pieces out
    before it normalises; `score_batch` cannot, so probabilities are lower than the engine's own and only good for comparing places.
    """

    name = "mini"
    longest: ClassVar[int] = 150  # pieces of a target

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        """See `TranslationScorer`."""
        self.check(src, (tgt,))
        self._open()
        spm = self._held["pieces"]
        encoded = {text: self._encode(text, tgt) for text in dict.fromkeys(sources)}
        found = [IMPOSSIBLE] * len(targets)
        asked: list[tuple[list[str], list[str], list[str]]] = []
        kept: list[tuple[int, list[Piece]]] = []
        for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
            masked, pieces = encoded[source]
            text, origin = _with_placeholders(target, masked)
            tokens = spm.encode(text, out_type=str)
            if len(pieces) <= (self.capabilities.max_tokens or 0) and len(tokens) < self.longest:
                asked.append((pieces, [f"__{tgt}__"], tokens))
                kept.append((number, [(origin[start][0], origin[end - 1][1]) for start, end in located(text, tokens)]))
        for (number, where), (_, _, tokens), log_probs in zip(
            kept, asked, _log_probs(self._held["translator"], asked), strict=True
        ):
            found[number] = scored(tokens, log_probs, where)
        return found


def located(text: str, tokens: Sequence[str]) -> list[Piece]:
    """Where SentencePiece tokens (or characters) stand in their text.

    A token that is only a word's start has the word's first character. In a word that the model rewrote (Unicode normalisation), every
    token has the whole word; where even the words differ in number, every token has the whole text. No range is empty unless the text is.

    >>> located("go  home", ["▁go", "▁", "ho", "me"])
    [(0, 2), (4, 5), (4, 6), (6, 8)]
    """
    words = [found.span() for found in re.finditer(r"\S+", text)]
    groups: list[list[str]] = []
    for token in tokens:
        if not groups or token.startswith((WORD_START, " ")):
            groups.append([])
        groups[-1].append(token)
    if len(groups) != len(words):
        return [(0, len(text))] * len(tokens)
    found: list[Piece] = []
    for (start, end), group in zip(words, groups, strict=True):
        surfaces = [token.replace(WORD_START, "").strip() for token in group]
        if "".join(surfaces) != text[start:end]:
            found += [(start, end)] * len(group)
            continue
        at = start
        for surface in surfaces:
            found.append((at, at + max(1, len(surface))))
            at += len(surface)
    return found


def _target_tokens(tokenizer: PieceTokenizer | PlainTokenizer, text: str) -> list[str]:
    """A target's tokens; the tokenizers of the engines cut sources only, and a Marian folder has a second model for targets."""
    spm = tokenizer.target_spm
    if spm is None:
        vocabulary = tokenizer.folder.target_vocabulary
        space = WORD_START if WORD_START in vocabulary else " "
        return [space if char.isspace() else char for char in text]
    tokens: list[str] = spm.encode(text, out_type=str)
    if isinstance(tokenizer, PieceTokenizer) and not tokenizer.specials.isdisjoint(tokens):
        return [part for token in tokens for part in (list(token) if token in tokenizer.specials else [token])]
    return tokens


def _log_probs(translator: Any, asked: Sequence[tuple[list[str], list[str], list[str]]]) -> list[tuple[float, ...]]:
    """For each (source tokens, forced prefix, target tokens) the logarithms of the target tokens and the end; those of the prefix are left out."""
    if not asked:
        return []
    try:
        results = translator.score_batch(
            [source for source, _, _ in asked],
            [[*prefix, *tokens] for _, prefix, tokens in asked],
            max_batch_size=_BATCH_TOKENS[translator.device],
            batch_type="tokens",
            max_input_length=0,  # 1024 would cut without a word
        )
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"CTranslate2 cannot score: {' '.join(str(error).split())}") from None
    return [tuple(result.log_probs[-len(tokens) - 1 :]) for (_, _, tokens), result in zip(asked, results, strict=True)]


def _attention(translator: Any, asked: Sequence[tuple[list[str], list[str], list[str]]]) -> list[Any]:
    """For each (source tokens, forced prefix, target tokens) an array [target tokens, source positions]."""
    try:
        results = translator.translate_batch(
            [source for source, _, _ in asked],
            [[*prefix, *tokens] for _, prefix, tokens in asked],
            beam_size=1,
            max_input_length=0,  # 1024 would cut without a word
            max_decoding_length=max(len(prefix) + len(tokens) for _, prefix, tokens in asked) + 1,
            return_attention=True,
            return_end_token=True,
        )
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"CTranslate2 cannot show its attention: {' '.join(str(error).split())}") from None
    found = []
    for (_, prefix, tokens), result in zip(asked, results, strict=True):
        # A prefix that the model begins with is no output of it and has no row.
        first = len(prefix) if prefix and result.hypotheses[0][: len(prefix)] == prefix else 0
        found.append(np.array(result.attention[0], float)[first : first + len(tokens)])
    return found


def _head(tokens: Sequence[str], pieces: Sequence[str]) -> int | None:
    """How many tokens (codes, tags) stand before the pieces of a source; None where they are not there as they are."""
    return next(
        (at for at in range(len(tokens) - len(pieces) + 1) if list(tokens[at : at + len(pieces)]) == list(pieces)), None
    )


def scored(tokens: Sequence[str], log_probs: tuple[float, ...], where: Sequence[Piece]) -> Scored:
    """A target under a model, from its tokens, their log-probabilities and their places."""
    return Scored(tuple(tokens), tuple(start for start, _ in where), tuple(end for _, end in where), log_probs)


def _with_placeholders(target: str, masked: Masked) -> tuple[str, list[Piece]]:
    """The target with the placeholders of what it took over from the source, and where each of its characters came from."""
    symbols: dict[str, list[str]] = {}
    for item, symbol in zip(masked.items, SYMBOLS, strict=False):
        symbols.setdefault(item, []).append(symbol)
    text: list[str] = []
    origin: list[Piece] = []

    def add(said: str, where: Piece) -> None:
        text.append(said)
        origin.extend([where] * len(said))

    pattern = "|".join(re.escape(item) for item in sorted(symbols, key=len, reverse=True))
    at = 0
    for found in re.finditer(pattern, target) if pattern else ():
        for number in range(at, found.start()):
            add(target[number].lower(), (number, number + 1))
        held = symbols[found.group()]
        add(held.pop(0) if len(held) > 1 else held[0], found.span())
        at = found.end()
    for number in range(at, len(target)):
        add(target[number].lower(), (number, number + 1))
    return "".join(text), origin
