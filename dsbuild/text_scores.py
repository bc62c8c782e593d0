"""The scores of a given text, as servers of the OpenAI protocol tell them: by `echo`, or as `prompt_logprobs`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from dsbuild.chat_protocol import count, mean
from dsbuild.model_tokens import n_before


@dataclass(frozen=True, slots=True)
class TextScores:
    """Tokens of a prompt; the first has no log-probability."""

    tokens: list[str]
    logprobs: list[Any]

    def start_of(self, before: str, continuation: str) -> int | None:
        """The number of the first token that reaches into the continuation, None where the tokens do not make up the text."""
        written = "".join(self.tokens)
        if not written.endswith(before + continuation):
            return None
        return n_before(accumulate(map(len, self.tokens)), len(written) - len(continuation))


def text_scores(answer: Any, way: str) -> TextScores | None:
    """The tokens of a prompt with their scores from a server's answer; way: echo or prompt_logprobs. None where the answer does not say them."""
    try:
        choice = answer["choices"][0]
        if way == "echo":
            tokens, logprobs = list(choice["logprobs"]["tokens"]), list(choice["logprobs"]["token_logprobs"])
            # Behind the prompt stands what was generated, because some servers generate at least one token.
            n_prompt = count((answer.get("usage") or {}).get("prompt_tokens")) or len(tokens)
            tokens, logprobs = tokens[:n_prompt], logprobs[:n_prompt]
        else:
            given = [next(iter(one.values())) if one else {} for one in choice["prompt_logprobs"]]
            tokens, logprobs = [one.get("decoded_token") or "" for one in given], [one.get("logprob") for one in given]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    if len(tokens) < 2 or not all(isinstance(one, str) for one in tokens) or mean(logprobs[1:]) is None:
        return None
    return TextScores(tokens, logprobs)
