"""A real language model small enough for tests: 260,000 parameters that write simple English stories, as a checkpoint and for CTranslate2.

It lies in `../shared/data` in the format of llama2.c: seven numbers (width, feed-forward width, layers, heads, key heads, pieces, positions),
then all weights in float32; and pieces with their scores. Where it is missing, a model of the same shape with random weights and pieces
of single letters takes its place, so that what is tested of a server does not depend on it.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data" / "models" / "tinystories260k"
SHAPE = (64, 172, 5, 8, 4, 512, 512)


def is_real() -> bool:
    """Whether the trained model is at hand."""
    return (SHARED / "checkpoint_legacy.bin").is_file()


def write_checkpoint(folder: Path) -> Path:
    """The model as a transformers checkpoint with its tokenizer; returns the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    pieces, scores = _pieces() if is_real() else _letters()
    width, inner, layers, heads, key_heads, _, positions = _shape()
    config = LlamaConfig(
        vocab_size=len(pieces), hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_heads, max_position_embeddings=positions, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=True, initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(11)
    model = LlamaForCausalLM(config).eval()
    if is_real():
        model.load_state_dict(_weights(), strict=False)
        model.tie_weights()
    model.generation_config.pad_token_id = 2
    model.save_pretrained(folder)
    _tokenizer(pieces, scores).save(str(folder / "tokenizer.json"))
    template = "{% for one in messages %}{{ one['content'] }}\n{% endfor %}"
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
            "model_max_length": positions, "chat_template": template}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(said), "utf-8")
    return folder


def write_ctranslate2(checkpoint: Path, folder: Path) -> Path:
    """The checkpoint for CTranslate2, in float32, with its tokenizer beside it."""
    from ctranslate2.converters import TransformersConverter

    copied = ["tokenizer.json", "tokenizer_config.json"]
    TransformersConverter(str(checkpoint), copy_files=copied).convert(str(folder), force=True)
    return folder


def _shape() -> tuple[int, ...]:
    if not is_real():
        return SHAPE
    with (SHARED / "checkpoint_legacy.bin").open("rb") as handle:
        return struct.unpack("<7i", handle.read(28))


def _weights() -> dict[str, Any]:
    """The weights by transformers' names. Rotary pairs lie side by side here and half a head apart there."""
    import numpy as np
    import torch

    width, inner, layers, heads, key_heads, n_pieces, _ = _shape()
    n_pieces = abs(n_pieces)
    each = width // heads
    keys = key_heads * each
    data = np.fromfile(SHARED / "checkpoint_legacy.bin", np.float32, offset=28)
    at = 0

    def take(*shape: int) -> Any:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return torch.tensor(data[at - size : at].reshape(shape))

    def halves(one: Any, n: int) -> Any:
        return one.view(n, each // 2, 2, width).transpose(1, 2).reshape(n * each, width)

    found = {"model.embed_tokens.weight": take(n_pieces, width)}
    parts = {
        "input_layernorm": (width,), "self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width), "post_attention_layernorm": (width,), "mlp.gate_proj": (inner, width), "mlp.down_proj": (width, inner),
        "mlp.up_proj": (inner, width),
    }  # fmt: skip
    for name, shape in parts.items():
        for layer, one in enumerate(take(layers, *shape)):
            if name in ("self_attn.q_proj", "self_attn.k_proj"):
                one = halves(one, shape[0] // each)
            found[f"model.layers.{layer}.{name}.weight"] = one.clone()
    found["model.norm.weight"] = take(width)
    return found


def _pieces() -> tuple[list[str], list[float]]:
    data = (SHARED / "tokenizer.bin").read_bytes()
    at, pieces, scores = 4, [], []
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        pieces.append(data[at : at + length].decode("utf-8"))
        scores.append(score)
        at += length
    pieces[:3] = ["<unk>", "<s>", "</s>"]
    return [piece if piece.startswith("<0x") else piece.replace(" ", "▁") for piece in pieces], scores


def _letters() -> tuple[list[str], list[float]]:
    whole = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    return whole, [0.0] * len(whole)


def _tokenizer(pieces: list[str], scores: list[float]) -> Any:
    """Byte-pair encoding in which the pair with the better score joins first, and bytes stand for what no piece has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = []
    for number in sorted(range(len(pieces)), key=lambda one: -scores[one]):
        piece = pieces[number]
        if piece in ("<unk>", "<s>", "</s>") or piece.startswith("<0x"):
            continue
        merges += [
            (piece[:cut], piece[cut:])
            for cut in range(1, len(piece))
            if piece[:cut] in vocabulary and piece[cut:] in vocabulary
        ]
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made
