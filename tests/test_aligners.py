"""Aligners: eflomal on a toy language, an encoder made on the spot, a translation model's attention; and `align` on top of each."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dsbuild.attention import Attention
from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName
from dsbuild.project import eflomal
from dsbuild.project.align_projector import AlignProjector
from dsbuild.project.aligner import Bitext
from dsbuild.project.eflomal import Eflomal
from dsbuild.project.engine_attention import AttentionAligner
from dsbuild.project.parallel_text import read_parallel
from dsbuild.project.projector import Parallel
from dsbuild.project.simalign import EmbeddingAligner
from dsbuild.spans import Labelled, Span
from dsbuild.text import word_spans

needs_eflomal = pytest.mark.skipif(importlib.util.find_spec("eflomal") is None, reason="eflomal is not installed")
NOUNS = ["boat", "house", "tree", "lamp", "road", "child", "bread", "river", "stone", "cloud"]
ADJECTIVES = {"red": "rupa", "big": "grana", "old": "vekki", "kind": "dolce"}
VERBS = {"sees": "vidit", "holds": "tenka", "finds": "trova", "sells": "prodit", "likes": "amora"}
WORDS = {"the": "lo", **ADJECTIVES, **VERBS, **{noun: f"{noun[::-1]}u" for noun in NOUNS}}


def toy(n: int, seed: int = 5) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Sentences of a made-up language in which adjectives follow their nouns, and their links; the first noun always has an adjective."""
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        english, order = [], []
        for part in range(rng.randint(1, 3)):
            if part:
                order.append(len(english))
                english.append(rng.choice(sorted(VERBS)))
            start = len(english)
            if rng.random() < 0.5:
                english.append("the")
                order.append(start)
                start += 1
            if not part or rng.random() < 0.3:
                english += [rng.choice(sorted(ADJECTIVES)), rng.choice(NOUNS)]
                order += [start + 1, start]
            else:
                english.append(rng.choice(NOUNS))
                order.append(start)
        links = [(i, j) for j, i in enumerate(order)]
        found.append((" ".join(english), " ".join(WORDS[english[i]] for i in order), links))
    return found


def bitext(source: str, target: str) -> Bitext:
    return Bitext(source, word_spans(source), target, word_spans(target))


@needs_eflomal
@pytest.mark.parametrize("units", ["auto", "stems", "prefixes/words", "pieces"])
def test_eflomal_learns_a_toy_language(units: str) -> None:
    held = toy(200)
    found = Eflomal(units=units, rounds=0.2).align([bitext(one, two) for one, two, _ in held], "en", "xx")
    right = sum(len(set(links) & set(wanted)) for links, (_, _, wanted) in zip(found, held, strict=True))
    said = sum(len(links) for links in found)
    # Sub-word pieces also link to the neighbours of their word.
    assert right / said > (0.7 if units == "pieces" else 0.9)
    assert right / sum(len(wanted) for _, _, wanted in held) > 0.85
    assert all(0 < score <= 1 for links in found for score in links.values())


@needs_eflomal
def test_what_was_learned_serves_a_small_set_and_more_text_helps() -> None:
    held = toy(150)
    few = [bitext(one, two) for one, two, _ in held[:3]]
    aligner = Eflomal(rounds=0.3)
    aligner.align([bitext(one, two) for one, two, _ in held[3:]], "en", "xx")
    for links in (
        aligner.align(few, "en", "xx"),
        Eflomal(rounds=0.3).align(few, "en", "xx", [bitext(one, two) for one, two, _ in held[3:]]),
    ):
        right = sum(len(set(one) & set(wanted)) for one, (_, _, wanted) in zip(links, held, strict=False))
        assert right >= 0.8 * sum(len(wanted) for _, _, wanted in held[:3])
    aligner.close()


