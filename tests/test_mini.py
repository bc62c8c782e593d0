from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.engine import Request, TranslationEngine
from dsbuild.errors import EngineError, RecipeError
from dsbuild.translate import ENGINES
from dsbuild.translate.mini import corpus
from dsbuild.translate.mini.lexicon import Noun
from dsbuild.translate.mini.masking import SYMBOLS, mask, tidy, unmask, words
from dsbuild.translate.mini.substitution import Group, Nouns, conceal_numbers, merged, renumber
from dsbuild.translate.mini_engine import _FILES, FOLDER, LICENSE, MiniEngine, card
from dsbuild.translate.protect import find
from dsbuild.translate.protect import mask as protect_mask
from dsbuild.translate.protect import restore as protect_restore

KNOWN = {"the", "river", "is", "long", "was", "built", "in", "of", "to", "a", "what", "year", "old"}

there = pytest.mark.skipif(
    not all((FOLDER / name).exists() for name in _FILES),
    reason="the packaged model is not there: train it with `make mini`",
)


@pytest.mark.parametrize(
    ("text", "masked", "items"),
    [
        ("The river is 250.5 km long.", "the river is <1> <2> long.", ("250.5", "km")),
        ("What is the Great Zorgon of Blee?", "what is the <1> of <2>?", ("Great Zorgon", "Blee")),
        ("Was it built in 1,954?", "was <1> built in <2>?", ("it", "1,954")),
        ("A 5-year-old river", "a <1> year-old river", ("5",)),
        ("COVID-19 was 5% of $20 (H2O)", "<1> was <2> of <3> (<4>)", ("COVID-19", "5%", "$20", "H2O")),
        ("Zorgon's river", "<1>'s river", ("Zorgon",)),
        ("See https://a.org/the?x=1 to a@b.org", "<1> <2> to <3>", ("See", "https://a.org/the?x=1", "a@b.org")),
        ("The <1> is <12>-<3>", "the <1> is <2>", ("<1>", "<12>-<3>")),
        ("“The river”", '"the river"', ()),
    ],
)
def test_what_is_masked(text, masked, items) -> None:
    found = mask(text, KNOWN)
    assert (found.text, found.items) == (masked, items)


def test_unknown_words_are_counted_one_by_one_and_numbers_are_not() -> None:
    assert mask("The Great Zorgon was built in 1954 to flibber", KNOWN).n_unknown == 3
    assert mask("The river was built in 1954", KNOWN).n_unknown == 0
    assert mask("Zorgon 5", KNOWN).is_bare
    assert not mask("Zorgon is 5", KNOWN).is_bare


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=80)
    | st.lists(
        st.sampled_from(["the", "River", "Zorgon", "5", "3.5%", "<1>", "<2>", "a@b.org", "(", ")", ",", "-", "'s"]),
        max_size=16,
    ).map(" ".join)
)
def test_masking_comes_back(text) -> None:
    found = mask(text, KNOWN)
    if len(found.items) > len(SYMBOLS):
        return
    back, wrong = unmask(found.text, found.items)
    assert wrong == ()
    assert [character for character in back.lower() if character.isalnum()] == [
        character for character in tidy(text).lower() if character.isalnum()
    ]
    assert all(word in KNOWN or word == "s" for word in words(found.text))


@given(
    st.lists(
        st.sampled_from(["the river", "5", "Zorgon", "https://a.org", "1954", "is", "x@y.org"]), min_size=1, max_size=9
    )
)
def test_the_ladder_and_the_engine_share_their_placeholders(parts) -> None:
    text = " ".join(parts)
    items = find(text, MiniEngine.capabilities.protects)
    outer = protect_mask(text, items, MiniEngine.capabilities.placeholder)
    inner = mask(outer, KNOWN)
    said, wrong = unmask(inner.text, inner.items)
    assert wrong == ()
    restored = protect_restore(said, items, MiniEngine.capabilities.placeholder)
    assert not restored.lost
    assert not restored.extra
    assert restored.text.lower() == text.lower()


def test_lost_and_doubled_items_are_told() -> None:
    assert unmask("<1> में", ("Zorgon", "1954")) == ("Zorgon में", ("1954",))
    assert unmask("<1> <1>", ("Zorgon",))[1]
    assert unmask("<2> में", ())[1] == ("<2>",)
    assert unmask("( < 1 > )", ("5",)) == ("(5)", ())


