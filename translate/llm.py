"""The `llm` engine: translation by any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, hosted ones)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from importlib import resources
from typing import Any, ClassVar

import xxhash

from dsbuild import languages
from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import RecipeError
from dsbuild.llm import ChatServer, json_of, said_of

_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "translation", "strict": True,
        "schema": {"type": "object", "properties": {"translation": {"type": "string"}}, "required": ["translation"], "additionalProperties": False},
    },
}  # fmt: skip


class LLMEngine:
    """Asks a chat model for each segment, several at a time.

    The text travels as a JSON value and the answer is checked as one, whatever the server promises about schemas: servers
    disagree, and some ignore them silently. The key comes from the environment variable `api_key_env` only.

    base_url: up to `/v1`; concurrency: requests in flight; timeout_s: per request; retries: after 429, 5xx and lost
    connections, with doubling waits; schema: send `response_format` (servers without it refuse with 400: set it to false);
    logprobs: ask for the scores of tokens (some servers refuse that too).
    """

    name: ClassVar[str] = "llm"
    capabilities: ClassVar[Capabilities] = Capabilities(
        unit="sentence", max_tokens=None, scores=True, placeholder="<ID{n}>", batch_tokens=512
    )

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000/v1", model: str = "", concurrency: int = 16, temperature: float = 0.0, seed: int = 7,
        timeout_s: float = 120.0, retries: int = 5, schema: bool = True, logprobs: bool = True,
        api_key_env: str = "OPENAI_API_KEY", license: str = "",
    ) -> None:  # fmt: skip
        server = ChatServer(base_url, timeout_s=timeout_s, retries=retries, api_key_env=api_key_env, seed=seed)
        if not model:
            raise RecipeError("engine llm needs a model: --model NAME, as the server calls it")
        self.model = model
        self.concurrency = concurrency
        self.temperature = temperature
        self.seed = seed
        self.schema = schema
        self.logprobs = logprobs
        self.license = license
        self._prompt = resources.files("dsbuild.translate").joinpath("llm_prompt.md").read_text("utf-8")
        self._server = server

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Model name, sampling settings and the digest of the prompt; not the server's address or the key."""
        return {
            "engine": self.name, "version": 2, "model": self.model, "temperature": self.temperature, "seed": self.seed,
            "schema": self.schema, "logprobs": self.logprobs, "prompt": xxhash.xxh3_128_hexdigest(self._prompt.encode("utf-8")),
        }  # fmt: skip

    def terms(self) -> Terms:
        """The model's licence, if the user named it."""
        return Terms(
            self.license or "unknown",
            self.model,
            "" if self.license else "name the model's terms with --set engine.license=…",
        )

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """The languages are known; what the model can do with them is for the checks to say."""
        for code in (src, *tgts):
            languages.get(code)

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """A guess that only sizes batches: four bytes to a token."""
        return [len(text.encode("utf-8")) // 4 + 1 for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Keep `concurrency` requests in flight over all batches; a batch is yielded when its last answer is there."""
        waiting = {number: len(batch) for number, batch in enumerate(batches)}
        outputs: dict[int, list[Output | None]] = {number: [None] * len(batch) for number, batch in enumerate(batches)}
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = {
                pool.submit(self._ask, request, self._server.is_first()): (number, place)
                for number, batch in enumerate(batches)
                for place, request in enumerate(batch)
            }
            try:
                for future in as_completed(futures):
                    number, place = futures[future]
                    outputs[number][place] = future.result()
                    waiting[number] -= 1
                    if not waiting[number]:
                        yield number, [output for output in outputs.pop(number) if output is not None]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Nothing is held open."""

    def body(self, request: Request) -> dict[str, Any]:
        """The request body for one segment."""
        src, tgt = languages.get(request.src), languages.get(request.tgt)
        terms = request.context.get("terms", {})
        listed = "".join(
            f"\nWrite {json.dumps(term, ensure_ascii=False)} as {json.dumps(fixed, ensure_ascii=False)}."
            for term, fixed in terms.items()
        )
        system = self._prompt.format(
            src_name=src.name, src=src.code, tgt_name=tgt.name, tgt=tgt.code, tgt_script=tgt.script, terms=listed
        )
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": json.dumps({"text": request.text}, ensure_ascii=False)},
            ],
            "temperature": self.temperature, "seed": self.seed, "max_tokens": 256 + 4 * len(request.text.encode("utf-8")),
        }  # fmt: skip
        if self.logprobs:
            body["logprobs"] = True
        if self.schema:
            body["response_format"] = _SCHEMA
        return body

    def _ask(self, request: Request, first: bool) -> Output:
        answer = self._server.ask(self.body(request), first, lambda: self.body(replace(request, text="a")))
        return Output("", "error", error=answer) if isinstance(answer, str) else parse(answer)


def parse(answer: Mapping[str, Any]) -> Output:
    """An answer of the chat protocol as an output; anything but one JSON object with a translation is an error."""
    said = said_of(answer)
    if said.error:
        return Output("", "error", error=said.error)
    if said.finish == "length":
        return Output("", "length", n_src_tokens=said.n_asked, n_tgt_tokens=said.n_said)
    value = json_of(said)
    if isinstance(value, str):
        wrong = value if value.endswith("JSON") else "engine_error: the answer has no translation"
        return Output("", "error", error=wrong)
    if not isinstance(value.get("translation"), str):
        return Output("", "error", error="engine_error: the answer has no translation")
    try:
        value["translation"].encode("utf-8")
    except UnicodeEncodeError:
        return Output("", "error", error="engine_error: the answer holds half a character")
    score = _mean_logprob(answer["choices"][0])
    return Output(value["translation"], score=score, n_src_tokens=said.n_asked, n_tgt_tokens=said.n_said)


def _mean_logprob(choice: Mapping[str, Any]) -> float | None:
    tokens = (choice.get("logprobs") or {}).get("content") or []
    found = [token["logprob"] for token in tokens if isinstance(token.get("logprob"), int | float)]
    return sum(found) / len(found) if found else None