@needs_eflomal
def test_eflomal_takes_odd_texts() -> None:
    empty, long = bitext("", "a b"), bitext("a " * 1200, "b " * 1200)
    odd = bitext("\u202bשלום עולם\u202c 👍🏽", "hello world 👍🏽")
    found = Eflomal().align([empty, long, odd], "he", "en")
    assert found[0] == found[1] == {}
    assert all(i < len(odd.src) and j < len(odd.tgt) for i, j in found[2])
    assert Eflomal().align([], "en", "xx") == []


def test_a_file_without_any_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "links").write_text("\n\n")
    assert eflomal._read(tmp_path / "links", 2) == [[], []]
    (tmp_path / "links").write_text("\n0-1 2-0\n")
    assert eflomal._read(tmp_path / "links", 2) == [[], [(0, 1), (2, 0)]]


def test_options_of_eflomal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="stems"):
        Eflomal(units="stem")
    with pytest.raises(UnknownName, match="union"):
        Eflomal(symmetry="unoin")  # type: ignore[arg-type]
    monkeypatch.setattr(eflomal.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"dsbuild\[align\]"):
        AlignProjector(aligner="eflomal")


@needs_eflomal
def test_a_program_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "eflomal"
    broken.write_text("#!/bin/sh\necho out of memory >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(eflomal, "_program", lambda: broken)
    with pytest.raises(EngineError, match="ended with 3 on 1 pairs: out of memory"):
        Eflomal().align([bitext("a b", "c d")], "en", "xx")


@needs_eflomal
def test_align_learns_the_set_and_places_spans(tmp_path: Path) -> None:
    pairs, wanted = [], []
    for number, (source, target, _) in enumerate(toy(150)):
        words = source.removeprefix("the ").split()
        start = source.index(words[0])
        spans = (Span("np", "X", ((start, start + len(f"{words[0]} {words[1]}")),)),)
        pairs.append(Parallel(Labelled(str(number), source, "en", spans), target, "xx"))
        wanted.append(" ".join(target.removeprefix("lo ").split()[:2]))
    more = tmp_path / "more.tsv"
    more.write_text("".join(f"{one}\t{two}\n" for one, two, _ in toy(40)))
    projector = AlignProjector(parallel=str(more), rounds=0.3)
    projector.fit(pairs[10:])
    said = list(projector.project(pairs))
    right = sum(
        pair.target[slice(*one.pieces[0])] == gold
        for pair, (one,), gold in zip(pairs, said, wanted, strict=True)
        if one.pieces
    )
    assert right >= 140
    assert all(
        one.score is not None and sum(c.probability for c in one.candidates) + one.score <= 1.001 for (one,) in said
    )
    projector.close()


@needs_eflomal
def test_rows_without_a_counterpart_are_answered() -> None:
    texts = [("only this", ""), ("only this", "…"), ("👍", "bueno"), ("", "bueno")]
    pairs = [
        Parallel(Labelled(str(n), one, "en", (Span("s", "X", ((0, len(one)),)),) if one else ()), two, "xx")
        for n, (one, two) in enumerate(texts)
    ]
    projector = AlignProjector()
    projector.fit(pairs)
    said = list(projector.project(pairs))
    assert [[one.outcome for one in row] for row in said] == [["rejected"], ["rejected"], ["rejected"], []]
    assert said[0][0].reason == said[1][0].reason == "empty_target"


def test_a_discontinuous_span_is_carried_piece_by_piece() -> None:
    from dsbuild.project.projector import Links

    source, target = "give it up", "deja eso ya"
    words, others = word_spans(source), word_spans(target)
    links = Links(tuple(words), tuple(others))
    item = Labelled("1", source, "en", (Span("v", "VERB", ((0, 4), (8, 10))),))
    projector = AlignProjector(rule="gap3")
    projector.fit([Parallel(item, target, "es", (), links)])
    ((said,),) = projector.project([Parallel(item, target, "es", (), links)])
    assert said.pieces == ((0, 4), (9, 11))


def test_parallel_text_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "more.tsv"
    path.write_text("a\tb\nc\n")
    with pytest.raises(RecipeError, match=r"more.tsv:2: a line of parallel text"):
        read_parallel(str(path), "align")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_parallel(str(tmp_path / "none"), "align")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small random BERT that knows words of both languages; equal words have equal vectors where position hardly counts."""
    torch = pytest.importorskip("torch", reason="sentence-transformers is not installed")
    transformers = pytest.importorskip("transformers", reason="sentence-transformers is not installed")
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted({*"abcdefghijklmnopqrstuvwxyz", "##s", "##t", *NOUNS}),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    model = transformers.BertModel(config)
    model.embeddings.position_embeddings.weight.data.mul_(0.01)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("matching", ["argmax", "itermax", "match", "softmax"])
def test_an_encoder_links_equal_words(encoder: str, matching: str) -> None:
    aligner = EmbeddingAligner(encoder, layer=0, matching=matching)  # type: ignore[arg-type]
    found = aligner.align(
        [bitext("boat tree lamp", "lamp boat tree"), bitext("", "boat"), bitext("roads", "roads stone")], "en", "xx"
    )
    assert {(0, 1), (1, 2), (2, 0)} <= set(found[0])
    assert found[1] == {}
    assert (0, 0) in found[2]
    assert all(0 < score <= 1 for links in found for score in links.values())
    assert aligner.fingerprint() == EmbeddingAligner(encoder, layer=0, matching=matching).fingerprint()  # type: ignore[arg-type]
    aligner.close()


def test_an_encoder_reads_long_texts_in_windows(encoder: str) -> None:
    words = [NOUNS[n % 10] for n in range(90)]
    found = EmbeddingAligner(encoder, layer=0).align(
        [bitext(" ".join(words), "cloud"), bitext("cloud", " ".join(words))], "en", "xx"
    )
    assert all(words[i] == "cloud" for i, _ in found[0])
    assert all(words[j] == "cloud" for _, j in found[1])
    assert found[0]


def test_an_encoder_that_cannot_be_had(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"align\.model"):
        AlignProjector(aligner="simalign")
    with pytest.raises(UnknownName, match="itermax"):
        EmbeddingAligner(encoder, matching="itermx")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="layers 0 to 2"):
        EmbeddingAligner(encoder).align([bitext("boat", "boat")], "en", "xx")
    with pytest.raises(EngineError, match="cannot be loaded"):
        EmbeddingAligner(str(tmp_path / "none"), layer=0).align([bitext("boat", "boat")], "en", "xx")


class Letters:
    """Attention that follows letters: each target letter looks at the same letters of the source."""

    name = "letters"

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        return {"name": self.name}

    def attend(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Attention]:
        found = []
        for source, target in zip(sources, targets, strict=True):
            table = np.array([[float(a == b and a != " ") for a in source] for b in target]).reshape(
                len(target), len(source)
            )
            table /= np.maximum(table.sum(1, keepdims=True), 1)
            found.append(
                Attention([(n, n + 1) for n in range(len(source))], [(n, n + 1) for n in range(len(target))], table)
            )
        return found

    def close(self) -> None:
        pass


def test_attention_links_words() -> None:
    found = AttentionAligner(Letters()).align([bitext("«abc def»", "(def) abc"), bitext("", "x")], "en", "xx")
    assert found == [{(0, 1): 1.0, (1, 0): 1.0}, {}]
    item = Labelled("1", "«abc def»", "en", (Span("s", "X", ((1, 4),)),))
    projector = AlignProjector(rule="hull", aligner="attention", scorer=Letters())
    pair = Parallel(item, "(def) abc", "xx")
    projector.fit([pair])
    ((said,),) = projector.project([pair])
    assert pair.target[slice(*said.pieces[0])] == "abc"
    assert projector.deterministic
    with pytest.raises(RecipeError, match="attention needs a model"):
        AlignProjector(aligner="attention")
