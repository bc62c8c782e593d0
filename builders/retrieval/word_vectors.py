"""Word vectors trained on the collection: texts as weighted means of fastText vectors."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild import files
from dsbuild.builders.retrieval import exact_search, lexical_tokens, postings
from dsbuild.builders.retrieval.lexical_tokens import Vocabulary
from dsbuild.builders.retrieval.postings import Asked, Postings, Weights
from dsbuild.builders.retrieval.retriever import Collection
from dsbuild.builders.retrieval.vector_index import Floats, VectorRetriever
from dsbuild.errors import EngineError, RecipeError

# fastText reads at most 1,024 words of a line when it trains.
_LINE_WORDS = 1_000
# With one thread fastText 0.9.2 sets a tenth of its input matrix and takes the rest as the memory is. In a process of its own whose large blocks are
# fresh from the system, that is zeros, as long as the matrix is the largest thing there (see dsbuild.filters.fasttext_model).
_MATRIX_BYTES = 34_000_000
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
_TRAIN = """
import json, sys
import fasttext
import numpy as np
source, words, target, options = sys.argv[1:]
try:
    model = fasttext.train_unsupervised(input=source, verbose=0, **json.loads(options))
except (ValueError, RuntimeError) as error:
    sys.exit(str(error))
with open(words, encoding="utf-8") as lines:
    vectors = np.array([model.get_word_vector(line.rstrip("\\n")) for line in lines], np.float32)
try:
    np.save(target, vectors)
except OSError as error:
    sys.exit(error.errno)
"""


@dataclass(eq=False)
class WordVectors(VectorRetriever):
    """Cosine of texts as means of word vectors, weighted by (1 + ln tf) (1 + ln ((1 + N) / (1 + df))), the mean text taken away.

    The vectors are fastText's (skip-gram with subwords), trained on the documents with one thread, so that they repeat. dims, epochs, learning_rate,
    window: of the training; min_count: occurrences of a word that gets a vector in training. Queries without a known word have no hits;
    scores lie in -1..1.
    Source: P. Bojanowski et al., Enriching Word Vectors with Subword Information, 2017.
    """

    dims: int = 100
    epochs: int = 10
    rate_of_learning: float = field(default=0.1, metadata={"option": "learning_rate"})
    window: int = 5
    min_count: int = 2

    name = "words"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.dims, self.epochs, self.window, self.min_count) < 1 or not 0 < self.rate_of_learning <= 1:
            raise RecipeError(
                "retriever.words: dims, epochs, window and min_count are at least 1, learning_rate is above 0 and at most 1"
            )
        self._vocabulary: Vocabulary | None = None
        self._idf = self._words = self._mean = np.empty(0, np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        own = {key: getattr(self, key) for key in ("dims", "epochs", "rate_of_learning", "window", "min_count")}
        return {"retriever": "words", **own, "terms": lexical_tokens.VERSION, **self.fingerprint_index()}

    def build(self, corpus: Collection, scratch: Path) -> None:
        """See `Ordered`."""
        found = postings.invert(corpus.texts)
        frequencies = found.frequencies
        if not len(frequencies):
            raise EngineError("retriever words: no document has a word to train on")
        self._words = self._train(corpus.texts, found, scratch)
        self._idf = (1.0 + np.log((1 + len(corpus)) / (1.0 + frequencies))).astype(np.float32)
        weights: Weights = ((1.0 + np.log(found.counts)) * np.repeat(self._idf, frequencies)).astype(np.float32)
        starts, terms, order = found.by_document()
        vectors = self._means(Asked(starts, terms, weights[order]))
        self._mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._vocabulary = found.vocabulary
        self.hold(self._centred(vectors), corpus)

    def _means(self, texts: Asked) -> Floats:
        from scipy import sparse

        matrix = sparse.csr_matrix(
            (texts.weights, texts.terms, texts.starts), shape=(len(texts.starts) - 1, len(self._words))
        )
        return exact_search.normalised(matrix @ self._words)

    def _centred(self, vectors: Floats) -> Floats:
        # What all texts share says nothing of any, and would make all cosines large.
        known = np.any(vectors != 0, axis=1, keepdims=True)
        return exact_search.normalised(np.where(known, vectors - self._mean, np.float32(0)))

    def _train(self, texts: pa.Array, found: Postings, scratch: Path) -> Floats:
        """The vector of each term."""
        source, words, target = scratch / "lines.txt", scratch / "words.txt", scratch / "words.npy"
        strings = [""] * len(found.frequencies)
        with source.open("w", encoding="utf-8") as lines:
            for text in texts:
                said = lexical_tokens.terms(text.as_py())
                hashes, _ = lexical_tokens.term_hashes(pa.array([text.as_py()], pa.large_string()))
                for number, term in zip(found.vocabulary.number(hashes, add=False).tolist(), said, strict=True):
                    strings[number] = term
                for start in range(0, len(said), _LINE_WORDS):
                    lines.write(" ".join(said[start : start + _LINE_WORDS]) + "\n")
        words.write_text("\n".join(strings) + "\n", "utf-8")
        options = {
            "model": "skipgram", "dim": self.dims, "epoch": self.epochs, "lr": self.rate_of_learning, "ws": self.window, "minCount": self.min_count,
            "minn": 3, "maxn": 5, "bucket": max(100_000, -(-_MATRIX_BYTES // (4 * self.dims))), "thread": 1,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, str(source), str(words), str(target), json.dumps(options)],
            capture_output=True, text=True, check=False, env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip
        if done.returncode == errno.ENOSPC:
            raise files.disk_error(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise EngineError(f"retriever words: fastText cannot train on {len(texts)} documents ({last})")
        vectors: Floats = np.load(target)
        return vectors

    def encode(self, texts: pa.Array) -> Floats:
        """See `VectorRetriever`."""
        assert self._vocabulary is not None
        asked = postings.counted(postings.ask(texts, self._vocabulary))
        weights = ((1.0 + np.log(asked.weights)) * self._idf[asked.terms]).astype(np.float32)
        return self._centred(self._means(Asked(asked.starts, asked.terms, weights)))

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._vocabulary = None
        self._idf = self._words = self._mean = np.empty(0, np.float32)
