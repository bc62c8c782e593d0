"""Tokens per second of the translation path against bare CTranslate2 and transformers, as ratios within one run.

A 60M model of M2M100's shape (6+6 layers, width 512, vocabulary 32k; see `cipher.py`) is made here, converted to int8 and
run by two workers. Each repetition times, one after another:

  pipeline           `TranslateSegments` through the hosted engine, with protection, hard checks, journal, memory and store
  bare               one call of `Translator.translate_batch` for the same texts and scores: the same distinct segments,
                     tokenised and sorted beforehand, batches of 1,024 tokens, greedy, one thread for each of two workers
  bare_no_scores     the same without scores, which spares CTranslate2 a softmax over the vocabulary at each step
  transformers       `generate`, float32, greedy, sorted batches of 32, two threads, on evenly spaced batches of the same list
  whole              segment, unique, translate, check and assemble, of rows in which 30 % of the segments are repeats
  bare_raw           `bare` on the list with the repeats

What is compared says the same: every text is checked. Figures are medians over repetitions of the ratios within each; the
order alternates. Loading a model counts for nobody.

    python bench/translate.py [--segments N] [--repetitions N] [--quick] [--format json]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cipher
import numpy as np
import pyarrow as pa
from texts import Prose

from dsbuild import executors, parquet, run
from dsbuild.builders.translation.translated import HARD
from dsbuild.engine import TranslationEngine
from dsbuild.filters.checks import CheckTranslations
from dsbuild.graph import Input, Node, Progress
from dsbuild.stage import Result, Shard, Workspace
from dsbuild.store import Store
from dsbuild.tables import CORPUS
from dsbuild.translate.assemble import AssembleRows
from dsbuild.translate.engines import close_engines, shared_engine
from dsbuild.translate.segments import SegmentRows
from dsbuild.translate.translation import EngineChoice, TranslateSegments
from dsbuild.translate.unique import UniqueSegments

# Name, what is compared with what, and the ratio to reach (None: for information).
PAIRS = (
    ("pipeline_over_bare", "pipeline", "bare", 0.95),
    ("pipeline_over_bare_no_scores", "pipeline", "bare_no_scores", None),
    ("pipeline_over_transformers", "pipeline", "transformers", 4.0),
    ("whole_over_bare_with_repeats", "whole", "bare_raw", 1.3),
)
WORKERS = 2
BATCH_TOKENS = 1024  # measured as CTranslate2's best on this kind of model (256, 2048 and 4096 are slower)
REPEATED = 0.3
PER_ROW = 3
_PAD = 1


@dataclass(frozen=True)
class Given:
    """The rows of the bench, as a source would hand them over."""

    digest: str
    rows: pa.Table = field(compare=False)

    name: ClassVar[str] = "given"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out."""
        return Result({"out": [Shard(self.rows)]})


def rows_of(sentences: Sequence[str], per_row: int) -> pa.Table:
    """Corpus rows of so many sentences each."""
    texts = [" ".join(sentences[start : start + per_row]) for start in range(0, len(sentences), per_row)]
    ids = [f"d{number}" for number in range(len(texts))]
    same = [[value] * len(texts) for value in ("", "en", "bench")]
    return pa.table([ids, same[0], texts, same[1], same[2], ids], schema=CORPUS)


def nodes_of(name: str, rows: pa.Table, engine: TranslationEngine, choice: EngineChoice) -> list[Node]:
    """The translation path of a build, from rows to rows."""
    fields = ("text",)
    translate = TranslateSegments("en", "hi", choice, HARD)
    return [
        Node("given", Given(name, rows)),
        Node("segment", SegmentRows("en", fields), {"rows": Input("given")}),
        Node("unique", UniqueSegments(), {"corpus": Input("segment", how="all")}),
        Node("translate", translate, {"segments": Input("unique")}, {choice.name: dict(engine.fingerprint())}),
        Node(
            "check", CheckTranslations("en", "hi"), {"segments": Input("unique"), "translated": Input("translate")}
        ),
        Node(
            "assemble", AssembleRows("hi", "doc_id", fields),
            {
                "uids": Input("unique", "corpus"), "rows": Input("given"), "segments": Input("segment"),
                "translated": Input("translate", how="needed"), "checked": Input("check", how="needed"),
            },
        ),
    ]  # fmt: skip


@dataclass
class Timed:
    """One measurement: wall seconds, CPU seconds of this process and its children, target tokens."""

    wall_s: float
    cpu_s: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.wall_s

    @property
    def per_cpu_second(self) -> float:
        """Tokens per CPU second."""
        return self.tokens / self.cpu_s


