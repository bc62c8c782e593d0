"""A language model on vLLM in this process: batches that never stop, constrained answers, scores of given texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.chat_protocol import as_text, mean, without_system
from dsbuild.digests import folder_sha256
from dsbuild.engine import Terms
from dsbuild.errors import EngineError, MissingExtra, RecipeError
from dsbuild.feed import Feed
from dsbuild.language_model import Abilities, Call, Message, Said
from dsbuild.model_tokens import n_before

_DIGESTED = (".safetensors", ".bin", ".gguf", ".json", ".txt", ".model", ".jinja")


class VllmModel:
    """A model that vLLM can load; its prefix cache is on, so that calls with the same beginning are cheap one after another.

    model: a folder or a name of the Hub; revision: of a name; concurrency: calls in the engine at a time; tensor_parallel: GPUs that share
    the model; max_tokens: of question and answer together (0: what the model says); dtype, quantization, memory (the share of the GPU
    that is taken) as vLLM's dtype, quantization, gpu_memory_utilization; extra: further arguments of `vllm.LLM`; license: of the model.

    `MissingExtra` without vLLM, `EngineError` for a model that it cannot load. A schema that its grammars cannot say is left to the check of
    the answer. Likelihood is scored over plain text, as with every kind of model.
    """

    name: ClassVar[str] = "vllm"

    def __init__(
        self, model: str, revision: str = "", concurrency: int = 256, tensor_parallel: int = 1, max_tokens: int = 0, dtype: str = "auto",
        quantization: str = "", memory: float = 0.9, extra: Mapping[str, Any] | None = None, license: str = "", setting: str = "generator",
    ) -> None:  # fmt: skip
        if not model:
            raise RecipeError(f"{setting} needs a model: --set {setting}.model=FOLDER or a name of the Hub")
        for option, value, least in (
            ("concurrency", concurrency, 1),
            ("tensor_parallel", tensor_parallel, 1),
            ("max_tokens", max_tokens, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{setting}.{option}: {value!r} must be a whole number of at least {least}")
        if not 0 < memory <= 1:
            raise RecipeError(f"{setting}.memory: {memory!r} is a share of the GPU's memory, above 0 and at most 1")
        folder = Path(model).expanduser()
        self._folder = folder if folder.is_dir() else None
        self.model = folder.resolve().name if self._folder else model
        self.abilities = Abilities(schema=True, logprobs=True, likelihood=True)
        self._path = str(self._folder or model)
        self._concurrency, self._license, self._setting = concurrency, license, setting
        self._decides = {"revision": revision or None, "dtype": dtype, "quantization": quantization or None}
        self._arguments = {
            **self._decides, "tensor_parallel_size": tensor_parallel, "max_model_len": max_tokens or None, "gpu_memory_utilization": memory,
            "enable_prefix_caching": True,
            # A weak model would fill its answer with white space. The same setting of a request is taken and does nothing (vLLM 0.32).
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True}, **(extra or {}),
        }  # fmt: skip
        self._sha256: str | None = None
        self._llm: Any = None
        self._unsayable: set[str] = set()

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Model, its files' digest or its revision, numeric type and quantisation."""
        if self._folder is not None and self._sha256 is None:
            self._sha256 = folder_sha256(self._folder, _DIGESTED)
        return {"kind": self.name, "version": 2, "model": self.model, "model_sha256": self._sha256, **self._decides}

    def terms(self) -> Terms:
        """The model's licence, if the user named it."""
        note = "" if self._license else f"name the model's terms with --set {self._setting}.license=…"
        return Terms(self._license or "unknown", self.model, note)

    def check(self) -> None:
        """Load the model."""
        self._open()

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        """See `LanguageModel`; a call joins the batch as soon as another one has left it."""
        feed = Feed(calls, self._concurrency)
        asked: dict[str, _Asked] = {}
        try:
            while True:
                while len(asked) < self._concurrency:
                    item = feed.take(0 if asked else None)
                    if item is None:
                        break
                    number, call = item
                    if (refused := self._add(number, call, asked)) is not None:
                        yield number, refused
                if not asked and feed.ended:
                    return
                for output in self._step() if asked else ():
                    if output.finished:
                        one = asked.pop(output.request_id)
                        yield one.number, one.said(output)
        finally:
            feed.close()
            if asked:
                self._open().llm_engine.abort_request(list(asked))

    def close(self) -> None:
        """End the engine; safe to call twice."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
        self._llm = None

    def _add(self, number: int, call: Call, asked: dict[str, _Asked]) -> Said | None:
        """Give a call to the engine, or say why it does not take it."""
        tokens, n_scored = self._tokens(call)
        key = json.dumps(call.schema, sort_keys=True) if call.schema is not None else ""
        constrained = bool(key) and key not in self._unsayable
        for schema in (True, False) if constrained else (False,):
            try:
                name = self._open().llm_engine.add_request(
                    str(number), {"prompt_token_ids": tokens}, self._params(call, constrained=schema)
                )
            except Exception as error:  # of several kinds; that of a dead engine is its process's, not this call's
                if type(error).__name__ == "EngineDeadError":
                    raise EngineError("vllm: the engine's process died") from error
                problem = " ".join(str(error).split())[:200]
                continue
            if constrained and not schema:
                self._unsayable.add(key)
            asked[str(number) if name is None else name.split("-")[0]] = _Asked(number, call, len(tokens), n_scored)
            return None
        return Said(problem="rejected", detail=problem, n_asked=len(tokens))

    def _params(self, call: Call, *, constrained: bool) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        if call.continuation is not None:
            return SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        sampling = call.sampling
        schema = dict(call.schema) if constrained and call.schema is not None else None
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop) or None,
            seed=call.seed % 2**63,
            logprobs=0 if call.logprobs else None,
            structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
        )

    def _tokens(self, call: Call) -> tuple[list[int], int]:
        """The tokens of a question, and how many of them at its end are to be scored."""
        tokenizer = self._open().get_tokenizer()
        if call.continuation is not None:
            return _joint(tokenizer, as_text(call.messages), call.continuation)
        if not getattr(tokenizer, "chat_template", None):
            return list(tokenizer.encode(as_text(call.messages))), 0
        try:
            text = _filled(tokenizer, call.messages)
        except Exception:  # whatever a template raises that knows no system message
            text = _filled(tokenizer, without_system(call.messages))
        return list(tokenizer.encode(text, add_special_tokens=False)), 0

    def _step(self) -> list[Any]:
        try:
            found: list[Any] = self._open().llm_engine.step()
        except Exception as error:  # the engine's process died, or the GPU's memory did not do
            raise EngineError(f"vllm: {type(error).__name__} {' '.join(str(error).split())[:300]}") from error
        return found

    def _open(self) -> Any:
        if self._llm is None:
            try:
                from vllm import LLM
            except ImportError:
                raise MissingExtra("language model vllm", "vllm", "llm") from None
            try:
                self._llm = LLM(self._path, **self._arguments)
            except Exception as error:  # of any kind: a model that is none, a GPU that is too small
                raise EngineError(f"{self.model}: vLLM cannot load it: {' '.join(str(error).split())[:300]}") from error
        return self._llm


@dataclass(frozen=True, slots=True)
class _Asked:
    number: int
    call: Call
    n_asked: int
    n_scored: int

    def said(self, output: Any) -> Said:
        """What a finished output of vLLM says."""
        if self.call.continuation is not None:
            given = list(zip(output.prompt_token_ids, output.prompt_logprobs, strict=True))[
                self.n_asked - self.n_scored :
            ]
            scores = [one[token].logprob if one else None for token, one in given]
            return Said(n_asked=self.n_asked, n_said=self.n_scored, logprob=mean(scores))
        one = output.outputs[0]
        n_said = len(one.token_ids)
        said = Said(one.text, n_asked=self.n_asked, n_said=n_said)
        if one.finish_reason == "length":
            return replace(said, problem="cut", detail="ended by length")
        if one.finish_reason != "stop":
            return replace(said, problem="unreachable", detail=f"vLLM ended it with {one.finish_reason}")
        if not self.call.logprobs or one.cumulative_logprob is None or not n_said:
            return said
        return replace(said, logprob=min(0.0, one.cumulative_logprob / n_said))


def _joint(tokenizer: Any, before: str, continuation: str) -> tuple[list[int], int]:
    """The tokens of two texts as one, and how many of them reach into the continuation."""
    if not getattr(tokenizer, "is_fast", False):  # one that does not say where its tokens stand
        tokens = list(tokenizer.encode(before + continuation))
        return tokens, max(0, len(tokens) - len(tokenizer.encode(before)))
    encoded = tokenizer(before + continuation, return_offsets_mapping=True)
    ends = [end for _, end in encoded["offset_mapping"]]
    tokens = list(encoded["input_ids"])
    if tokens and tokens[-1] == tokenizer.eos_token_id:
        tokens.pop()
    return tokens, len(tokens) - n_before(ends[: len(tokens)], len(before))


def _filled(tokenizer: Any, messages: Iterable[Message]) -> str:
    said = [{"role": one.role, "content": one.text} for one in messages]
    found: str = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
    return found
