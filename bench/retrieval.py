"""First stages against their peers: `python bench/retrieval.py bm25|exact|mining|calibrated [--quick] [--full] [--format json]`.

bm25: search against bare bm25s with its numba backend on the same index terms, the same k and the same number of threads; `ratio` is our
seconds over its. exact: top k by dot product against numpy's product and argpartition in the largest blocks that fit 1 GB, and against the
bound: the product alone, in our blocks, kept by nobody. mining: candidates and margin-bounded negatives for n queries x m passages of
384-dimensional vectors against sentence-transformers' `mine_hard_negatives` on the same vectors (its encoder looks them up), each in a process
of its own, the peer with and without its FAISS index (`ratio`: the faster one's seconds over ours); peak memory beyond the vectors. The
default is a tenth of 100,000 x 1,000,000 on each side, `--full` is all of it. calibrated: what that rule costs beside `percpos` (`calibrated.py`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from calibrated import calibrated

from dsbuild.builders.retrieval import exact_search
from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.retriever import Collection, cores

DIM, DEPTH, NEGATIVES, MARGIN = 384, 50, 4, 0.95
# The blocks of `exact_search`.
QUERIES, DOCUMENTS = 1_024, 16_384


def timed(work: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each pass after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def bm25(*, quick: bool, full: bool) -> dict[str, Any]:
    """Search over texts of words drawn by Zipf's law, our terms for both sides."""
    import bm25s

    documents, queries, k = (2_000, 50, 10) if quick else (200_000, 1_000, 100)
    draw = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(100_000)])
    texts = [
        " ".join(words[np.minimum(draw.zipf(1.3, size) - 1, len(words) - 1)])
        for size in draw.integers(20, 100, documents)
    ]
    asked = [
        " ".join(words[np.minimum(draw.zipf(1.2, size) - 1, len(words) - 1)]) for size in draw.integers(3, 12, queries)
    ]
    corpus, wanted = collection(texts), collection(asked)
    ours = BM25()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ours.index(corpus, Path(folder))
        index_s = time.perf_counter() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = bm25s.BM25(k1=ours.k1, b=ours.b, method=ours.method, backend="numba")
        start = time.perf_counter()
        peer.index([text.split() for text in texts], show_progress=False)
        peer_index_s = time.perf_counter() - start
        tokens = [text.split() for text in asked]
        answers: dict[str, Any] = {}

        def search_ours() -> None:
            answers["ours"] = ours.search(wanted, k)

        def search_peer() -> None:
            answers["peer"] = peer.retrieve(tokens, k=k, show_progress=False, n_threads=cores())

        repeats = 1 if quick else 5
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(repeats):
            times["ours"] += timed(search_ours, 1)
            times["peer"] += timed(search_peer, 1)
    same = np.isclose(answers["ours"][1], answers["peer"].scores, rtol=1e-5, atol=1e-6) | np.isneginf(
        answers["ours"][1]
    )
    return {
        "ratio": round(middle(times["ours"]) / middle(times["peer"]), 3),
        "ours_queries_per_s": round(queries / middle(times["ours"])),
        "peer_queries_per_s": round(queries / middle(times["peer"])),
        "scores_equal": round(float(same.mean()), 6),
        "index_s": round(index_s, 2),
        "peer_index_s": round(peer_index_s, 2),
        "documents": documents,
        "queries": queries,
        "k": k,
        "threads": cores(),
    }


