"""The mini model that comes with the package: English to Hindi, Marathi and Tamil, for demonstration."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError, RecipeError
from dsbuild.translate.mini.masking import SYMBOLS, TEMPLATE, Masked, mask, unmask

FOLDER = Path(__file__).parent / "mini"
LANGS = ("hi", "mr", "ta")
LICENSE = "CC-BY-SA-3.0"  # of the Indian Parallel Corpora, which it was trained on among others
_FILES = ("model.bin", "config.json", "shared_vocabulary.json", "spm.model", "words.txt")
_EOS = "</s>"
_WARNING = (
    "warning: mini is a demonstration model for short, simple sentences; what it writes is often wrong, "
    "and no set that somebody trains on should be made with it\n"
)


def card() -> str:
    """The model's card: what it was trained on, for how long, scores, twelve outputs per language, and what it is not for."""
    path = FOLDER / "card.md"
    if not path.exists():
        raise EngineError(_absent(FOLDER, ["card.md"]))
    return path.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Query:
    """A request on its way: its place in the batch, its masked text and its pieces."""

    position: int
    masked: Masked
    pieces: list[str]


class MiniEngine:
    """Translate with the packaged model.

    beam: beam size; workers: translator threads (0: one per core); known_from: training sentences in the target
    language that make a word known. All other words, names and numbers are copied. Of the beam's hypotheses the best
    one that holds every copied item once is taken; where none does, the output is an error.

    n_unknown counts the source's words that are not known. Raises `EngineError` where the model's files are missing.
    """

    name = "mini"
    capabilities: Capabilities = Capabilities(
        max_tokens=100,
        scores=True,
        placeholder=TEMPLATE,
        protects=("url", "email", "code", "placeholder", "number"),
        beams=(8,),
    )
    folder: ClassVar[Path] = FOLDER
    compute_type: ClassVar[str] = "int8"

    def __init__(self, beam: int = 4, workers: int = 0, known_from: int = 8) -> None:
        for option, value, least in (("beam", beam, 1), ("workers", workers, 0), ("known_from", known_from, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"engine.{option}: {value!r} must be a number of at least {least}")
        self._beam, self.known_from = beam, known_from
        self._workers = workers or len(os.sched_getaffinity(0))
        self.capabilities = replace(
            type(self).capabilities, beams=tuple(size for size in type(self).capabilities.beams if size > beam)
        )
        # A Translator that is alive when the interpreter ends aborts the process, so a finalizer drops it first.
        self._held: dict[str, Any] = {}
        self._finalizer = weakref.finalize(self, self._held.clear)

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Digest of the packaged files and decoding options."""
        self._require()
        if "digest" not in self._held:
            digest = hashlib.sha256()
            for name in _FILES:
                digest.update((self.folder / name).read_bytes())
            self._held["digest"] = digest.hexdigest()
        return {
            "engine": self.name,
            "ctranslate2": importlib.metadata.version("ctranslate2"),
            "model_sha256": self._held["digest"],
            "beam": self._beam,
            "known_from": self.known_from,
        }

    def terms(self) -> Terms:
        """Licence and origin of the model."""
        return Terms(
            LICENSE,
            "dsbuild mini",
            "trained among others on Tatoeba (CC BY 2.0 FR) and the Indian Parallel Corpora (CC BY-SA 3.0); a demonstration model",
        )

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Raise `EngineError` unless the direction is from English to Hindi, Marathi or Tamil and the model is there."""
        for tgt in tgts:
            if src != "en" or tgt not in LANGS:
                wanted = f"not from {src} to {tgt}; --engine ctranslate2 serves other languages"
                raise EngineError(f"mini translates from en to hi, mr and ta only, {wanted}")
        self._require()

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Pieces of each text, end included, in the target language that needs most: each knows other words."""
        self.check(src, ())
        self._open()
        return [max(len(self._encode(text, lang)[1]) for lang in LANGS) for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Decode every batch by language and beam size; all that is in a batch is decoded at the same time."""
        for batch in batches:
            for request in batch:
                self.check(request.src, (request.tgt,))
        self._open()
        for index, batch in enumerate(batches):
            yield index, self._translate(batch)

    def close(self) -> None:
        """Drop the translator; safe to call twice."""
        self._held.clear()

    def _require(self) -> None:
        if missing := [name for name in _FILES if not (self.folder / name).exists()]:
            raise EngineError(_absent(self.folder, missing))

    def _open(self) -> None:
        if "translator" in self._held:
            return
        self._require()
        import ctranslate2
        import sentencepiece

        self._held["pieces"] = sentencepiece.SentencePieceProcessor(model_file=str(self.folder / "spm.model"))
        known: dict[str, set[str]] = {lang: set() for lang in LANGS}
        for line in (self.folder / "words.txt").read_text(encoding="utf-8").splitlines():
            word, *counts = line.split("\t")
            for lang, count in zip(LANGS, counts, strict=True):
                if int(count) >= self.known_from:
                    known[lang].add(word)
        self._held["known"] = known
        vocabulary = json.loads((self.folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
        slices = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["slices"]
        self._held["refused"] = {
            lang: [[piece] for index, piece in enumerate(vocabulary) if not int(bits, 16) >> index & 1]
            for lang, bits in slices.items()
        }
        try:
            self._held["translator"] = ctranslate2.Translator(
                str(self.folder),
                device="cpu",
                compute_type=self.compute_type,
                inter_threads=self._workers,
                intra_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"mini: CTranslate2 cannot load {self.folder / 'model.bin'}: {' '.join(str(error).split())}"
            ) from None
        sys.stderr.write(_WARNING)

    def _encode(self, text: str, tgt: str) -> tuple[Masked, list[str]]:
        masked = mask(text, self._held["known"][tgt])
        return masked, [*self._held["pieces"].encode(masked.text, out_type=str), _EOS]

    def _translate(self, batch: Sequence[Request]) -> list[Output]:
        outputs: dict[int, Output] = {}
        groups: dict[tuple[str, int, int], list[_Query]] = {}
        for position, request in enumerate(batch):
            masked, pieces = self._encode(request.text, request.tgt)
            limit = self.capabilities.max_tokens or 0
            if masked.is_bare:
                outputs[position] = Output(request.text, n_src_tokens=len(pieces), n_unknown=masked.n_unknown)
            elif len(masked.items) > len(SYMBOLS):
                error = f"engine_error: {len(masked.items)} names, numbers and unknown words, the model carries {len(SYMBOLS)}"
                outputs[position] = Output(
                    "", "error", n_src_tokens=len(pieces), n_unknown=masked.n_unknown, error=error
                )
            elif len(pieces) > limit:
                error = f"length: {len(pieces)} source tokens, the model takes {limit}"
                outputs[position] = Output(
                    "", "length", n_src_tokens=len(pieces), n_unknown=masked.n_unknown, error=error
                )
            else:
                groups.setdefault((request.tgt, request.beam or self._beam, len(masked.items)), []).append(
                    _Query(position, masked, pieces)
                )
        running = [
            (queries, self._submit(tgt, beam, n_items, queries)) for (tgt, beam, n_items), queries in groups.items()
        ]
        for queries, futures in running:
            for query, future in zip(queries, futures, strict=True):
                try:
                    result = future.result()
                except RuntimeError as error:  # of CTranslate2: out of memory
                    outputs[query.position] = Output(
                        "", "error", n_src_tokens=len(query.pieces), error=f"engine_error: CTranslate2: {error}"
                    )
                else:
                    outputs[query.position] = self._choose(query, result)
        return [outputs[position] for position in range(len(batch))]

    def _submit(self, tgt: str, beam: int, n_items: int, queries: Sequence[_Query]) -> list[Any]:
        """Start decoding queries with as many items; placeholders that they do not hold cannot be said."""
        futures: list[Any] = self._held["translator"].translate_batch(
            [query.pieces for query in queries],
            [[f"__{tgt}__"]] * len(queries),
            beam_size=beam,
            num_hypotheses=beam,
            length_penalty=1.0,
            max_input_length=0,
            max_decoding_length=max(_room(query) for query in queries),
            suppress_sequences=[*self._held["refused"][tgt], *([symbol] for symbol in SYMBOLS[n_items:])],
            return_scores=True,
            return_end_token=True,
            asynchronous=True,
        )
        return futures

    def _choose(self, query: _Query, result: Any) -> Output:
        """The best complete hypothesis with all its items; else the best, as an error or a cut output."""
        judged = [
            self._judge(query, pieces, score) for pieces, score in zip(result.hypotheses, result.scores, strict=True)
        ]
        return next((output for output in judged if output.finish == "stop"), judged[0])

    def _judge(self, query: _Query, pieces: Sequence[str], score: float) -> Output:
        room = _room(query)
        complete = bool(pieces) and pieces[-1] == _EOS and len(pieces) <= room
        said = self._held["pieces"].decode(pieces[:-1] if complete else pieces[:room])
        text, wrong = unmask(said, query.masked.items)
        n_src, n_tgt, n_unknown = len(query.pieces), min(len(pieces), room), query.masked.n_unknown
        if not complete:
            return Output(text, "length", None, n_src, n_tgt, n_unknown, f"length: no end after {n_tgt} target tokens")
        mean = min(0.0, score)
        if wrong:
            return Output(
                text, "error", mean, n_src, n_tgt, n_unknown, f"protected_lost: not copied once: {', '.join(wrong)}"
            )
        return Output(text, "stop", mean, n_src, n_tgt, n_unknown)


def _room(query: _Query) -> int:
    """Most target pieces, end included: an output's own limit makes it independent of its neighbours."""
    return min(150, 2 * len(query.pieces) + 15)


def _absent(folder: Path, missing: Sequence[str]) -> str:
    return f"mini: {', '.join(missing)} not in {folder}: this package holds no trained model; train it with `make mini`, or use another --engine"
