"""A sequence classifier of text pairs that says whether one text entails another; loaded at first use, nothing is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsbuild.digests import file_sha256
from dsbuild.errors import EngineError, MissingExtra, UnknownName
from dsbuild.stage import digest
from dsbuild.text import sentences

_BATCH = 16
_WEIGHTS = ("*.safetensors", "*.bin", "config.json", "tokenizer*", "*.model", "vocab*")


def weights_digest(model: str) -> str:
    """What identifies a model: the digest of the files of a folder, else its name on the Hub."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return f"hub {model}"
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    if not files:
        raise EngineError(f"{model}: no model in that folder (config.json, *.safetensors or *.bin)")
    return digest(*(f"{path.name} {file_sha256(path, None)}" for path in files))


class NliModel:
    """An NLI model by transformers. label: which of its labels means entailment; `UnknownName` lists those that it has."""

    def __init__(self, model: str, label: str = "entailment") -> None:
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ModuleNotFoundError as error:
            raise MissingExtra(f"entailment.model={model}", "transformers", "convert") from error
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(model).eval()
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EngineError(
                f"entailment.model={model}: cannot be loaded as a sequence classifier ({first[:200]})"
            ) from error
        self._torch = torch
        labels = {str(name).lower(): int(number) for number, name in self._model.config.id2label.items()}
        if label.lower() not in labels:
            raise UnknownName(f"label of {model} (entailment.label)", label, labels)
        self._entails = labels[label.lower()]
        longest = getattr(self._model.config, "max_position_embeddings", None) or self._tokenizer.model_max_length
        # RoBERTa's positions begin after its padding index: two of them are never used.
        self._limit = min(int(longest) - 2, int(self._tokenizer.model_max_length))

    def entailed(self, premises: Sequence[str], hypotheses: Sequence[str], langs: Sequence[str]) -> list[float]:
        """The probability that each premise entails its hypothesis; of one too long for the model, the highest of its parts."""
        pairs: list[tuple[int, str, str]] = []
        for place, (premise, hypothesis, lang) in enumerate(zip(premises, hypotheses, langs, strict=True)):
            pairs += [(place, part, hypothesis) for part in self._parts(premise, hypothesis, lang)]
        best = [0.0] * len(premises)
        lengths = [len(part) + len(hypothesis) for _, part, hypothesis in pairs]
        order = sorted(range(len(pairs)), key=lambda number: (-lengths[number], number))
        for start in range(0, len(order), _BATCH):
            chosen = [pairs[number] for number in order[start : start + _BATCH]]
            for (place, _, _), value in zip(chosen, self._batch(chosen), strict=True):
                best[place] = max(best[place], value)
        return best

    def _batch(self, pairs: Sequence[tuple[int, str, str]]) -> list[float]:
        inputs = self._tokenizer(
            [pair[1] for pair in pairs], [pair[2] for pair in pairs], padding=True, return_tensors="pt"
        )
        with self._torch.inference_mode():
            found: list[float] = self._model(**inputs).logits.float().softmax(-1)[:, self._entails].tolist()
        return found

    def _fits(self, premise: str, hypothesis: str) -> bool:
        return len(self._tokenizer(premise, hypothesis)["input_ids"]) <= self._limit

    def _parts(self, premise: str, hypothesis: str, lang: str) -> list[str]:
        """The premise, or runs of its sentences that fit with the hypothesis, each beginning with the last one's last sentence."""
        if self._fits(premise, hypothesis):
            return [premise]
        pieces = self._cut(premise, hypothesis, lang)
        parts: list[str] = []
        first = 0
        while first < len(pieces):
            last = first + 1
            while last < len(pieces) and self._fits(premise[pieces[first][0] : pieces[last][1]], hypothesis):
                last += 1
            parts.append(premise[pieces[first][0] : pieces[last - 1][1]])
            first = last if last == len(pieces) else max(first + 1, last - 1)
        return parts

    def _cut(self, premise: str, hypothesis: str, lang: str) -> list[tuple[int, int]]:
        """Sentences, a longer one halved until it fits."""
        waiting = list(reversed(sentences(premise, lang)))
        found = []
        while waiting:
            start, end = waiting.pop()
            if self._fits(premise[start:end], hypothesis) or end - start < 2:
                found.append((start, end))
            else:
                middle = premise.rfind(" ", start + 1, (start + end) // 2 + 1)
                middle = middle if middle > start else (start + end) // 2
                waiting += [(middle, end), (start, middle)]
        return found