def exact(*, quick: bool, full: bool) -> dict[str, Any]:
    """Top k by dot product of random unit vectors."""
    m, n, k = (5_000, 200, 10) if quick else (200_000, 2_048, 200)
    documents, queries = unit(m, 0), unit(n, 1)
    answers: dict[str, Any] = {}
    room = np.empty((QUERIES, DOCUMENTS), np.float32)

    def ours() -> None:
        answers["ours"] = exact_search.search(documents, queries, k)

    def numpy_way() -> None:
        step = max(1, 250_000_000 // m)
        rows = []
        for start in range(0, n, step):
            scores = queries[start : start + step] @ documents.T
            best = np.argpartition(scores, -k, axis=1)[:, -k:]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            rows.append(np.take_along_axis(best, order, 1))
        answers["numpy"] = np.concatenate(rows)

    def bound() -> None:
        for start in range(0, n, QUERIES):
            block = queries[start : start + QUERIES]
            for first in range(0, m, DOCUMENTS):
                some = documents[first : first + DOCUMENTS]
                np.matmul(block, some.T, out=room[: len(block), : len(some)])

    repeats = 1 if quick else 3
    sides = {"ours": ours, "numpy": numpy_way, "bound": bound}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
    shared = [
        len(set(one) & set(other))
        for one, other in zip(answers["ours"][0].tolist(), answers["numpy"].tolist(), strict=True)
    ]
    return {
        "ratio_numpy": round(middle(times["numpy"]) / middle(times["ours"]), 2),
        "share_of_bound": round(middle(times["bound"]) / middle(times["ours"]), 3),
        "gigaflops": round(2 * n * m * DIM / middle(times["ours"]) / 1e9, 1),
        "hits_shared_with_numpy": round(sum(shared) / (n * k), 6),
        "seconds": {name: round(middle(values), 2) for name, values in times.items()},
        "documents": m,
        "queries": n,
        "k": k,
        "threads": cores(),
    }


def mining(*, quick: bool, full: bool) -> dict[str, Any]:
    """Negatives below 95 % of the positive's score from the top 50, by both, in processes of their own."""
    n, m = (500, 2_000) if quick else (100_000, 1_000_000) if full else (10_000, 100_000)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, rows, seed in (("documents", m, 0), ("queries", n, 1)):
            vectors = np.lib.format.open_memmap(place / f"{name}.npy", "w+", np.float32, (rows, DIM))
            for start in range(0, rows, 50_000):
                vectors[start : start + 50_000] = unit(min(50_000, rows - start), seed * 1_000 + start)
            if name == "queries":
                # Each query lies near its own passage, so that a positive has a score that means something.
                documents = np.load(place / "documents.npy", mmap_mode="r")
                vectors[:] = exact_search.normalised(vectors + 0.6 * documents[:n])
            vectors.flush()
        found = {side: measured(side, place) for side in ("ours", "peer", "peer_faiss")}
        seconds = bound_seconds(place, n, m)
    result: dict[str, Any] = {
        "queries": n,
        "passages": m,
        "dim": DIM,
        "threads": cores(),
        "vectors_gb": round((n + m) * DIM * 4 / 1e9, 2),
    }
    for side, answer in found.items():
        result |= {f"{side}_{name}": value for name, value in answer.items()}
    peers = [answer["seconds"] for side, answer in found.items() if side != "ours" and "seconds" in answer]
    if peers:
        result["ratio"] = round(min(peers) / found["ours"]["seconds"], 2)
    return {
        **result,
        "bound_seconds": round(seconds, 1),
        "share_of_bound": round(seconds / found["ours"]["seconds"], 3),
    }


def measured(side: str, place: Path) -> dict[str, Any]:
    """One side's seconds, peak memory beyond the vectors, and negatives, by a process of its own."""
    command = [sys.executable, __file__, f"_{side}", "--place", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"not_run": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def bound_seconds(place: Path, n: int, m: int) -> float:
    """What the multiply-adds alone take, from a share of them."""
    documents, queries = (
        np.load(place / "documents.npy", mmap_mode="r")[:65_536],
        np.load(place / "queries.npy")[:1_024],
    )
    some = np.ascontiguousarray(documents)
    room = np.empty((len(queries), min(DOCUMENTS, len(some))), np.float32)

    def work() -> None:
        for first in range(0, len(some), DOCUMENTS):
            part = some[first : first + DOCUMENTS]
            np.matmul(queries, part.T, out=room[:, : len(part)])

    return middle(timed(work, 3)) * n * m / (len(queries) * len(some))


def ours_alone(place: Path) -> dict[str, Any]:
    """Search, then the bound at 95 % of the positive's score, the first negatives that keep it."""
    documents, queries = np.load(place / "documents.npy", mmap_mode="r"), np.load(place / "queries.npy", mmap_mode="r")
    touch(documents)
    touch(queries)
    exact_search.search(documents[:4_096], queries[:64], DEPTH)
    before = peak()
    start = time.perf_counter()
    negatives = filled = 0
    for first in range(0, len(queries), 4_096):
        block = queries[first : first + 4_096]
        own = np.arange(first, first + len(block))
        rows, scores = exact_search.search(documents, block, DEPTH)
        anchors = exact_search.rate(documents, block, np.arange(len(block)), own)
        allowed = (rows != own[:, None]) & (scores < (anchors - abs(anchors) * (1 - MARGIN))[:, None])
        counts = np.minimum(allowed.sum(axis=1), NEGATIVES)
        negatives += int(counts.sum())
        filled += int((counts == NEGATIVES).sum())
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 1),
        "beyond_gb": round((peak() - before) / 1e9, 3),
        "negatives": negatives,
        "filled": filled,
    }


