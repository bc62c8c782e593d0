"""The `llm` engine: translation by a language model of any kind (`dsbuild.llm`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import xxhash

from dsbuild import languages, prompts
from dsbuild.answer_text import settled
from dsbuild.budget import Budget
from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError, RecipeError, UnknownName
from dsbuild.language_model import Call, LanguageModel, Said, Sampling
from dsbuild.llm import open_model, options_of
from dsbuild.prompts import Example

PROMPT = "llm_translate"
# Questions in a row that got no answer: the rest would get none either, and a unit in which every text failed would be kept as done.
_HOPELESS = 100


class LLMEngine:
    """Asks a language model for each segment.

    The text travels as a JSON value, as do fixed terms; similar segments come before it as a conversation (`Request.context`). An answer is one
    JSON object, checked whatever the model promises.

    model: as the server calls it, or a folder; llm: its kind, of `dsbuild.llm`; logprobs: ask for the scores of tokens; license: of the model;
    budget: what one run may use (`dsbuild.budget`: tokens, or cost with price_asked and price_said), which ends it with an `EngineError` and loses
    nothing: the next run goes on; options: of that kind of model (`base_url`, `concurrency`, …).
    """

    name: ClassVar[str] = "llm"
    # Nothing is gained by several texts in one batch, and a batch is what a killed run repeats: each text is one.
    capabilities: ClassVar[Capabilities] = Capabilities(
        unit="sentence",
        max_tokens=None,
        scores=True,
        placeholder="<ID{n}>",
        batch_tokens=1,
        terms=True,
        examples=True,
        about=True,
    )

    def __init__(
        self, model: str = "", llm: str = "openai", temperature: float = 0.0, seed: int = 7, logprobs: bool = True, license: str = "",
        budget: Mapping[str, Any] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        if not model:
            raise RecipeError("engine llm needs a model: --model NAME, as the server calls it")
        known = options_of(llm)
        for option in options:
            if option not in known:
                own = ("llm", "temperature", "seed", "logprobs", "license", "budget")
                raise UnknownName(f"option of engine 'llm' with {llm!r}", option, [*known, *own])
        self.seed = seed
        self.temperature = temperature
        self.logprobs = logprobs
        self.license = license
        self.budget = _budget(budget or {})
        self.prompt = prompts.load("dsbuild.translate", PROMPT)
        self.model: LanguageModel = open_model(llm, {"model": model, **options}, "engine")

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Sampling settings, the digest of the prompt, and the model's own fingerprint."""
        own = self.model.fingerprint()
        return {
            "engine": self.name, "version": 3, "model": own.get("model"), "temperature": self.temperature, "seed": self.seed,
            "logprobs": self.logprobs, "prompt": self.prompt.digest, **{f"llm_{key}": value for key, value in own.items() if key != "model"},
        }  # fmt: skip

    def terms(self) -> Terms:
        """The model's terms; its licence, if the user named it."""
        own = self.model.terms()
        return Terms(self.license, own.source) if self.license else own

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """The languages are known; what the model can do with them is for the checks to say."""
        for code in (src, *tgts):
            languages.get(code)

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """A guess that only sizes batches: four bytes to a token."""
        return [len(text.encode("utf-8")) // 4 + 1 for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Ask for all texts in one stream; a batch is yielded when its last answer is there."""
        waiting = {number: len(batch) for number, batch in enumerate(batches)}
        outputs: dict[int, dict[int, Output]] = {number: {} for number in waiting}
        places = [(number, place) for number, batch in enumerate(batches) for place in range(len(batch))]
        asked: dict[int, Call] = {}

        def calls() -> Iterator[tuple[int, Call]]:
            for index, (number, place) in enumerate(places):
                if self.budget.reached:
                    return
                asked[index] = self.call(batches[number][place])
                yield index, asked[index]

        lost = 0
        for index, said in self.model.answer(calls()):
            self.budget.add(said)
            lost = lost + 1 if said.problem == "unreachable" else 0
            if lost >= _HOPELESS:
                raise EngineError(
                    f"engine llm: {lost} texts in a row got no answer ({said.detail}); run it again when the model answers: answers so far are kept"
                )
            number, place = places[index]
            outputs[number][place] = output_of(settled(asked.pop(index), said))
            waiting[number] -= 1
            if not waiting[number]:
                done = outputs.pop(number)
                yield number, [done[place] for place in range(len(done))]
        if outputs:
            raise EngineError(
                f"engine llm: the budget is used up ({self.budget.spent.tokens:,} tokens in this run); answers so far are kept: run it again to go on"
            )

    def close(self) -> None:
        """The model is shared, and closed with all others."""

    def call(self, request: Request) -> Call:
        """The question for one segment."""
        src, tgt = languages.get(request.src), languages.get(request.tgt)
        slots = {
            "src_name": src.name, "src": src.code, "tgt_name": tgt.name, "tgt": tgt.code, "tgt_script": tgt.script,
            "about": request.context.get("about", ""),
        }  # fmt: skip
        data: dict[str, Any] = {"text": request.text}
        data |= {name: request.context[name] for name in ("terms", "missing") if request.context.get(name)}
        shown = [
            Example(tgt.code, {"text": source}, {"translation": target})
            for source, target in request.context.get("examples", ())
        ]
        return Call(
            self.prompt.messages(slots, data, shown),
            Sampling(self.temperature, max_tokens=256 + 4 * len(request.text.encode("utf-8"))),
            seed=xxhash.xxh3_64_intdigest(f"{self.seed}\n{request.text}".encode()) & 0x7FFFFFFF,
            schema=self.prompt.schema,
            logprobs=self.logprobs,
        )  # fmt: skip


def _budget(given: Mapping[str, Any]) -> Budget:
    known = ("tokens", "cost", "price_asked", "price_said")
    for name, value in given.items():
        if name not in known:
            raise UnknownName("setting of engine.budget", name, known)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"engine.budget.{name}: {value!r} is no number")
    return Budget(**given)


def output_of(said: Said) -> Output:
    """A settled answer as a translation; whatever is no JSON object with a translation is an error that says why."""
    asked, told = said.n_asked, said.n_said
    if said.problem == "cut":
        return Output("", "length", n_src_tokens=asked, n_tgt_tokens=told)
    if said.problem:
        reason = f"{said.problem}: {said.detail}" if said.detail else said.problem
        return Output("", "error", n_src_tokens=asked, n_tgt_tokens=told, error=reason)
    return Output(said.value["translation"], score=said.logprob, n_src_tokens=asked, n_tgt_tokens=told)
