"""A decoder-only model on CTranslate2, in this process: for machines without a GPU, small models, and tests without a server."""

from __future__ import annotations

import importlib.metadata
import os
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.answer_text import settled
from dsbuild.chat_protocol import as_text, mean
from dsbuild.chat_template import ChatTemplate, json_of
from dsbuild.digests import folder_sha256
from dsbuild.engine import Terms
from dsbuild.errors import EngineError, RecipeError
from dsbuild.feed import Feed
from dsbuild.language_model import Abilities, Call, Said, Sampling
from dsbuild.model_tokens import tokens_of, vocabulary_of

_DIGESTED = (".bin", ".json", ".txt", ".model", ".jinja")
# The whole vocabulary is five times as slow, and what lies beyond is what top_p is there to leave out.
_TOP_K = 64
_SECOND_TEMPERATURE = 0.7
_GATHER_S = 0.02  # how long a batch waits to be filled
_FURTHEST = 10**6  # positions; larger numbers in a tokenizer's settings mean that nobody knows


class CTranslate2Generator:
    """A CTranslate2 folder of a language model (Llama, Qwen, Gemma, …) with its tokenizer (`tokenizer.json`, or `tokenizer.model`).

    model: the folder; compute_type: "default" is what it was converted to; workers: batches at a time (0: one per core on a CPU, one on a
    GPU); batch_size: calls that are answered together; context: tokens of question and answer that the model can hold (0: what its
    tokenizer says, else no limit is known); license: of the model.

    It constrains no answer: one that breaks the schema of its call is asked for once more, sampled. CTranslate2 draws by a state of each
    thread and not by call, so that sampled answers cannot be had again from a seed; they are kept in the store. Answers are sampled from the
    likeliest 64 tokens. `EngineError` for a folder of another kind.
    """

    name: ClassVar[str] = "ctranslate2"

    def __init__(
        self, model: str, device: str = "cpu", compute_type: str = "default", workers: int = 0, batch_size: int = 16, context: int = 0,
        license: str = "", setting: str = "generator",
    ) -> None:  # fmt: skip
        for option, value, least in (("workers", workers, 0), ("batch_size", batch_size, 1), ("context", context, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{setting}.{option}: {value!r} must be a whole number of at least {least}")
        if device not in ("cpu", "cuda", "auto"):
            raise RecipeError(f"{setting}.device: {device!r} is none of cpu, cuda, auto")
        self._folder = Path(model).expanduser()
        if not (self._folder / "model.bin").is_file():
            raise EngineError(
                f"{model}: no CTranslate2 folder (no model.bin); `ct2-transformers-converter --copy_files tokenizer.json "
                "tokenizer_config.json` makes one from a checkpoint"
            )
        self.model = self._folder.resolve().name
        self.abilities = Abilities(schema=False, logprobs=True, likelihood=True)
        self._device, self._compute_type, self._license, self._setting = device, compute_type, license, setting
        self._workers = workers or (len(os.sched_getaffinity(0)) if device == "cpu" else 1)
        self._batch_size = batch_size
        self._template = ChatTemplate(self._folder)
        self._tokens = tokens_of(self._folder, self._template)
        self._ends = self._ends_of_answers(json_of(self._folder / "config.json"))
        said = self._template.setting("model_max_length")
        known = said if isinstance(said, int) and 0 < said < _FURTHEST else 0
        self._context = context or known
        self._sha256 = ""
        # A Generator that is alive when the interpreter ends aborts the process, so a finalizer drops it first.
        self._held: dict[str, Any] = {}
        self._finalizer = weakref.finalize(self, self._held.clear)

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Model digest, compute type, context and version."""
        if not self._sha256:
            self._sha256 = folder_sha256(self._folder, _DIGESTED)
        return {
            "kind": self.name, "version": 2, "model": self.model, "model_sha256": self._sha256, "device": self._device,
            "compute_type": self._compute_type, "context": self._context, "ctranslate2": importlib.metadata.version("ctranslate2"),
        }  # fmt: skip

    def terms(self) -> Terms:
        """The model's licence, if the user named it."""
        note = "" if self._license else f"name the model's terms with --set {self._setting}.license=…"
        return Terms(self._license or "unknown", self.model, note)

    def check(self) -> None:
        """Load the model."""
        self._open(0)

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        """See `LanguageModel`; batches are answered in the order in which they were asked."""
        feed = Feed(calls, self._batch_size * self._workers)
        running: deque[list[_Asked]] = deque()
        try:
            while True:
                while len(running) < 2 * self._workers:
                    batch = self._gather(feed, wait=not running)
                    if not batch:
                        break
                    running.append(self._submit(batch))
                if not running:
                    return
                for asked in running.popleft():
                    yield asked.number, self._collect(asked)
        finally:
            feed.close()

    def close(self) -> None:
        """Drop the model; safe to call twice."""
        self._held.clear()

    def _gather(self, feed: Feed[tuple[int, Call]], *, wait: bool) -> list[tuple[int, Call]]:
        batch = []
        first = feed.take(None if wait else 0)
        while first is not None:
            batch.append(first)
            first = feed.take(_GATHER_S) if len(batch) < self._batch_size else None
        return batch

    def _submit(self, batch: Sequence[tuple[int, Call]]) -> list[_Asked]:
        """Start on a batch, calls that are drawn alike together; what is too long for the model is not started."""
        generator = self._open(batch[0][1].seed)
        groups: dict[Sampling | None, list[_Asked]] = {}
        all_asked = [self._asked(number, call) for number, call in batch]
        for asked in all_asked:
            scored = asked.call.continuation is not None
            room = 0 if scored else asked.call.sampling.max_tokens
            if self._context and len(asked.tokens) + room > self._context:
                asked.problem = f"{len(asked.tokens)} tokens and {room} for the answer, the model holds {self._context}"
            else:
                groups.setdefault(None if scored else asked.call.sampling, []).append(asked)
        for sampling, group in groups.items():
            tokens = [one.tokens for one in group]
            if sampling is None:
                futures = generator.score_batch(tokens, max_input_length=0, asynchronous=True)
            else:
                futures = self._generate(generator, tokens, sampling)
            for asked, future in zip(group, futures, strict=True):
                asked.future = future
        return all_asked

    def _generate(self, generator: Any, tokens: list[list[str]], sampling: Sampling) -> list[Any]:
        drawn: dict[str, Any] = {}
        if sampling.temperature > 0:
            drawn = {
                "sampling_topk": self._top_k, "sampling_topp": sampling.top_p, "sampling_temperature": sampling.temperature,
            }  # fmt: skip
        found: list[Any] = generator.generate_batch(
            tokens,
            max_length=sampling.max_tokens,
            include_prompt_in_result=False,
            end_token=self._ends,
            return_end_token=True,  # the only proof that an answer is complete
            return_scores=True,
            asynchronous=True,
            **drawn,
        )
        return found

    def _collect(self, asked: _Asked) -> Said:
        if asked.problem:
            return Said(problem="rejected", detail=asked.problem, n_asked=len(asked.tokens))
        try:
            result = asked.future.result()
            if asked.call.continuation is not None:
                # The first token of all has no score.
                scores = [None, *result.log_probs][len(asked.tokens) - asked.n_scored :]
                return Said(n_asked=len(asked.tokens), n_said=asked.n_scored, logprob=mean(scores))
            said = self._said(asked, result)
            if asked.call.schema is None or settled(asked.call, said).problem not in ("not_json", "schema", "empty"):
                return said
            warm = max(asked.call.sampling.temperature, _SECOND_TEMPERATURE)
            sampling = replace(asked.call.sampling, temperature=warm)
            (second,) = self._generate(self._held["generator"], [asked.tokens], sampling)
            again = self._said(asked, second.result())
            return replace(again, n_asked=said.n_asked + again.n_asked, n_said=said.n_said + again.n_said)
        except RuntimeError as error:  # of CTranslate2: out of memory, a length it cannot take
            return Said(problem="rejected", detail=f"CTranslate2: {_line(error)}", n_asked=len(asked.tokens))

    def _said(self, asked: _Asked, result: Any) -> Said:
        tokens, score = result.sequences[0], float(result.scores[0])
        complete = bool(tokens) and tokens[-1] in self._ends
        text = self._tokens.text(tokens[:-1] if complete else tokens)
        stops = [found for stop in asked.call.sampling.stop if (found := text.find(stop)) >= 0]
        said = Said(text[: min(stops, default=len(text))], n_asked=len(asked.tokens), n_said=len(tokens))
        if not complete and not stops:
            return replace(said, problem="cut", detail="ended by length")
        return replace(said, logprob=min(0.0, score)) if asked.call.logprobs else said

    def _asked(self, number: int, call: Call) -> _Asked:
        if call.continuation is not None:
            tokens, n_scored = self._tokens.joint(as_text(call.messages), call.continuation)
            return _Asked(number, call, tokens, n_scored)
        text = self._template.text(call.messages)
        return _Asked(number, call, self._tokens.rest(text) if self._template else self._tokens.plain(text))

    def _ends_of_answers(self, config: Mapping[str, Any]) -> list[str]:
        """The tokens that end an answer: the model's own, and those of its chat template; CTranslate2 refuses what it does not know."""
        known = set(vocabulary_of(self._folder))
        self._top_k = min(_TOP_K, len(known))
        said = [str(config.get("eos_token") or ""), self._template.token("eos_token"), *self._template.turn_ends]
        found = [token for token in dict.fromkeys(said) if token in known]
        if not found:
            raise EngineError(f"{self._folder}: nothing says which token ends an answer (eos_token in config.json)")
        return found

    def _open(self, seed: int) -> Any:
        if "generator" not in self._held:
            import ctranslate2

            # What is drawn goes on from here: by the first question, so that a run that goes on does not draw the same again.
            ctranslate2.set_random_seed(seed & 0x7FFFFFFF)
            try:
                self._held["generator"] = ctranslate2.Generator(
                    str(self._folder), device=self._device, compute_type=self._compute_type, inter_threads=self._workers, intra_threads=1
                )  # fmt: skip
            except (RuntimeError, ValueError) as error:
                raise EngineError(
                    f"{self._folder}: CTranslate2 cannot load this as a language model: {_line(error)}"
                ) from None
        return self._held["generator"]


@dataclass(slots=True)
class _Asked:
    """A call in work. n_scored: tokens of its continuation."""

    number: int
    call: Call
    tokens: list[str]
    n_scored: int = 0
    problem: str = ""
    future: Any = None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
