"""NLLB-200, M2M100, OPUS-MT, MADLAD-400, IndicTrans2 and plain Transformers on CTranslate2."""

from __future__ import annotations

import importlib.metadata
import os
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError, RecipeError
from dsbuild.translate import models
from dsbuild.translate.model_folder import ModelFolder
from dsbuild.translate.pieces import Encoded
from dsbuild.translate.tokenizers import make_tokenizer

_LADDER_BEAMS = (2, 4)


@dataclass(frozen=True, slots=True)
class _Part:
    """Requests of one batch that are decoded together: same beam size. positions: their places in the batch."""

    positions: list[int]
    sources: list[Encoded]
    futures: list[Any]


class CTranslate2Engine:
    """Translate with a CTranslate2 model folder.

    model: a folder, or the id of a model in the model store ("": facebook/nllb-200-distilled-600M);
    models_dir: the store's folder ("": the user's cache); device: "auto" (a CUDA device if there is one), "cpu",
    "cuda" or "cuda:N"; compute_type: "int8", "float32", …; beam: 1 is greedy; workers: translator threads (0: one
    per core on a CPU, one on a GPU); family, tokenizer, pair: what the folder cannot say (see `tokenizers`);
    max_tokens: lowers the longest accepted input; max_ratio, max_extra: an output may have max_ratio * source tokens
    + max_extra tokens before it counts as a runaway; length_penalty: of beam search; placeholder: how protected
    items are written for a model that is known to carry them.

    Raises `EngineError` for a folder of the wrong kind, `RecipeError` for an option out of range. A source is never
    cut, and an output that reached its limit ends as "length". Scores are mean log-probabilities per target token,
    end token included and forced prefix excluded.
    """

    name = "ctranslate2"
    capabilities: Capabilities = Capabilities(
        prefix=True, attention=True, scores=True, isolated=True, beams=_LADDER_BEAMS
    )
    default_model: ClassVar[str] = models.DEFAULT

    def __init__(
        self,
        model: str = "",
        models_dir: str = "",
        device: str = "auto",
        compute_type: str = "int8",
        beam: int = 1,
        workers: int = 0,
        intra_threads: int = 1,
        family: str = "",
        tokenizer: str = "",
        pair: str = "",
        max_tokens: int = 0,
        max_ratio: float = 3.0,
        max_extra: int = 20,
        length_penalty: float = 1.0,
        placeholder: str = "",
    ) -> None:
        for option, value, least in (
            ("beam", beam, 1),
            ("workers", workers, 0),
            ("intra_threads", intra_threads, 0),
            ("max_tokens", max_tokens, 0),
            ("max_ratio", max_ratio, 0.1),
            ("max_extra", max_extra, 1),
            ("length_penalty", length_penalty, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise RecipeError(f"engine.{option}: {value!r} must be a number of at least {least}")
        if placeholder and (placeholder.count("{n}") != 1 or set("{}") & set(placeholder.replace("{n}", ""))):
            raise RecipeError(f"engine.placeholder: {placeholder!r} must hold {{n}} once, such as <ID{{n}}>")
        self._folder = ModelFolder(models.find(model or self.default_model, models_dir), family)
        self._tokenizer = make_tokenizer(self._folder, tokenizer, pair)
        self._tokenizer_name, self._pair = tokenizer, pair
        self._device, self._device_index = _device(device)
        self._compute_type = _compute_type(compute_type, self._device)
        self._beam = beam
        self._workers = workers or (1 if self._device == "cuda" else len(os.sched_getaffinity(0)))
        self._intra_threads = intra_threads
        self._max_ratio, self._max_extra = max_ratio, max_extra
        self._length_penalty = length_penalty
        limits = [limit for limit in (self._tokenizer.max_tokens, max_tokens) if limit]
        self.capabilities = replace(
            type(self).capabilities,
            max_tokens=min(limits, default=None),
            placeholder=placeholder or self._tokenizer.placeholder,
            beams=tuple(size for size in _LADDER_BEAMS if size > beam),
        )
        # A Translator that is alive when the interpreter ends aborts the process, so a finalizer drops it first.
        self._held: dict[str, Any] = {}
        self._finalizer = weakref.finalize(self, self._held.clear)

    def __enter__(self) -> CTranslate2Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Model digest, family and decoding options."""
        return {
            "engine": self.name,
            "ctranslate2": importlib.metadata.version("ctranslate2"),
            "model": str(self._folder.note.get("source", "")),
            "model_sha256": self._folder.digest(),
            "family": self._folder.family,
            "device": self._device,
            "compute_type": self._compute_type,
            "beam": self._beam,
            "length_penalty": self._length_penalty,
            "max_tokens": self.capabilities.max_tokens,
            "max_ratio": self._max_ratio,
            "max_extra": self._max_extra,
            "placeholder": self.capabilities.placeholder,
            "tokenizer": self._tokenizer_name,
            "pair": self._pair,
        }

    def terms(self) -> Terms:
        """Of the model's note, else of the table of known models; a licence that nobody said stays empty."""
        return models.terms(self._folder)

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Raise `EngineError` unless the vocabulary has what each direction needs."""
        for tgt in tgts:
            self._tokenizer.check(src, tgt)

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Tokens that the model reads, codes and end token included."""
        return [self._tokenizer.count(text, src) for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Keep every worker busy; a batch is yielded once all of it is decoded, the oldest first among several."""
        translator = self._open()
        running: deque[tuple[int, list[Output | None], list[_Part]]] = deque()
        for index, batch in enumerate(batches):
            running.append((index, *self._submit(translator, batch)))
            while running and (len(running) > 2 * self._workers or _is_done(running[0])):
                yield self._collect(*running.popleft())
        while running:
            done = next((entry for entry in running if _is_done(entry)), running[0])
            running.remove(done)
            yield self._collect(*done)

    def close(self) -> None:
        """Drop the translator; safe to call twice."""
        self._held.clear()

    def _open(self) -> Any:
        if "translator" not in self._held:
            try:
                self._held["translator"] = _library().Translator(
                    str(self._folder.path),
                    device=self._device,
                    device_index=self._device_index,
                    compute_type=self._compute_type,
                    inter_threads=self._workers,
                    intra_threads=self._intra_threads,
                )
            except (RuntimeError, ValueError) as error:
                raise EngineError(f"{self._folder.path}: CTranslate2 cannot load this model: {_line(error)}") from None
        return self._held["translator"]

    def _submit(self, translator: Any, batch: Sequence[Request]) -> tuple[list[Output | None], list[_Part]]:
        """Start decoding a batch; what needs no decoding is answered at once."""
        outputs: list[Output | None] = [None] * len(batch)
        groups: dict[int, list[tuple[int, Encoded]]] = {}
        limit = self.capabilities.max_tokens
        for position, request in enumerate(batch):
            if not request.text.strip():
                outputs[position] = Output(request.text)
                continue
            encoded = self._tokenizer.encode(request.text, request.src, request.tgt)
            if limit is not None and encoded.n_tokens > limit:
                error = f"length: {encoded.n_tokens} source tokens, the model takes {limit}"
                outputs[position] = Output("", "length", n_src_tokens=encoded.n_tokens, error=error)
            else:
                groups.setdefault(request.beam or self._beam, []).append((position, encoded))
        parts = []
        for beam, group in groups.items():
            sources = [encoded for _, encoded in group]
            has_prefix = any(encoded.prefix for encoded in sources)
            futures = translator.translate_batch(
                [encoded.tokens for encoded in sources],
                [encoded.prefix for encoded in sources] if has_prefix else None,
                beam_size=beam,
                length_penalty=self._length_penalty,
                max_input_length=0,  # 1024 would cut the source without a word
                max_decoding_length=max(self._limit(encoded) for encoded in sources),
                return_scores=True,
                return_end_token=True,  # the only proof that an output is complete
                asynchronous=True,
            )
            parts.append(_Part([position for position, _ in group], sources, futures))
        return outputs, parts

    def _collect(self, index: int, outputs: list[Output | None], parts: list[_Part]) -> tuple[int, list[Output]]:
        for part in parts:
            for position, encoded, future in zip(part.positions, part.sources, part.futures, strict=True):
                try:
                    result = future.result()
                except RuntimeError as error:  # of CTranslate2: out of memory, a length it cannot take
                    outputs[position] = Output(
                        "", "error", n_src_tokens=encoded.n_tokens, error=f"engine_error: CTranslate2: {_line(error)}"
                    )
                else:
                    outputs[position] = self._output(encoded, result.hypotheses[0], result.scores[0])
        return index, [output for output in outputs if output is not None]

    def _output(self, encoded: Encoded, hypothesis: list[str], score: float) -> Output:
        """Judge one hypothesis: the prefix counts in CTranslate2's limit and in the length that divides its score."""
        n_prefix = len(encoded.prefix)
        n_scored = len(hypothesis) - n_prefix
        mean = min(0.0, score * len(hypothesis) ** self._length_penalty / n_scored) if n_scored > 0 else None
        # The batch's limit is that of its longest source; its own limit makes an output independent of its neighbours.
        room = self._limit(encoded)
        complete = bool(hypothesis) and hypothesis[-1] == self._folder.eos and len(hypothesis) <= room
        tokens = hypothesis[n_prefix : len(hypothesis) - 1 if complete else room]
        decoded = self._tokenizer.decode(tokens, encoded)
        n_tgt = len(tokens) + complete
        if not complete:
            return Output(
                decoded.text,
                "length",
                None,
                encoded.n_tokens,
                n_tgt,
                len(encoded.unknown),
                f"length: no end after {len(tokens)} target tokens",
            )
        return Output(
            decoded.text,
            "error" if decoded.error else "stop",
            mean,
            encoded.n_tokens,
            n_tgt,
            len(encoded.unknown),
            decoded.error,
        )

    def _limit(self, encoded: Encoded) -> int:
        """Most target tokens, forced prefix included, as CTranslate2 counts them."""
        wanted = len(encoded.prefix) + int(self._max_ratio * encoded.n_tokens) + self._max_extra
        positions = self._folder.positions("decoder")
        return wanted if positions is None else min(wanted, positions - 1)


def _is_done(entry: tuple[int, list[Output | None], list[_Part]]) -> bool:
    return all(future.done() for part in entry[2] for future in part.futures)


def _device(name: str) -> tuple[str, int]:
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise RecipeError(f"engine.device: {name!r} is none of auto, cpu, cuda, cuda:N")
    n_cuda = 0 if kind == "cpu" else _library().get_cuda_device_count()
    if kind == "auto":
        kind = "cuda" if n_cuda else "cpu"
    if kind == "cuda" and int(index or 0) >= n_cuda:
        raise EngineError(
            f"device {name}: CTranslate2 sees {n_cuda} CUDA device{'s' if n_cuda != 1 else ''} here; use --device cpu"
        )
    return kind, int(index or 0)


def _compute_type(name: str, device: str) -> str:
    known = {"default", "auto", *_library().get_supported_compute_types(device)}
    if name not in known:
        raise RecipeError(
            f"engine.compute_type: {name!r} does not run on {device} here; it takes {', '.join(sorted(known))}"
        )
    return name


def _library() -> Any:
    import ctranslate2

    return ctranslate2


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
