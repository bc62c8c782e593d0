"""Translate distinct segments: memory, token batches, journal, retry ladder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa

from dsbuild.engine import Output, TranslationEngine
from dsbuild.errors import EngineError
from dsbuild.registry import load
from dsbuild.stage import Result, Shard, Workspace, digest
from dsbuild.translate.engines import shared_engine
from dsbuild.translate.journal import Journal, pack, unpack
from dsbuild.translate.ladder import RUNGS, Attempt, Ladder, Outcome, Query, is_unreachable
from dsbuild.translate.recall import Entry, TranslationMemory

# `rung` says where a text came from: 0 to 3, the engine's rungs of the retry ladder (first, beam, split, plain); 4 to 7, those of the
# fallback; 8, from none: it failed on all.
RUNG_FAILED = 2 * len(RUNGS)
_SPLIT = RUNGS.index("split")

TRANSLATED = pa.schema(
    [
        pa.field("uid", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("failure", pa.string(), nullable=False),  # hard failure that stayed, "" if none
        pa.field("logprob", pa.float64()),  # mean per target token, null where the engine gives none
        pa.field("n_src_tokens", pa.int32(), nullable=False),
        pa.field("n_tgt_tokens", pa.int32(), nullable=False),
        pa.field("n_unknown", pa.int32()),  # source words that the engine does not know, null where it cannot tell
        pa.field("rung", pa.int8(), nullable=False),  # see RUNG_FAILED
        pa.field("terms_missing", pa.int32(), nullable=False),
    ]
)
PHRASE = pa.struct([pa.field("source", pa.string(), nullable=False), pa.field("target", pa.string(), nullable=False)])
PHRASES = pa.schema(
    [
        pa.field("uid", pa.int64(), nullable=False),
        # What must come out of this text in one fixed form.
        pa.field("phrases", pa.list_(pa.field("element", PHRASE, nullable=False)), nullable=False),
    ]
)
# Further columns where similar segments were shown: how many, and the score of the most similar, null where there was none.
SHOWN = (pa.field("n_examples", pa.int32(), nullable=False), pa.field("example_score", pa.float64()))


@dataclass(frozen=True)
class EngineChoice:
    """An engine by name and options. The options do not enter keys: the engine's fingerprint does."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class TranslateSegments:
    """Translate the distinct segments of a unit into one language.

    batch_tokens: padded source tokens of an engine batch (None: the engine's own); protects: kinds of items that must come out as they
    went in (None: the engine's own list); terms: fixed translations, source to target; hard: the
    "module:function" that names threshold-free failures; fallback: tried last, for what still fails hard; about: what the recipe says of
    the set, for engines that read it. unreachable: what becomes of texts to which a language model gave no answer after all retries: "stop"
    raises `EngineError` when all others are done, and the next run asks those alone; "fail" takes them as failed.
    """

    src: str
    tgt: str
    engine: EngineChoice
    hard: str
    batch_tokens: int | None = None
    protects: tuple[str, ...] | None = None
    terms: Mapping[str, str] = field(default_factory=dict)
    fallback: EngineChoice | None = None
    about: str = ""
    unreachable: Literal["stop", "fail"] = "stop"

    name: ClassVar[str] = "translate"
    version: ClassVar[int] = 4
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """segments (`UNIQUE`) -> out (`TRANSLATED`), row by row.

        Further inputs, where there are any: examples (`EXAMPLES`), which add the columns `SHOWN`; phrases (`PHRASES`).
        """
        texts: list[str] = inputs["segments"]["text"].to_pylist()
        similar = inputs["examples"]["examples"].to_pylist() if "examples" in inputs else None
        shown = [[[one["source"], one["target"]] for one in reversed(some)] for some in similar or [()] * len(texts)]
        fixed = inputs["phrases"]["phrases"].to_pylist() if "phrases" in inputs else [()] * len(texts)
        own = [{one["source"]: one["target"] for one in some} for some in fixed]
        whole: list[bool] = inputs["segments"]["whole"].to_pylist()
        entries: dict[int, Entry] = {}
        failures: dict[int, Outcome] = {}
        reads: list[bool] = []
        n_remembered = n_src = n_tgt = 0
        seconds = 0.0
        with Journal(work.scratch() / "journal") as journal:
            for place, choice in enumerate(filter(None, (self.engine, self.fallback))):
                engine = shared_engine(choice.name, choice.options)
                reads.append(engine.capabilities.examples)
                memory = TranslationMemory(
                    work.store / "memory" / self._memory_id(engine) / f"{self.src}-{self.tgt}.sqlite"
                )
                todo = [index for index in range(len(texts)) if index not in entries]
                climb = _Climb(self, engine, journal, f"{place} {engine.name}", texts, shown, own)
                asked = [climb.remembered_as(text, index) for index, text in enumerate(texts)]
                known = climb.remembered(memory, [asked[index] for index in todo], [whole[index] for index in todo])
                entries |= {todo[index]: _on_rung(entry, place) for index, entry in known.items()}
                n_remembered += len(known)
                todo = [index for index in todo if index not in entries]
                started = time.perf_counter()
                fresh, failures = climb.translate(texts, whole, todo)
                seconds += time.perf_counter() - started
                memory.add((asked[index], entry) for index, entry in fresh.items() if index not in climb.unanswered)
                climb.stop_if_unanswered()
                entries |= {index: _on_rung(entry, place) for index, entry in fresh.items()}
                n_src += sum(entry[2] for entry in fresh.values())
                n_tgt += sum(entry[3] for entry in fresh.values())
        n_src += sum(outcome.n_src_tokens for outcome in failures.values())
        n_tgt += sum(outcome.n_tgt_tokens for outcome in failures.values())
        rows = [_row(entries.get(index), failures.get(index)) for index in range(len(texts))]
        columns = list(zip(*rows, strict=True)) if rows else [()] * (len(TRANSLATED) - 1)
        out = pa.table(
            [inputs["segments"]["uid"], *(pa.array(column) for column in columns)], names=TRANSLATED.names
        ).cast(TRANSLATED)
        if similar is not None:
            out = _with_shown(out, similar, reads)
        measured = {
            "segments": float(len(texts)), "remembered": float(n_remembered),
            # Of what the engines said now: remembered translations took them no time.
            "tgt_tokens": float(n_tgt), "src_tokens": float(n_src), "engine_seconds": round(seconds, 3),
        }  # fmt: skip
        return Result({"out": [Shard(out)]}, facts={"failed": len(failures)}, measured=measured)

    def _memory_id(self, engine: TranslationEngine) -> str:
        said = [engine.fingerprint(), self.protects, sorted(self.terms.items()), self.hard, self.version, self.about]
        return digest(json.dumps(said, sort_keys=True, ensure_ascii=False))


