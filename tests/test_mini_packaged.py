"""The packaged weights can be read back: a later training run begins at the model's own quality."""

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_the_packaged_model_says_the_same_in_pytorch_also_with_a_layer_more() -> None:
    import ctranslate2

    from dsbuild.translate.mini import packaged
    from dsbuild.translate.mini.corpus import HERE
    from dsbuild.translate.mini.export import refusals
    from dsbuild.translate.mini.model import Network, Shape, Table, greedy
    from dsbuild.translate.mini.vocabulary import EOS, language_token, load_pieces, pieces_of

    processor = load_pieces(HERE / "spm.model")
    pieces = pieces_of(processor)
    config = json.loads((HERE / "config.json").read_text("utf-8"))
    held = packaged.read_model(HERE / "model.bin")
    layers = {
        side: len(
            {
                name.split("/")[1]
                for name in held
                if name.startswith(f"{side}/layer_") and "layer_norm" not in name.split("/")[1]
            }
        )
        for side in ("encoder", "decoder")
    }
    translator = ctranslate2.Translator(str(HERE), device="cpu", compute_type="float32", intra_threads=1)
    for extra in (0, 1):
        shape = Shape(len(pieces), encoder_layers=layers["encoder"] + extra, decoder_layers=layers["decoder"] + extra)
        network = Network(shape, 0.0).eval()
        network.load_state_dict(packaged.weights(HERE, shape))
        for lang, bits in config["slices"].items():
            allowed = [index for index in range(len(pieces)) if int(bits, 16) >> index & 1]
            source = [*processor.encode("a doctor is a person who treats patients."), EOS]
            table = Table.make(lang, processor.piece_to_id(language_token(lang)), allowed, len(pieces))
            theirs = translator.translate_batch(
                [[pieces[index] for index in source]], [[language_token(lang)]],
                beam_size=1, max_decoding_length=60, suppress_sequences=refusals(pieces, allowed),
            )  # fmt: skip
            assert [pieces[index] for index in greedy(network, source, table, 60)] == theirs[0].hypotheses[0]


def test_a_model_of_other_pieces_is_refused() -> None:
    from dsbuild.translate.mini import packaged
    from dsbuild.translate.mini.corpus import HERE
    from dsbuild.translate.mini.model import Shape

    with pytest.raises(ValueError, match="embeddings"):
        packaged.weights(HERE, Shape(500))