def timed(work: Callable[[], int]) -> Timed:
    """Time a piece of work that returns its number of target tokens."""
    gc.collect()
    cpu, started = _cpu_seconds(), time.perf_counter()
    tokens = work()
    return Timed(time.perf_counter() - started, _cpu_seconds() - cpu, tokens)


def _cpu_seconds() -> float:
    """Of this process and of its living children; the children where /proc tells."""
    total = time.process_time()
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Bench:
    """The model in its three forms, and what is timed with each."""

    def __init__(self, work: Path, shape: cipher.Shape) -> None:
        import ctranslate2
        import torch
        from transformers import M2M100ForConditionalGeneration, M2M100Tokenizer
        from transformers.utils.logging import disable_progress_bar

        from dsbuild.translate.ctranslate2 import CTranslate2Engine
        from dsbuild.translate.fetching import convert

        disable_progress_bar()
        checkpoint = cipher.make(work / "checkpoint", shape)
        folder = convert(str(checkpoint), out=work / "model")
        torch.set_num_threads(WORKERS)
        self.work = work
        self.choice = EngineChoice("ctranslate2", {"model": str(folder), "workers": WORKERS, "device": "cpu"})
        self.hosted = shared_engine(self.choice.name, self.choice.options)
        self.tokenizer = CTranslate2Engine(**self.choice.options)._tokenizer
        words = M2M100Tokenizer(str(checkpoint / "vocab.json"), str(checkpoint / "sentencepiece.bpe.model"))
        self.ids: dict[str, int] = {**words.get_vocab(), **words.lang_token_to_id}
        self.n_runs = 0
        self.translator = ctranslate2.Translator(
            str(folder), device="cpu", compute_type="int8", inter_threads=WORKERS, intra_threads=1
        )
        self.transformer = M2M100ForConditionalGeneration.from_pretrained(checkpoint).eval()

    def close(self) -> None:
        """A translator that is alive at exit aborts the process."""
        del self.translator
        close_engines()

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """The source tokens of texts."""
        return [self.tokenizer.encode(text, "en", "hi").tokens for text in texts]

    def bare(self, sources: list[list[str]], expected: Sequence[str], *, scores: bool = True) -> Timed:
        """One call of CTranslate2 with its best documented settings, nothing around it."""
        hypotheses: list[list[str]] = []

        def work() -> int:
            results = self.translator.translate_batch(
                sources, [["__hi__"]] * len(sources), beam_size=1, max_batch_size=BATCH_TOKENS, batch_type="tokens",
                max_input_length=0, max_decoding_length=512, return_scores=scores,
            )  # fmt: skip
            hypotheses.extend(result.hypotheses[0][1:] for result in results)
            return sum(len(tokens) + 1 for tokens in hypotheses)

        result = timed(work)
        _same(["".join(tokens).replace("▁", " ").strip() for tokens in hypotheses], expected)
        return result

    def path(self, rows: pa.Table, upto: str, done: str, expected: Sequence[str]) -> Timed:
        """The path up to a node in a fresh store; what comes up to the node `done` is there before the clock starts."""
        self.n_runs += 1
        store = Store(self.work / f"store-{self.n_runs}")
        nodes = nodes_of(str(self.n_runs), rows, self.hosted, self.choice)
        names = [node.name for node in nodes]
        executor = executors.make("in-process", None)
        run.run(nodes[: names.index(done) + 1], store, "bench", executor)
        progress: list[Progress] = []

        def work() -> int:
            progress.append(run.run(nodes[: names.index(upto) + 1], store, "bench", executor))
            return 0

        result = timed(work)
        table = pa.concat_tables(parquet.read(one.path) for one in progress[0].shards(Input(upto)))
        result.tokens = sum(table["n_tgt_tokens"].to_pylist())
        _same(table["text"].to_pylist(), expected)
        return result

    def transformers(self, batches: Sequence[Sequence[Sequence[str]]]) -> Timed:
        """`generate` on batches of source tokens; padding is not counted."""
        import torch

        made = []
        for batch in batches:
            longest = max(map(len, batch))
            rows = [[*map(self.ids.__getitem__, tokens), *[_PAD] * (longest - len(tokens))] for tokens in batch]
            made.append(torch.tensor(rows))

        def work() -> int:
            tokens = 0
            with torch.inference_mode():
                for ids in made:
                    out = self.transformer.generate(
                        input_ids=ids, attention_mask=ids.ne(_PAD).long(), forced_bos_token_id=self.ids["__hi__"],
                        num_beams=1, do_sample=False, max_new_tokens=512,
                    )  # fmt: skip
                    tokens += int((out[:, 2:] != _PAD).sum())  # without the start token and the language
            return tokens

        return timed(work)