def _with_shown(out: pa.Table, similar: Sequence[Sequence[Mapping[str, Any]]], reads: Sequence[bool]) -> pa.Table:
    """The table with `SHOWN`. reads: of each engine, whether it reads examples; one that failed was the first engine's."""
    engine_of = [rung // len(RUNGS) if rung < RUNG_FAILED else 0 for rung in out["rung"].to_pylist()]
    seen = [some if reads[engine] else () for some, engine in zip(similar, engine_of, strict=True)]
    best = [max((one["score"] for one in some), default=None) for some in seen]
    for column, values in zip(SHOWN, ([len(some) for some in seen], best), strict=True):
        out = out.append_column(column, pa.array(values, column.type))
    return out


def _on_rung(entry: Entry, place: int) -> Entry:
    """An entry with its rung numbered through over the engines; memories count each engine's from 0."""
    text, score, n_src, n_tgt, n_unknown, rung, terms = entry
    return text, score, n_src, n_tgt, n_unknown, place * len(RUNGS) + rung, terms


def _row(entry: Entry | None, failure: Outcome | None) -> tuple[Any, ...]:
    if entry is not None:
        text, score, n_src, n_tgt, n_unknown, rung, terms = entry
        return text, "", score, n_src, n_tgt, n_unknown, rung, terms
    assert failure is not None
    return (
        failure.text,
        failure.rule,
        failure.score,
        failure.n_src_tokens,
        failure.n_tgt_tokens,
        failure.n_unknown,
        RUNG_FAILED,
        0,
    )


class _Climb:
    """One engine's way up the ladder for the segments of a unit."""

    def __init__(
        self, stage: TranslateSegments, engine: TranslationEngine, journal: Journal, label: str, texts: Sequence[str],
        shown: Sequence[Any], own: Sequence[Mapping[str, str]],
    ) -> None:  # fmt: skip
        self.stage = stage
        self.own = own
        self.shown = shown if engine.capabilities.examples else [()] * len(shown)
        self.engine = engine
        self.journal = journal
        # Tells the entries of two engines apart, which may be the same one with two models.
        self.label = label
        # Segments that wait for an answer of the next run, and what the engine said instead of one.
        self.unanswered: dict[int, str] = {}
        protects = engine.capabilities.protects if stage.protects is None else stage.protects
        self.ladder = Ladder(
            src=stage.src, tgt=stage.tgt, capabilities=engine.capabilities, count=engine.count_tokens, hard=load(stage.hard),
            protects=protects, terms=stage.terms, own={text: phrases for text, phrases in zip(texts, own, strict=True) if phrases},
        )  # fmt: skip

    def remembered(self, memory: TranslationMemory, texts: list[str], whole: list[bool]) -> dict[int, Entry]:
        """What the memory knows, as it was when the unit was begun: a resumed unit must form the same batches.

        What was translated in pieces is not taken for a text that may not be cut.
        """
        key = f"{self.label}/memory"
        if key not in self.journal.entries:
            found = sorted(memory.lookup(texts).items())
            self.journal.add(
                key, [[index, *entry] for index, entry in found if not (whole[index] and entry[5] == _SPLIT)]
            )
        return {index: tuple(entry) for index, *entry in self.journal.entries[key]}

    def remembered_as(self, text: str, index: int) -> str:
        """What a translation is remembered under: the text, with the examples and phrases that went along with it."""
        beside = [self.shown[index], self.own[index]]
        return f"{text}\n\n{json.dumps(beside, ensure_ascii=False)}" if any(beside) else text

    def _told(self, index: int) -> dict[str, Any]:
        told = {"examples": self.shown[index], "about": self.stage.about if self.engine.capabilities.about else ""}
        return {name: value for name, value in told.items() if value}

    def translate(
        self, texts: Sequence[str], whole: Sequence[bool], todo: list[int]
    ) -> tuple[dict[int, Entry], dict[int, Outcome]]:
        """Entries of what was translated, and the first outcome of what failed on every rung."""
        fresh: dict[int, Entry] = {}
        failed: dict[int, Outcome] = {}
        for number, rung in enumerate(RUNGS):
            if not todo:
                break
            made = self.ladder.attempts(rung, [texts[index] for index in todo], [whole[index] for index in todo])
            attempts = dict(zip(todo, made, strict=True))
            asked = {
                index: attempt.told(told) if (told := self._told(index)) else attempt
                for index, attempt in attempts.items()
                if attempt is not None
            }
            for index, answered in self._ask(rung, asked):
                outcome = self.ladder.judge(texts[index], asked[index], answered)
                if outcome.rule:
                    # What went wrong at first is the reason; later rungs ask in ways that the engine knows less well.
                    failed.setdefault(index, outcome)
                else:
                    fresh[index] = self._entry(texts[index], outcome, number)
            if self.engine.capabilities.terms:
                fresh |= self._insisted(number, texts, asked, fresh)
            todo = [index for index in todo if index not in fresh and index not in self.unanswered]
        return fresh, {index: failed[index] for index in todo}

    def stop_if_unanswered(self) -> None:
        """Raise `EngineError` where segments are to be asked for again by the next run."""
        if self.unanswered:
            *_, detail = self.unanswered.values()
            raise EngineError(
                f"engine {self.engine.name}: {len(self.unanswered):,} of {len(self.own):,} texts got no answer "
                f"({detail.removeprefix('unreachable: ')}); run the same command again: only they are asked, what was translated is kept. "
                "Or take them as failed: --set unreachable=fail"
            )

    def _entry(self, text: str, outcome: Outcome, rung: int) -> Entry:
        missing = len(self.ladder.terms_missing(text, outcome.text))
        return (
            outcome.text, outcome.score, outcome.n_src_tokens, outcome.n_tgt_tokens, outcome.n_unknown, rung, missing,
        )  # fmt: skip

    def _insisted(
        self, rung: int, texts: Sequence[str], asked: Mapping[int, Attempt], fresh: Mapping[int, Entry]
    ) -> dict[int, Entry]:
        """Entries that hold more of the fixed terms, after asking once again for those that were left out, by their names."""
        again = {
            index: asked[index].told({"missing": missing})
            for index, entry in fresh.items()
            if entry[5] == rung and (missing := self.ladder.terms_missing(texts[index], entry[0]))
        }
        better: dict[int, Entry] = {}
        for index, answered in self._ask(f"{RUNGS[rung]} terms", again):
            outcome = self.ladder.judge(texts[index], again[index], answered)
            entry = self._entry(texts[index], outcome, rung)
            if not outcome.rule and entry[6] < fresh[index][6]:
                better[index] = entry
        return better

    def _ask(self, rung: str, attempts: Mapping[int, Attempt]) -> Iterator[tuple[int, list[Output]]]:
        """The outputs of every query of an attempt, in order, from the journal or the engine.

        An attempt is yielded as soon as it is whole, so that it is judged while the engine works on the next.
        """
        queries = [(index, query) for index, attempt in attempts.items() for query in attempt.queries()]
        batches = self._batches([query for _, query in queries])
        keys = [
            f"{self.label}/{rung}/{number}/{self._batch_id(queries, batch)}" for number, batch in enumerate(batches)
        ]
        answers: dict[int, Output] = {}
        places: dict[int, list[int]] = {index: [] for index in attempts}
        for place, (index, _) in enumerate(queries):
            places[index].append(place)
        yield from ((index, []) for index, own in places.items() if not own)

        def whole(number: int) -> Iterator[tuple[int, list[Output]]]:
            answers.update(zip(batches[number], unpack(self.journal.entries[keys[number]]), strict=True))
            for index in dict.fromkeys(queries[place][0] for place in batches[number]):
                if all(place in answers for place in places[index]):
                    yield index, [answers.pop(place) for place in places[index]]

        missing = [number for number, key in enumerate(keys) if key not in self.journal.entries]
        for number in sorted(set(range(len(batches))) - set(missing)):
            yield from whole(number)
        requests = [[queries[place][1].request for place in batches[number]] for number in missing]
        for done, outputs in self.engine.translate_batches(requests) if requests else ():
            if self.stage.unreachable == "stop" and (said := [one.error for one in outputs if is_unreachable(one)]):
                self.unanswered |= dict.fromkeys((queries[place][0] for place in batches[missing[done]]), said[-1])
                continue
            self.journal.add(keys[missing[done]], pack(outputs))
            yield from whole(missing[done])

    def _batch_id(self, queries: Sequence[tuple[int, Query]], batch: Sequence[int]) -> str:
        return digest(*(f"{queries[place][1].request.beam}\n{queries[place][1].request.text}" for place in batch))

    def _batches(self, queries: Sequence[Query]) -> list[list[int]]:
        """Longest first, as many to a batch as the padded token budget holds: a pure function of the queries."""
        lengths = self.engine.count_tokens([query.request.text for query in queries], self.stage.src)
        order = sorted(range(len(queries)), key=lambda place: (-lengths[place], place))
        budget = self.stage.batch_tokens or self.engine.capabilities.batch_tokens
        batches: list[list[int]] = []
        for place in order:
            if batches and (len(batches[-1]) + 1) * max(1, lengths[batches[-1][0]]) <= budget:
                batches[-1].append(place)
            else:
                batches.append([place])
        return batches
