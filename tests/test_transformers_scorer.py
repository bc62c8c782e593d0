"""Scores of transformers checkpoints: what texts share is read once, and every total is what one text alone gets."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from dsbuild.errors import EngineError, RecipeError
from dsbuild.project.constrained import ConstrainedProjector
from dsbuild.project.marked_search import Marks, Query, search
from dsbuild.project.projector import Parallel
from dsbuild.scoring import BranchScorer
from dsbuild.spans import Labelled, Span
from dsbuild.text import word_spans
from dsbuild.translate import SCORERS
from tests.tiny_models import pieces, train_spm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

SOURCE = "The boy reads [ a good book ] in the garden."
TARGET = "लड़का बगीचे में एक अच्छी किताब पढ़ता है।"
MARKS = Marks()


def sizes(n: int) -> dict[str, int]:
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return {"d_model": 16, **layers, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": n}


@pytest.fixture(scope="module", params=["m2m100", "marian"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights and sharp distributions, so that totals differ."""
    folder = tmp_path_factory.mktemp(request.param)
    spm = train_spm()
    tokens = list(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *pieces(spm)]))
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}), "utf-8")
    torch.manual_seed(5)
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "init_std": 0.7, "max_position_embeddings": 64}
    if request.param == "m2m100":
        (folder / "sentencepiece.bpe.model").write_bytes(spm)
        transformers.M2M100Tokenizer(
            str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model")
        ).save_pretrained(folder)
        config = transformers.M2M100Config(**sizes(len(tokens) + 108), **ids, decoder_start_token_id=2)
        transformers.M2M100ForConditionalGeneration(config).save_pretrained(folder)
        return folder
    for side in ("source.spm", "target.spm"):
        (folder / side).write_bytes(spm)
    files = (str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    transformers.MarianTokenizer(*files).save_pretrained(folder)
    config = transformers.MarianConfig(**sizes(len(tokens)), **ids, decoder_start_token_id=1)
    transformers.MarianMTModel(config).save_pretrained(folder)
    return folder


def places(text: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Stems and all places of the marks, written out without the project's own search."""
    words = word_spans(text, "hi")
    stems = [MARKS.opened(text, start)[0] for start, _ in words]
    return stems, [
        (i, MARKS.around(text, (words[i][0], words[j][1]))) for i in range(len(words)) for j in range(i, len(words))
    ]


def test_branches_total_what_each_text_alone_totals(checkpoint: Path) -> None:
    scorer = SCORERS.get("transformers")(str(checkpoint))
    assert isinstance(scorer, BranchScorer)
    stems, branches = places(TARGET)
    shared = scorer.score_branches(SOURCE, stems, branches, math.inf, "en", "hi")
    alone = [scorer.score([SOURCE], [text], "en", "hi")[0] for _, text in branches]
    together = scorer.score([SOURCE] * len(branches), [text for _, text in branches], "en", "hi")
    assert shared == pytest.approx([one.total for one in alone], abs=1e-3)
    assert [one.total for one in together] == pytest.approx([one.total for one in alone], abs=1e-3)
    assert len({round(total, 2) for total in shared}) > len(shared) / 2
    for one in alone:
        assert len(one.log_probs) == len(one.tokens) + 1 == len(one.starts) + 1
        assert max(one.log_probs) <= 0
    scorer.close()


def test_a_total_is_what_the_library_itself_says(checkpoint: Path) -> None:
    scorer = SCORERS.get("transformers")(str(checkpoint))
    (found,) = scorer.score([SOURCE], [TARGET], "en", "hi")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    if "m2m" in checkpoint.name:
        tokenizer.src_lang, tokenizer.tgt_lang = "en", "hi"
    given = tokenizer(SOURCE, text_target=TARGET, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**given).logits[0].log_softmax(-1)
    labels = given["labels"][0].tolist()
    each = [logits[at, label].item() for at, label in enumerate(labels)]
    skipped = len(each) - len(found.log_probs)  # the forced language
    assert skipped == ("m2m" in checkpoint.name)
    assert list(found.log_probs) == pytest.approx(each[skipped:], abs=1e-4)


def test_the_margin_leaves_out_only_what_is_below_it(checkpoint: Path) -> None:
    scorer = SCORERS.get("transformers")(str(checkpoint))
    stem = f"[ {TARGET}"
    branches = [(0, f"{stem} ]"), (0, "[ लड़का ]"), (0, "[ लड़का बगीचे ]")]
    every = scorer.score_branches(SOURCE, [stem], branches, math.inf, "en", "hi")
    some = scorer.score_branches(SOURCE, [stem], branches, 4.0, "en", "hi")
    assert some[0] == -math.inf
    for total, whole in zip(some, every, strict=True):
        assert total == pytest.approx(whole, abs=1e-3) or (total == -math.inf and whole < max(every) - 4.0)


def test_the_search_finds_the_place_that_one_call_a_place_finds(checkpoint: Path) -> None:
    scorer = SCORERS.get("transformers")(str(checkpoint))

    def ask(texts):
        return scorer.score([one for one, _ in texts], [two for _, two in texts], "en", "hi")

    def branch(source, stems, texts, margin):
        return scorer.score_branches(source, stems, texts, margin, "en", "hi")

    words = word_spans(TARGET, "hi")
    for given in (None, branch):
        query = Query(SOURCE, SOURCE.replace("[ ", "").replace(" ]", ""), TARGET, words, 20)
        search([query], ask, MARKS, 60, 1e6, True, given)
        if given is None:
            first = query
    assert query.totals == pytest.approx(first.totals, abs=1e-3)
    assert query.posterior()[0][0] == first.posterior()[0][0]
    assert query.null == pytest.approx(first.null, abs=1e-3)


def test_constrained_projects_with_a_checkpoint(checkpoint: Path) -> None:
    projector = ConstrainedProjector(SCORERS.get("transformers")(str(checkpoint)))
    pair = Parallel(Labelled("1", "The boy reads.", "en", (Span("a", "WHO", ((4, 7),)),)), TARGET, "hi")
    projector.fit([pair])
    ((found,),) = list(projector.project([pair]))
    assert found.reason in ("", "no_counterpart")
    projector.close()


def test_what_cannot_be_scored_is_told(checkpoint: Path, tmp_path: Path) -> None:
    scorer = SCORERS.get("transformers")(str(checkpoint))
    assert scorer.score([SOURCE], ["है " * 80], "en", "hi")[0].total == -math.inf
    assert scorer.score(["है " * 80], [TARGET], "en", "hi")[0].total == -math.inf
    assert scorer.score_branches(SOURCE, ["[ " + "है " * 80], [(0, "[ " + "है " * 80)], 1.0, "en", "hi") == [-math.inf]
    assert scorer.score([], [], "en", "hi") == []
    if "m2m" in checkpoint.name:
        with pytest.raises(EngineError, match="no language mai"):
            scorer.score([SOURCE], [TARGET], "en", "mai")
    with pytest.raises(EngineError, match=r"no config\.json"):
        SCORERS.get("transformers")(str(tmp_path))
    shutil.copy(checkpoint / "config.json", tmp_path)
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**said, "model_type": "t5"}), "utf-8")
    with pytest.raises((EngineError, RecipeError), match="t5 model"):
        SCORERS.get("transformers")(str(tmp_path)).score([SOURCE], [TARGET], "en", "hi")
