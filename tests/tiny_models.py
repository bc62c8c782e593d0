"""Tiny random models for tests, written without any converter: a CTranslate2 folder per family."""

from __future__ import annotations

import io
import json
import random
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

SENTENCES = [
    "the river runs past the old mill and the new bridge",
    "a lamp on the table lights the small red book",
    "we walked to the market and bought bread, salt and oil",
    "the children read stories about birds and the sea",
    "नदी पुरानी चक्की के पास से बहती है",
    "मेज पर रखा दीपक छोटी लाल किताब को रोशन करता है",
    "हम बाजार गए और रोटी नमक और तेल खरीदा",
    "बच्चे पक्षियों और समुद्र की कहानियाँ पढ़ते हैं",
]
WIDTH = 16


def train_spm(sentences: Sequence[str] = SENTENCES, vocab_size: int = 90, **options: object) -> bytes:
    """A SentencePiece model of a few sentences."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """The pieces of a SentencePiece model without its special tokens."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=model)
    return [
        processor.id_to_piece(number)
        for number in range(processor.get_piece_size())
        if not processor.is_control(number) and not processor.is_unknown(number)
    ]


def write_model(
    folder: Path,
    source: Sequence[str],
    target: Sequence[str] | None = None,
    *,
    seed: int = 0,
    eos_bias: float = 2.0,
    spread: float = 1.5,
    positions: int = 0,
    spec: str = "TransformerSpec",
    **config: object,
) -> Path:
    """Write a random one-layer Transformer in CTranslate2's format 6.

    eos_bias: added to the end token's logit (20: ends at once, -20: never); positions: size of a stored position
    table (0: none, CTranslate2 makes sinusoids).
    """
    folder.mkdir(parents=True, exist_ok=True)
    target_tokens = list(target or source)
    rng = random.Random(seed)
    variables: list[tuple[str, tuple[int, ...], int, bytes]] = []

    def floats(name: str, *shape: int, constant: float | None = None) -> None:
        size = 1
        for length in shape:
            size *= length
        values = array("f", [rng.gauss(0, spread) / WIDTH**0.5 if constant is None else constant for _ in range(size)])
        variables.append((name, shape, 0, values.tobytes()))

    def small(name: str, value: int, kind: int = 1) -> None:
        variables.append((name, (), kind, struct.pack("<b" if kind == 1 else "<h", value)))

    def linear(name: str, rows: int, columns: int) -> None:
        floats(f"{name}/weight", rows, columns)
        floats(f"{name}/bias", rows, constant=0.0)

    def norm(name: str) -> None:
        floats(f"{name}/gamma", WIDTH, constant=1.0)
        floats(f"{name}/beta", WIDTH, constant=0.0)

    for side, embedding, tokens in (("encoder", "embeddings_0", source), ("decoder", "embeddings", target_tokens)):
        floats(f"{side}/{embedding}/weight", len(tokens), WIDTH)
        small(f"{side}/num_heads", 2, 2)
        small(f"{side}/pre_norm", 1)
        small(f"{side}/scale_embeddings", 1)
        small(f"{side}/activation", 0)
        norm(f"{side}/layer_norm")
        if positions:
            floats(f"{side}/position_encodings/encodings", positions, WIDTH)
        layer = f"{side}/layer_0"
        norm(f"{layer}/self_attention/layer_norm")
        linear(f"{layer}/self_attention/linear_0", 3 * WIDTH, WIDTH)
        linear(f"{layer}/self_attention/linear_1", WIDTH, WIDTH)
        if side == "decoder":
            norm(f"{layer}/attention/layer_norm")
            linear(f"{layer}/attention/linear_0", WIDTH, WIDTH)
            linear(f"{layer}/attention/linear_1", 2 * WIDTH, WIDTH)
            linear(f"{layer}/attention/linear_2", WIDTH, WIDTH)
        norm(f"{layer}/ffn/layer_norm")
        linear(f"{layer}/ffn/linear_0", 2 * WIDTH, WIDTH)
        linear(f"{layer}/ffn/linear_1", WIDTH, 2 * WIDTH)
    floats("decoder/projection/weight", len(target_tokens), WIDTH)
    bias = array("f", [eos_bias if token == "</s>" else 0.0 for token in target_tokens])
    variables.append(("decoder/projection/bias", (len(bias),), 0, bias.tobytes()))

    with (folder / "model.bin").open("wb") as file:
        file.write(struct.pack("<I", 6) + _string(spec) + struct.pack("<II", 7, len(variables)))
        for name, shape, kind, data in sorted(variables):
            file.write(_string(name) + struct.pack("<B", len(shape)) + struct.pack(f"<{len(shape)}I", *shape))
            file.write(struct.pack("<BI", kind, len(data)) + data)
        file.write(struct.pack("<I", 0))
    said = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "decoder_start_token": "</s>",
        "add_source_eos": False,
        "add_source_bos": False,
    } | config
    (folder / "config.json").write_text(json.dumps(said))
    if target is None:
        (folder / "shared_vocabulary.json").write_text(json.dumps(list(source)))
    else:
        (folder / "source_vocabulary.json").write_text(json.dumps(list(source)))
        (folder / "target_vocabulary.json").write_text(json.dumps(target_tokens))
    return folder


def write_nllb(
    folder: Path, spm: bytes, codes: Sequence[str] = ("eng_Latn", "hin_Deva", "tam_Taml"), **options: object
) -> Path:
    """A folder of the NLLB family."""
    write_model(folder, ["<s>", "<pad>", "</s>", "<unk>", *pieces(spm), *codes], **options)  # type: ignore[arg-type]
    (folder / "sentencepiece.bpe.model").write_bytes(spm)
    return folder


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
