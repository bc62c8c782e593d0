"""From trained weights to the packaged files, and whether CTranslate2 says the same as PyTorch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild.translate.mini.corpus import LANGS
from dsbuild.translate.mini.vocabulary import EOS, SPECIAL, UNK, language_token, load_pieces, pieces_of

PACKAGED = ("model.bin", "config.json", "shared_vocabulary.json", "spm.model", "words.txt")
N_PARITY = 50


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Write the int8 model, its pieces and words to `out`, a float32 one to `folder`; gives and keeps what the comparison found."""
    import torch

    from dsbuild.translate.mini.model import Network, Shape, to_transformers

    best = torch.load(folder / "best.pt", weights_only=True)
    shape, weights = Shape(**best["shape"]), best["weights"]
    processor = load_pieces(folder / "spm.model")
    pieces = pieces_of(processor)
    slices = json.loads((folder / "slices.json").read_text(encoding="utf-8"))
    # A conversion works on the weights in place, so each gets a model of its own.
    convert(to_transformers(shape, weights), pieces, slices, folder / "float32", None)
    convert(to_transformers(shape, weights), pieces, slices, folder / "int8", "int8")
    out.mkdir(parents=True, exist_ok=True)
    for name in PACKAGED[:3]:
        shutil.copyfile(folder / "int8" / name, out / name)
    for name in PACKAGED[3:]:
        shutil.copyfile(folder / name, out / name)
    network = Network(shape, 0.0).eval()
    network.load_state_dict(weights)
    found = compare(network, to_transformers(shape, weights), processor, slices, folder)
    found["bytes"] = sum((out / name).stat().st_size for name in PACKAGED)
    (folder / "parity.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"exported {found['bytes'] / 1e6:.1f} MB; parity {found}")
    return found


def convert(
    model: Any, pieces: Sequence[str], slices: Mapping[str, Sequence[int]], folder: Path, quantization: str | None
) -> None:
    """Write a CTranslate2 folder; config.json also tells each language's pieces as the bits of a hexadecimal number."""
    from ctranslate2.converters.transformers import M2M100Loader

    spec = M2M100Loader().get_model_spec(model)
    spec.config.bos_token, _, spec.config.eos_token, spec.config.unk_token = SPECIAL
    spec.config.decoder_start_token = None  # the language token is given as the target prefix
    spec.register_source_vocabulary(list(pieces))
    spec.register_target_vocabulary(list(pieces))
    spec.validate()
    spec.optimize(quantization=quantization)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec.save(str(folder))
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["slices"] = {lang: f"{sum(1 << index for index in slices[lang]):x}" for lang in LANGS}
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def compare(
    network: Any, model: Any, processor: Any, slices: Mapping[str, Sequence[int]], folder: Path
) -> dict[str, Any]:
    """PyTorch's greedy output and CTranslate2's on 50 measuring sentences in every language, and the logits of both PyTorch models."""
    import ctranslate2
    import torch
    from torch.nn import functional

    from dsbuild.translate.mini.corpus import read_handwritten
    from dsbuild.translate.mini.masking import mask, words
    from dsbuild.translate.mini.model import Table, greedy

    texts = [mask(group.en, set(words(group.en))).text for group in read_handwritten()[1][:N_PARITY]]
    sources = [[*processor.encode(text), EOS] for text in texts]
    pieces = pieces_of(processor)
    widest = 0.0
    same = {"float32": 0, "int8": 0}
    count = 0
    for lang in LANGS:
        table = Table.make(lang, processor.piece_to_id(language_token(lang)), slices[lang], len(pieces))
        with torch.no_grad():
            for source in sources[:10]:
                memory, masked = network.encode(torch.tensor([source]))
                ours = functional.linear(
                    network.decode(memory, masked, torch.tensor([[[table.start, *source[:5]]]]))[0, 0],
                    network.embedding,
                )
                theirs = model(
                    input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[table.start, *source[:5]]])
                ).logits[0]
                widest = max(widest, float((ours - theirs).abs().max()))
        wanted = [greedy(network, source, table, 100) for source in sources]
        count += len(wanted)
        refused = refusals(pieces, slices[lang])
        for kind in same:
            translator = ctranslate2.Translator(str(folder / kind), device="cpu", compute_type=kind, intra_threads=1)
            results = translator.translate_batch(
                [[pieces[index] for index in source] for source in sources],
                [[language_token(lang)]] * len(sources),
                beam_size=1,
                max_decoding_length=100,
                suppress_sequences=refused,
            )
            del translator
            for result, ids in zip(results, wanted, strict=True):
                same[kind] += result.hypotheses[0] == [pieces[index] for index in ids]
    return {
        "sentences": count,
        "same_float32": same["float32"],
        "same_int8": same["int8"],
        "widest_logit_difference": widest,
    }


def refusals(pieces: Sequence[str], allowed: Sequence[int]) -> list[list[str]]:
    """What CTranslate2 must not say in a language: every piece outside its slice."""
    held = set(allowed) - {UNK}
    return [[piece] for index, piece in enumerate(pieces) if index not in held]