def test_numbers_are_concealed_on_every_side() -> None:
    group = Group(
        "It cost 1,500 rupees in 1954.",
        {
            "hi": "1954 में इसकी कीमत 1500 रुपये थी।",
            "mr": "१९५४मध्ये त्याची किंमत १,५०० रुपये होती.",
            "ta": "1954இல் அதன் விலை ரூபாய்.",
        },
        "hand",
    )
    found = conceal_numbers(group)
    assert found.en == "it cost <1> rupees in <2>."
    assert found.targets == {"hi": "<2> में इसकी कीमत <1> रुपये थी।", "mr": "<2> मध्ये त्याची किंमत <1> रुपये होती."}
    assert conceal_numbers(Group("a b", {"hi": "क 5"}, "hand")).targets == {}


def test_nouns_are_concealed_with_their_case_endings() -> None:
    city = Noun("Pune", "-", frozenset({"city"}), "पुणे", "m", "-", "पुणे", "n", "-", "पुण्या", "-", "புனே", "-", "-")
    tree = Noun(
        "tree", "trees", frozenset({"plant"}), "पेड़", "m", "-", "झाड", "n", "झाडे", "झाडा", "झाडां", "மரம்", "மரங்கள்", "மரத்த்"
    )
    nouns = Nouns([city, tree])
    found = nouns.conceal(
        Group(
            "the school in pune has <1> rooms.",
            {
                "hi": "पुणे के स्कूल में <1> कमरे हैं।",
                "mr": "पुण्यातील शाळेत <1> खोल्या आहेत.",
                "ta": "புனேவில் உள்ள பள்ளியில் <1> அறைகள் உள்ளன.",
            },
            "grammar",
        ),
        random.Random(1),
    )
    assert found is not None
    assert found.en == "the school in <1> has <2> rooms."
    assert found.targets == {
        "hi": "<1> के स्कूल में <2> कमरे हैं।",
        "mr": "<1> मधील शाळेत <2> खोल्या आहेत.",
        "ta": "<1>-இல் உள்ள பள்ளியில் <2> அறைகள் உள்ளன.",
    }
    found = nouns.conceal(
        Group(
            "a bird sits on the tree.",
            {"hi": "एक पक्षी पेड़ पर बैठता है।", "mr": "एक पक्षी झाडावर बसतो.", "ta": "ஒரு பறவை மரத்தில் அமர்கிறது."},
            "grammar",
        ),
        random.Random(1),
    )
    assert found is not None
    assert found.targets == {
        "hi": "एक पक्षी <1> पर बैठता है।",
        "mr": "एक पक्षी <1> वर बसतो.",
        "ta": "ஒரு பறவை <1>-இல் அமர்கிறது.",
    }
    assert nouns.conceal(Group("a tree.", {"hi": "एक वृक्ष।"}, "hand"), random.Random(1)) is None


def test_groups_merge_and_placeholders_are_numbered_by_the_source() -> None:
    assert merged([Group("a", {"hi": "क"}, "hand"), Group("a", {"hi": "ख", "mr": "अ"}, "hand")]) == [
        Group("a", {"hi": "क", "mr": "अ"}, "hand")
    ]
    assert renumber(Group("<3> a <1>", {"hi": "<1> क <3>"}, "hand")) == Group("<1> a <2>", {"hi": "<2> क <1>"}, "hand")


def test_cleaning_of_corpus_pairs() -> None:
    def hindi(en, text) -> str | None:
        cleaned = corpus.clean(Group(en, {"hi": text}, "tatoeba"))
        return cleaned.targets["hi"] if cleaned else None

    assert hindi("He eats.", "वह खाता है.") == "वह खाता है।"
    assert hindi("He eats.", "он ест") is None
    assert hindi("He eats.", "वह " * 20) is None
    assert hindi("Il a mangé.", "वह खाता है।") is None


def test_the_measuring_sentences_are_not_in_training() -> None:
    train, held = corpus.read_handwritten()
    assert not {corpus.key(group.en) for group in train} & {corpus.key(group.en) for group in held}


def test_the_engine_is_registered_and_keeps_the_protocol() -> None:
    engine = ENGINES.get("mini")()
    assert isinstance(engine, TranslationEngine)
    assert "number" in engine.capabilities.protects
    engine.close()


def test_other_directions_are_refused_by_name() -> None:
    for src, tgt in (("en", "bn"), ("hi", "en"), ("en", "te")):
        with pytest.raises(EngineError, match="from en to hi, mr and ta only"):
            MiniEngine().check(src, [tgt])
    with pytest.raises(RecipeError, match=r"engine\.beam"):
        MiniEngine(beam=0)


def test_a_package_without_the_model_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(MiniEngine, "folder", tmp_path)
    with pytest.raises(EngineError, match=r"model\.bin.*holds no trained model"):
        MiniEngine().check("en", ["hi"])


