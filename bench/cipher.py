"""A model of M2M100's shape and random weights that says something sensible: a cipher of its source.

Random weights say noise of no particular length, and the length is what a decoder's time depends on. So one cross
attention is constructed: it looks at the source token of its own position and turns that token's embedding into the
one of its partner, a Devanagari piece for every Latin one; the end token is its own partner. All other weights are
random. An output then ends exactly where its source does and can be checked, and every step costs what it costs in a
trained model of this shape, since no operation's time depends on the values.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texts import Prose

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_DEVANAGARI = "अबचदएफगहइजकलमनओपखरसतउवटघयझ"
# A capital is marked by a dot above, so that no two pieces are the same in cipher.
_CIPHER = {ord(latin): letter for latin, letter in zip(_LATIN, _DEVANAGARI, strict=True)}
_CIPHER |= {ord(latin.upper()): f"{letter}ं" for latin, letter in zip(_LATIN, _DEVANAGARI, strict=True)}
_CIPHER[ord(".")] = "।"
_N_CODES = 108  # M2M100's language codes, and the places that it fills up


@dataclass(frozen=True)
class Shape:
    """Size of the model; `n_pieces`: SentencePiece pieces of the source side (the target side has as many again)."""

    n_pieces: int = 15_900
    width: int = 512
    heads: int = 8
    layers: int = 6
    n_sentences: int = 40_000


TOY = Shape(n_pieces=600, width=256, heads=4, layers=1, n_sentences=1_000)


def encipher(text: str) -> str:
    """What the model says for a text.

    >>> encipher("A cab.")
    'अं चअब।'
    """
    return text.translate(_CIPHER)


def make(folder: Path, shape: Shape) -> Path:
    """Write the transformers checkpoint to `folder`; returns it. About 20 s for the full size."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    spm = _train(shape)
    (folder / "sentencepiece.bpe.model").write_bytes(spm)
    sources = _pieces(spm)
    targets = [encipher(piece) for piece in sources]
    tokens = list(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *sources, *targets]))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(folder)
    config = M2M100Config(
        vocab_size=len(tokens) + _N_CODES, d_model=shape.width, encoder_layers=shape.layers, decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads, decoder_attention_heads=shape.heads, encoder_ffn_dim=4 * shape.width,
        decoder_ffn_dim=4 * shape.width, max_position_embeddings=1024, scale_embedding=True, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).eval()
    pairs = [(vocabulary[source], vocabulary[target]) for source, target in zip(sources, targets, strict=True)]
    alone = [(number, number) for number in (2, 3, *range(len(tokens), config.vocab_size))]
    _construct(model, [*alone, *pairs], shape)
    model.save_pretrained(folder)
    return folder


def _construct(model: Any, pairs: Sequence[tuple[int, int]], shape: Shape) -> None:
    """Set the embeddings and the copying attention.

    Of the width's two halves (sines and cosines of a position), the first `n` places of each hold the position alone,
    and the halves of a token's embedding, exchanged, are its partner's: so the partner is a fixed linear map away.
    Queries and keys are the positions, whose product is a sum of cosines that peaks where the positions are equal (the
    fast ones only: slow ones hardly tell neighbours apart). The place of the slowest sine, which stays 0, undoes the
    layer normalisation's shift; tokens of equal norm undo its scale.
    """
    import torch

    half, n = shape.width // 2, shape.width // shape.heads // 2
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1:
                scale = 0.001 if name.endswith(("out_proj.weight", "fc2.weight")) else 0.02
                weights.copy_(torch.randn(weights.shape, generator=generator) * scale)
        table = torch.zeros(model.model.shared.weight.shape)
        sources, targets = (torch.tensor(side) for side in zip(*pairs, strict=True))
        first = torch.randn(len(pairs), half - n, generator=generator)
        second = torch.randn(len(pairs), half - n, generator=generator)
        first[:, -1] = second[:, -1] = 0.0
        same = (sources == targets).unsqueeze(1)
        second = torch.where(same, first, second)
        norms = torch.cat([first, second], 1).pow(2).mean(1, keepdim=True).sqrt()
        first, second = first / norms, second / norms
        for ids, (low, high) in ((sources, (first, second)), (targets, (second, first))):
            table[ids, n:half] = low
            table[ids, half + n :] = high
        model.model.shared.weight.copy_(table * 1.5 / shape.width**0.5)
        copying = model.model.decoder.layers[-1].encoder_attn
        places = torch.cat([torch.arange(n), torch.arange(half, half + n)])
        select = torch.zeros(shape.width, shape.width)
        slow = 10_000 ** (-torch.arange(n) / (half - 1)) < 0.55
        strength = torch.where(slow, 0.0, 9.0).repeat(2 * shape.heads)
        select[torch.arange(shape.width), places.repeat(shape.heads)] = strength
        select[:, half - 1] = -strength
        exchange = torch.roll(torch.eye(shape.width), half, 0)
        for projection, weights in (
            (copying.q_proj, select), (copying.k_proj, select),
            (copying.v_proj, torch.eye(shape.width)), (copying.out_proj, 8.0 * exchange),
        ):  # fmt: skip
            projection.weight.copy_(weights)
            projection.bias.zero_()


def _train(shape: Shape) -> bytes:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    prose = Prose(seed=5)
    SentencePieceTrainer.train(
        sentence_iterator=iter(prose.sentences(prose.lengths(shape.n_sentences)).to_pylist()), model_writer=model,
        vocab_size=shape.n_pieces + 3, hard_vocab_limit=False, character_coverage=1.0, minloglevel=2, num_threads=2,
    )  # fmt: skip
    return model.getvalue()


def _pieces(spm: bytes) -> list[str]:
    """The pieces of the model without its special tokens."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=spm)
    return [
        processor.id_to_piece(number)
        for number in range(processor.get_piece_size())
        if not processor.is_control(number) and not processor.is_unknown(number)
    ]
