"""What a language model is: calls, what is said to them, and the protocol that every model file keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from dsbuild.engine import Terms

Role = Literal["system", "user", "assistant"]

# Why there is nothing to read in an answer. What the server or its host did (`RETRIED_LATER`) is asked again by the next run; what the
# model said is an answer, and stays one.
Problem = Literal[
    "",  # there is an answer
    "empty",  # no text
    "cut",  # ended by a limit of length
    "refused",  # the model declined (a `refusal` of the protocol, or content_filter)
    "not_json",
    "schema",  # JSON that does not keep the schema
    "no_logprobs",  # a continuation was to be scored, and no score came
    "rejected",  # the server refuses this request (400, 413, 422)
    "unreachable",  # no answer after all retries: timeouts, 429, 5xx, lost connections
    "budget",  # not asked: the budget was reached before
]
RETRIED_LATER = frozenset({"unreachable", "budget"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. Untrusted text stands only in user messages, as a JSON value."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. max_tokens: of the answer; stop: texts that end it."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a model.

    seed: of this call, made from its row, never from its place in a batch. schema: the JSON schema that the answer must keep: the engine
    is asked to keep it where it can, and every answer is validated. logprobs: the mean log-probability of the answer's tokens is
    wanted. continuation: score this text as what follows the prompt, and generate nothing (`Abilities.likelihood`).
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    seed: int = 0
    schema: Mapping[str, Any] | None = None
    logprobs: bool = False
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said to a call.

    text: without the fence that some models put around JSON; value: the JSON value where the call has a schema, valid by it; problem and
    detail: why there is nothing to read; n_asked, n_said: tokens; logprob: mean per token of the answer (of the
    continuation), <= 0, None if unknown.
    """

    text: str = ""
    value: Any = None
    problem: Problem = ""
    detail: str = ""
    n_asked: int = 0
    n_said: int = 0
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do. schema: constrains its answers; likelihood: scores a given continuation."""

    schema: bool = False
    logprobs: bool = False
    likelihood: bool = False


@runtime_checkable
class LanguageModel(Protocol):
    """Answers calls. Built from keyword options (unknown ones raise `RecipeError`), loaded at the first call, closed by `close`."""

    name: ClassVar[str]
    abilities: Abilities

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the answers beside the call: kind, model, its digest or revision. No address, no key, no concurrency."""

    def terms(self) -> Terms:
        """Licence and origin of the model."""

    def check(self) -> None:
        """Raise `EngineError` unless the model can be spoken with at all; finds out `abilities` that are not known beforehand."""

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        """What is said to each numbered call, as answers come; calls are drawn only as fast as they can be asked."""

    def close(self) -> None:
        """Free the model; safe to call twice."""