@there
def test_translation(capsys) -> None:
    engine = MiniEngine(workers=1)
    engine.check("en", ["hi", "mr", "ta"])
    texts = [
        "What is the capital of India?",
        "The school was built in <1>.",
        "Zorgon is a city.",
        "Zorgon",
        "",
        "a " * 150,
        " and ".join(map(str, range(11))),
    ]
    batch = [Request(text, "en", lang) for lang in ("hi", "mr", "ta") for text in texts]
    ((index, outputs),) = engine.translate_batches([batch])
    assert index == 0
    assert len(outputs) == len(batch)
    for place in range(0, len(batch), len(texts)):
        question, dated, named, bare, empty, long, crowded = outputs[place : place + len(texts)]
        assert question.finish == "stop"
        assert question.n_unknown == 0
        assert question.score is not None
        assert question.score <= 0
        assert not any(character.isascii() and character.isalpha() for character in question.text)
        assert dated.finish == "error" or dated.text.count("<1>") == 1
        assert named.n_unknown == 1
        assert named.finish == "error" or named.text.count("Zorgon") == 1
        assert (bare.text, bare.finish) == ("Zorgon", "stop")
        assert (empty.text, empty.finish) == ("", "stop")
        assert long.finish == "length"
        assert crowded.finish == "error"
    again = dict(engine.translate_batches([[request] for request in batch]))
    assert [again[place][0].text for place in range(len(batch))] == [output.text for output in outputs]
    assert capsys.readouterr().err.count("demonstration model") == 1
    assert engine.count_tokens(["", "What is the capital of India?"], "en")[0] == 1
    engine.close()
    engine.close()


@there
def test_the_card_is_there() -> None:
    assert "demonstration model" in card()


def test_its_licence_is_that_of_what_it_was_trained_on() -> None:
    assert MiniEngine().terms().license == LICENSE == "CC-BY-SA-3.0"


def test_batches_hold_every_example_once_within_the_limit() -> None:
    pytest.importorskip("torch")
    from dsbuild.translate.mini.batches import Drawing, Example, Stock, batched
    from dsbuild.translate.mini.vocabulary import EOS

    examples = [Example([20 + size] * size, ([40 + size] * size, [60] * (size + 1))) for size in range(1, 20)]
    batches = batched(examples, ("hi", "mr"), {"hi": 13, "mr": 14}, 120)
    rows = [tuple(row.tolist()) for batch in batches for row in batch.sources]
    assert sorted(sum(piece > EOS for piece in row) for row in rows) == list(range(1, 20))
    assert all(batch.sources.numel() + batch.inputs.numel() <= 120 for batch in batches)
    assert all(set(batch.inputs[0, :, 0].tolist()) == {13} for batch in batches)
    drawn = [
        Drawing(
            [Stock("hand", ("hi", "mr"), 1.0, examples)],
            {"hi": 13, "mr": 14},
            [4, 5],
            seed=3,
            max_tokens=120,
            chunk_tokens=500,
        )
        for _ in range(2)
    ]
    assert all(bool((drawn[0].take().labels == drawn[1].take().labels).all()) for _ in range(5))


def test_the_loss_and_the_network_are_those_of_m2m100() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from dsbuild.translate.mini.model import Network, Shape, Table, greedy, to_transformers

    torch.manual_seed(1)
    shape = Shape(40, width=16, inner=32, heads=2, encoder_layers=2, decoder_layers=1)
    network = Network(shape, 0.0)
    ids = [2, *range(20, 40)]
    table = Table.make("hi", 5, ids, 40)
    sources, inputs = torch.tensor([[7, 8, 9, 2], [6, 2, 1, 1]]), torch.tensor([[[5, 21, 22], [5, 30, 1]]])
    labels = torch.tensor([[[21, 22, 2], [30, 2, 1]]])
    (loss,) = network.losses(sources, inputs, labels, [table], 0.1)
    slopes = torch.autograd.grad(loss, list(network.parameters()))
    model = to_transformers(shape, network.state_dict())
    logits = model(input_ids=sources, attention_mask=(sources != 1).long(), decoder_input_ids=inputs[0]).logits[
        ..., ids
    ]
    wanted = torch.nn.functional.cross_entropy(
        logits[labels[0] != 1], table.places[labels[0][labels[0] != 1]], label_smoothing=0.1, reduction="sum"
    )
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    theirs = torch.autograd.grad(wanted, [model.get_input_embeddings().weight])[0]
    assert torch.allclose(slopes[0], theirs, atol=1e-4)
    assert set(greedy(network, [7, 8, 2], table, 5)) <= set(ids)


def test_a_stopped_process_loses_no_training_time() -> None:
    pytest.importorskip("torch")
    from dsbuild.translate.mini.training import Clock

    clock = Clock()
    for _ in range(20):
        clock.add(1.0)
    clock.add(600.0)
    assert clock.active == pytest.approx(28.0)