def _same(got: Sequence[str], expected: Sequence[str]) -> None:
    wrong = sum(one != other for one, other in zip(got, expected, strict=True))
    if wrong > len(expected) // 500:
        raise SystemExit(f"{wrong} of {len(expected)} outputs are not what the model says: the bench compares nothing")


def repeated(sentences: Sequence[str]) -> list[str]:
    """As many segments in random order, of which `REPEATED` stand somewhere else too; a multiple of `PER_ROW` of them."""
    rng = np.random.default_rng(4)
    n_fresh = round(len(sentences) * (1 - REPEATED))
    places = np.concatenate((np.arange(n_fresh), rng.integers(0, n_fresh, len(sentences) - n_fresh)))
    drawn = [sentences[place] for place in rng.permutation(places)]
    return drawn[: len(drawn) // PER_ROW * PER_ROW]


def measure(bench: Bench, n_segments: int, n_transformers: int, repetitions: int) -> list[dict[str, Timed]]:
    """Everything `repetitions` times, in alternating order, after a short round that is not counted."""
    arrived = Prose(seed=11).distinct(n_segments)
    raw = repeated(arrived)
    rows, raw_rows = rows_of(arrived, 1), rows_of(raw, PER_ROW)
    said, raw_said = [cipher.encipher(text) for text in arrived], [cipher.encipher(text) for text in raw]
    raw_rows_said = [cipher.encipher(text) for text in raw_rows["text"].to_pylist()]
    raw_sources = bench.tokens(raw)
    longest_first = sorted(zip(bench.tokens(arrived), said, strict=True), key=lambda pair: -len(pair[0]))
    sources, sorted_said = [tokens for tokens, _ in longest_first], [text for _, text in longest_first]
    starts = np.linspace(0, n_segments - 32, max(1, n_transformers // 32)).astype(int).tolist()
    batches = [sources[start : start + 32] for start in starts]
    works: list[tuple[str, Callable[[], Timed]]] = [
        ("bare", lambda: bench.bare(sources, sorted_said)),
        ("pipeline", lambda: bench.path(rows, "translate", "unique", said)),
        ("bare_no_scores", lambda: bench.bare(sources, sorted_said, scores=False)),
        ("transformers", lambda: bench.transformers(batches)),
        ("bare_raw", lambda: bench.bare(raw_sources, raw_said)),
        ("whole", lambda: bench.path(raw_rows, "assemble", "given", raw_rows_said)),
    ]
    bench.path(rows_of(arrived[:64], 1), "assemble", "given", said[:64])
    bench.bare(sources[-64:], sorted_said[-64:])
    bench.transformers([batches[-1]])
    measured = []
    for repetition in range(repetitions):
        found = {name: work() for name, work in (works if repetition % 2 == 0 else works[::-1])}
        measured.append(found)
        print(" ".join(f"{name} {one.rate:.0f}" for name, one in sorted(found.items())), file=sys.stderr)
    return measured


def report(measured: Sequence[Mapping[str, Timed]]) -> dict[str, Any]:
    """Medians of the ratios, every repetition's, and the ratio of tokens per CPU second, which other work disturbs less."""
    ratios: dict[str, Any] = {}
    for name, first, second, goal in PAIRS:
        found = [one[first].rate / one[second].rate for one in measured]
        by_cpu = [one[first].per_cpu_second / one[second].per_cpu_second for one in measured]
        ratios[name] = {
            "median": round(statistics.median(found), 3), "goal": goal, "all": [round(one, 3) for one in found],
            "by_cpu_seconds": round(statistics.median(by_cpu), 3),
        }  # fmt: skip
    rates = {name: round(statistics.median(one[name].rate for one in measured), 1) for name in measured[0]}
    return {"ratios": ratios, "tokens_per_s": rates}


def main() -> int:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=1024)
    parser.add_argument("--transformers-segments", type=int, default=96)
    parser.add_argument("--repetitions", type=int, default=4)
    parser.add_argument(
        "--quick", action="store_true", help="a toy model and few segments: shows that it runs, measures nothing"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    shape = cipher.TOY if options.quick else cipher.Shape()
    if options.quick:
        options.segments, options.transformers_segments, options.repetitions = 48, 8, 1
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as name:
        bench = Bench(Path(name), shape)
        try:
            measured = measure(bench, options.segments, options.transformers_segments, options.repetitions)
        finally:
            bench.close()
    found = {**report(measured), "segments": options.segments, "repetitions": options.repetitions, "workers": WORKERS}
    print(json.dumps(found) if options.format == "json" else json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