def peer_alone(place: Path, faiss: bool) -> dict[str, Any]:
    """`mine_hard_negatives` with an encoder that looks the vectors up; texts are the numbers of rows. faiss: its IndexFlatIP."""
    warnings.simplefilter("ignore")
    from datasets import Dataset
    from sentence_transformers import util

    documents, queries = np.load(place / "documents.npy"), np.load(place / "queries.npy")

    class Lookup:
        """The part of a model that mining uses."""

        device = "cpu"
        similarity_fn_name = "cosine"

        class model_card_data:  # noqa: N801
            """Mining writes its cache's name from it."""

            base_model = "lookup"

        similarity, similarity_pairwise = staticmethod(util.dot_score), staticmethod(util.pairwise_dot_score)

        def get_embedding_dimension(self) -> int:
            return DIM

        def _rows(self, texts: Sequence[str]) -> np.ndarray:
            table = queries if texts and texts[0].startswith("q") else documents
            return table[[int(text[1:]) for text in texts]]

        def encode_query(self, texts: Sequence[str], **options: Any) -> Any:
            return self._rows(texts)

        encode_document = encode = encode_query

    n, m = len(queries), len(documents)
    pairs = Dataset.from_dict({"anchor": [f"q{row}" for row in range(n)], "positive": [f"d{row}" for row in range(n)]})
    corpus = [f"d{row}" for row in range(m)]
    before = peak()
    start = time.perf_counter()
    found = util.mine_hard_negatives(
        pairs, Lookup(), corpus=corpus, range_max=DEPTH - 1, relative_margin=1 - MARGIN, num_negatives=NEGATIVES,
        sampling_strategy="top", output_format="triplet", use_faiss=faiss, verbose=False,
        # With its default of 16,384 queries a block of scores for 1,000,000 passages would take 65 GB.
        faiss_batch_size=16_384 if faiss else max(1, 250_000_000 // m),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    # Its own copies of the vectors count as the vectors.
    copies = (n + m) * DIM * 4
    return {
        "seconds": round(seconds, 1),
        "beyond_gb": round(max(0, peak() - before - copies) / 1e9, 3),
        "negatives": len(found),
    }


def touch(vectors: np.ndarray) -> None:
    """Read what is mapped, so that it counts as vectors and not as work."""
    for start in range(0, len(vectors), 65_536):
        vectors[start : start + 65_536].sum()


def peak() -> int:
    """Most memory that this process has had, in bytes; not ru_maxrss, which a new process takes over from the one that started it."""
    said = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) for line in said.splitlines() if line.startswith("VmHWM")) * 1024


def unit(rows: int, seed: int) -> np.ndarray:
    """Random vectors of length 1."""
    return exact_search.normalised(np.random.default_rng(seed).standard_normal((rows, DIM), np.float32))


def collection(texts: list[str]) -> Collection:
    """Texts with ids that sort as they stand."""
    ids = pa.array([f"{row:08d}" for row in range(len(texts))], pa.large_string())
    return Collection(ids, pa.array(texts, pa.large_string()), "en")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=["bm25", "exact", "mining", "calibrated", "_ours", "_peer", "_peer_faiss"])
    parser.add_argument("--quick", action="store_true", help="a toy size that measures nothing")
    parser.add_argument("--full", action="store_true", help="mining: 100,000 queries and 1,000,000 passages")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.bench.startswith("_"):
        alone = (
            ours_alone(options.place)
            if options.bench == "_ours"
            else peer_alone(options.place, options.bench == "_peer_faiss")
        )
        print(json.dumps(alone))
        return 0
    benches = {"bm25": bm25, "exact": exact, "mining": mining, "calibrated": calibrated}
    found = benches[options.bench](quick=options.quick, full=options.full)
    if options.format == "json":
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
