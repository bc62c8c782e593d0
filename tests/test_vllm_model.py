"""The language model `vllm`: with vLLM itself where it is installed (a GPU, or its build for CPUs), on a small random Qwen2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dsbuild.answer_text import settled
from dsbuild.chat_protocol import as_text
from dsbuild.errors import EngineError, MissingExtra, RecipeError
from dsbuild.language_model import Call, Message, Said, Sampling
from dsbuild.vllm_model import VllmModel
from tests.tiny_story_model import write_checkpoint

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"grade": {"type": "string", "enum": ["a", "b"]}, "sure": {"type": "boolean"}},
    "required": ["grade", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["the river runs past the old mill", "नदी पुरानी चक्की"] * 5, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    fast.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(fast),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[VllmModel]:
    # Of the build for CPUs: how much memory it takes, and that cores are not its own.
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    made = VllmModel(
        str(folder), max_tokens=512, dtype="float32", concurrency=8, memory=0.2, extra={"enforce_eager": True}
    )
    yield made
    made.close()


def call(text: str, **more: Any) -> Call:
    return Call((Message("system", "say"), Message("user", text)), **more)


def ask(model: VllmModel, *calls: Call) -> list[Said]:
    found = dict(model.answer(enumerate(calls)))
    return [found[number] for number in range(len(calls))]


@needs_vllm
def test_answers_keep_their_schema(model: VllmModel) -> None:
    calls = [
        call(f"text {number}", schema=SCHEMA, sampling=Sampling(1.0, max_tokens=60), seed=number)
        for number in range(30)
    ]
    said = [settled(one, answer) for one, answer in zip(calls, ask(model, *calls), strict=True)]
    assert [one.problem for one in said] == [""] * 30
    assert {one.value["grade"] for one in said} <= {"a", "b"}


@needs_vllm
def test_the_same_seed_says_the_same(model: VllmModel) -> None:
    def draws(*seeds: int) -> list[str]:
        return [
            one.text
            for one in ask(
                model, *(call("the river", sampling=Sampling(1.0, max_tokens=12), seed=seed) for seed in seeds)
            )
        ]

    first = draws(1, 2, 3, 1)
    assert first[0] == first[3]
    assert len(set(first)) == 3
    assert draws(3, 2) == [first[2], first[1]]


@needs_vllm
def test_scores_are_those_of_transformers(model: VllmModel, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, Qwen2ForCausalLM

    hf = Qwen2ForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = as_text(call("old").messages)
    for text in ("the river", "चक्की past", "\nmill"):
        encoded = tokenizer(before + text, return_offsets_mapping=True)
        tokens = encoded["input_ids"]
        after = [at for at, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(before)]
        with torch.no_grad():
            scores = hf(torch.tensor([tokens])).logits[0].log_softmax(-1)
        wanted = sum(float(scores[at - 1, tokens[at]]) for at in after) / len(after)
        for _ in range(2):  # the second time from the cache of prefixes
            (said,) = ask(model, call("old", continuation=text))
            assert (said.n_said, said.logprob) == (len(after), pytest.approx(wanted, abs=1e-3))
    (said,) = ask(model, call("old", schema=SCHEMA, sampling=Sampling(max_tokens=40), logprobs=True))
    assert said.logprob is not None
    assert said.logprob <= 0


@needs_vllm
def test_limits_and_what_the_engine_refuses(model: VllmModel) -> None:
    odd = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=b)b"}}, "required": ["a"]}
    said = ask(
        model,
        call("river " * 900),
        call("old", sampling=Sampling(max_tokens=3)),
        call("old", schema=odd, sampling=Sampling(max_tokens=8)),
        call("mill", schema=SCHEMA, sampling=Sampling(max_tokens=60)),
    )
    assert said[0].problem == "rejected"
    assert (said[1].problem, said[1].n_said) == ("cut", 3)
    assert said[2].problem in ("", "cut")
    assert not said[3].problem


@needs_vllm
def test_a_run_that_is_left_leaves_nothing_behind(model: VllmModel) -> None:
    answers = model.answer(enumerate(call(f"t {number}", sampling=Sampling(max_tokens=20)) for number in range(50)))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(ask(model, call("old", sampling=Sampling(max_tokens=3)))) == 1


@needs_vllm
def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="vLLM cannot load it"):
        VllmModel(str(tmp_path)).check()


@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="the model is made with the extra [convert]"
)
def test_a_given_text_is_scored_from_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(write_checkpoint(tmp_path))
    monkeypatch.setattr(VllmModel, "_open", lambda self: SimpleNamespace(get_tokenizer=lambda: tokenizer))
    model = VllmModel(str(tmp_path))
    for text in ("Lily was happy.", "ly", "नदी"):
        question = call("The dog", continuation=text)
        tokens, n_scored = model._tokens(question)
        assert tokens == tokenizer.encode(as_text(question.messages) + text)
        assert tokenizer.decode(tokens[len(tokens) - n_scored :]) == text
    monkeypatch.setattr(type(tokenizer), "is_fast", property(lambda self: False))
    assert model._tokens(question) == (tokens, n_scored)


def test_options_and_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"generator\.concurrency"):
        VllmModel("m", concurrency=0)
    with pytest.raises(RecipeError, match=r"generator\.memory"):
        VllmModel("m", memory=2)
    with pytest.raises(RecipeError, match=r"judge\.model"):
        VllmModel("", setting="judge")
    (tmp_path / "config.json").write_text("{}")
    first = VllmModel(str(tmp_path)).fingerprint()
    assert str(tmp_path) not in str(first)
    (tmp_path / "config.json").write_text("{ }")
    assert VllmModel(str(tmp_path)).fingerprint() != first
    if find_spec("vllm") is None:
        with pytest.raises(MissingExtra, match=r"dsbuild\[llm\]"):
            VllmModel(str(tmp_path)).check()
