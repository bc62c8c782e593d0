"""The chat protocol of OpenAI as many servers speak it: bodies of requests, and what their answers say."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsbuild.language_model import Call, Message, Said

# How the schema of an answer is told to a server, the surest first: OpenAI and vLLM; llama.cpp; not at all.
Format = Literal["json_schema", "json_object", ""]
FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "")
# How servers end an answer that they did not finish: it is none, and asked for again.
_BROKEN = ("abort", "error")
_MOST_TOKENS = 2**31
_DETAIL_CHARS = 200


@dataclass(frozen=True, slots=True)
class Manner:
    """What a server wants to be spared. limit: the name of the field for the length of an answer; the rest: whether it may be sent."""

    limit: str = "max_tokens"
    logprobs: bool = True
    system: bool = True
    seed: bool = True
    usage: bool = True


# What servers and chat templates are known to refuse, one at a time and all at once.
MANNERS = (
    Manner(),
    Manner(limit="max_completion_tokens"),
    Manner(logprobs=False),
    Manner(system=False),
    Manner(seed=False),
    Manner(usage=False),
    Manner(logprobs=False, system=False, seed=False, usage=False),
    Manner(limit="max_completion_tokens", logprobs=False, system=False, seed=False, usage=False),
)


def body_of(call: Call, model: str, manner: Manner, form: Format, *, stream: bool) -> dict[str, Any]:
    """The request for a call."""
    messages = call.messages if manner.system else without_system(call.messages)
    sampling = call.sampling
    body: dict[str, Any] = {
        "model": model, "messages": [{"role": one.role, "content": one.text} for one in messages],
        "temperature": sampling.temperature, "top_p": sampling.top_p, manner.limit: sampling.max_tokens,
    }  # fmt: skip
    if manner.seed:
        body["seed"] = call.seed % 2**31  # some servers take no more bits
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if call.logprobs and manner.logprobs:
        body["logprobs"] = True
    if call.schema is not None and form == "json_schema":
        told = {"name": "answer", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": told}
    if call.schema is not None and form == "json_object":
        body["response_format"] = {"type": "json_object", "schema": call.schema}
    if stream:
        body["stream"] = True
        if manner.usage:
            body["stream_options"] = {"include_usage": True}
    return body


def as_text(messages: Sequence[Message]) -> str:
    """Messages as plain text, for models without a chat template and for scores of what follows: an empty line after each."""
    return "".join(f"{one.text}\n\n" for one in messages)


def said_of(answer: Any) -> Said:
    """What a whole answer says, its text as it came; `ValueError` if it is no answer of this protocol, or one that the server broke off."""
    if isinstance(answer, dict) and answer.get("error"):
        raise ValueError(_told(answer["error"]))
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = _content(message.get("content"))
        refusal = message.get("refusal")
        usage = answer.get("usage") or {}
        n_asked, n_said = (count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
        logprob = mean([token.get("logprob") for token in (choice.get("logprobs") or {}).get("content") or []])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("the answer has no message") from error
    finish = choice.get("finish_reason")
    if finish in _BROKEN:
        raise ValueError(f"the server ended the answer with {finish}")
    if refusal or finish == "content_filter":
        said = " ".join(str(refusal or "content_filter").split())[:_DETAIL_CHARS]
        return Said(text, problem="refused", detail=said, n_asked=n_asked, n_said=n_said)
    if finish == "length":
        return Said(text, problem="cut", detail="ended by length", n_asked=n_asked, n_said=n_said)
    return Said(text, n_asked=n_asked, n_said=n_said, logprob=logprob)


def joined(lines: Iterable[bytes], most: int) -> dict[str, Any]:
    """A streamed answer (server-sent events) as a whole one; `ValueError` if it breaks off or is none of this protocol.

    most: pieces after which it is endless, and ends as if by length.
    """
    texts: list[str] = []
    refusals: list[str] = []
    tokens: list[Any] = []
    usage: Mapping[str, Any] | None = None
    finish: str | None = None
    done = False
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[len(b"data:") :].strip()
        if data == b"[DONE]":
            done = True
            continue
        piece = json.loads(data)
        if isinstance(piece, dict) and piece.get("error"):
            raise ValueError(_told(piece["error"]))
        try:
            usage = piece.get("usage") or usage
            for choice in piece.get("choices") or []:
                delta = choice.get("delta") or {}
                texts.append(_content(delta.get("content")))
                refusals.append(_content(delta.get("refusal")))
                tokens += list((choice.get("logprobs") or {}).get("content") or [])
                finish = choice.get("finish_reason") or finish
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("a piece of the stream is none of this protocol") from error
        if len(texts) > most:
            finish, done = "length", True
            break
    if finish is None and not done:
        raise ValueError("the stream broke off")
    message = {"content": "".join(texts), "refusal": "".join(refusals)}
    return {
        "choices": [{"message": message, "finish_reason": finish, "logprobs": {"content": tokens}}],
        "usage": usage or {"completion_tokens": len(tokens) or sum(map(bool, texts))},
    }


def mean(logprobs: Sequence[Any]) -> float | None:
    """The mean of log-probabilities, None where one is lacking or there is none."""
    if not logprobs or not all(isinstance(one, int | float) and math.isfinite(one) for one in logprobs):
        return None
    return min(0.0, math.fsum(logprobs) / len(logprobs))


def _content(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")


def count(said: Any) -> int:
    """A number of tokens, 0 where nobody says one; `ValueError` for what is none."""
    if said is None:
        return 0
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < _MOST_TOKENS:
        raise ValueError(f"the answer counts {str(said)[:_DETAIL_CHARS]} tokens")
    return int(said)


def _told(error: Any) -> str:
    """What a server says of an error, where it sends one in place of an answer."""
    return f"the server says an error: {error.get('message', error) if isinstance(error, Mapping) else error}"


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The instructions at the head of the first question, for chat templates that know no system message."""
    system = "".join(f"{one.text}\n\n" for one in messages if one.role == "system")
    rest = [one for one in messages if one.role != "system"]
    return [Message(rest[0].role, system + rest[0].text), *rest[1:]] if rest else [Message("user", system)]
