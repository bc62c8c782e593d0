"""fastText models that a user trains and applies: how a text becomes a line, training that repeats, loading that says what is wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild import files
from dsbuild.errors import EngineError, RecipeError
from dsbuild.stage import digest
from dsbuild.text import words

Floats = npt.NDArray[np.float64]

LABEL = "__label__"
# fastText reads at most 1,024 words of a line when it trains; more would be seen when the model is applied only.
MAX_WORDS = 1_000
# With one thread fastText 0.9.2 sets only a tenth of its input matrix and takes the rest as the memory is: garbage, now and then NaN. Zeros serve
# as well, and memory that is fresh from the system is zero. So it trains in a process of its own, where blocks of more than 64 KiB are never used
# twice (a setting of glibc; other allocators give large blocks back too), and its matrix is larger than anything else there.
_MATRIX_BYTES = 34_000_000
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
# It does not notice a disk that is full: the size of its file is told by what is in the model.
_TRAIN = """
import errno, json, os, sys
import fasttext
source, target, options = sys.argv[1:]
try:
    model = fasttext.train_supervised(input=source, verbose=0, **json.loads(options))
    model.save_model(target)
except (ValueError, RuntimeError) as error:
    sys.exit(str(error))
names = [*model.get_words(), *model.get_labels()]
floats = model.get_dimension() * (len(names) + model.f.getArgs().bucket)
if os.path.getsize(target) < 126 + sum(len(name.encode()) + 10 for name in names) + 4 * floats:
    sys.exit(errno.ENOSPC)
"""
# Words are looked for in this many characters: no 1,000 words need more, whatever stands between them, but junk.
_MAX_CHARACTERS = 50_000


def to_line(text: str) -> str:
    r"""A text as fastText is shown it: its words by script, in lower case, one space between them, at most `MAX_WORDS`.

    >>> to_line("Hello,\nWorld! 今天"), to_line("…")
    ('hello world 今 天', '')
    """
    found = words(text[:_MAX_CHARACTERS])[:MAX_WORDS]
    # A word that looks like a label would become one.
    return " ".join(filter(None, (word.lower().replace(LABEL, "") for word in found)))


def is_held_out(line: str, share: float, seed: int) -> bool:
    """Whether a line is for measuring and not for training: about `share` of all lines, by their text and the seed alone."""
    return int(digest(f"held out {seed}", line)[:8], 16) < share * 2**32


def fit(
    rows: Iterable[tuple[Sequence[str], str]], out: Path, *, seed: int, word_ngrams: int, dim: int, bucket: int, **options: Any
) -> None:  # fmt: skip
    """Train on (labels, line) rows and write the model to `out`, 34 MB or more; `bucket` is raised where it would make a smaller one.

    The same rows in any order, options and seed give the same file if `thread=1`; with more threads they race, and nothing repeats.
    `RecipeError` for `word_ngrams` under 2: fastText then has no n-grams, and a matrix too small to repeat.
    """
    if word_ngrams < 2 or dim < 1:
        raise RecipeError(f"word_ngrams={word_ngrams}, dim={dim}: n-grams of 2 words at least, and a dimension of 1")
    bucket = max(bucket, -(-_MATRIX_BYTES // (4 * dim)))
    lines = sorted(f"{' '.join(LABEL + label for label in labels)} {line}" for labels, line in rows)
    # fastText goes through the lines in order: sorted by label, it would end by unlearning the first.
    lines.sort(key=lambda line: digest(f"order {seed}", line))
    if not lines:
        raise EngineError(f"{out.name}: fastText cannot train on 0 texts")
    said = {**options, "seed": seed, "wordNgrams": word_ngrams, "dim": dim, "bucket": bucket, "minCount": 1}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        try:
            path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "replace"))
        except OSError as error:
            raise files.disk_error(path, error) from error

        def write(temporary: Path) -> None:
            temporary.touch()
            done = subprocess.run(
                [sys.executable, "-c", _TRAIN, str(path), str(temporary), json.dumps(said)],
                capture_output=True, text=True, check=False, env={**os.environ, **_ENVIRONMENT},
            )  # fmt: skip
            if done.returncode == errno.ENOSPC:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if done.returncode:
                last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
                raise EngineError(f"{out.name}: fastText cannot train on {len(lines)} texts ({last})")

        files.write_atomically(out, write)


def load(path: str | Path, labels: Sequence[str] = ()) -> Any:
    """A model by path; `EngineError` in one line if it is missing, of another kind, or lacks one of the labels."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise EngineError(f"{path}: no such model file; dsbuild writes one when a classifier is trained")
    stat = found.stat()
    model = _load(str(found), stat.st_mtime_ns, stat.st_size)
    known = label_names(model)
    missing = [label for label in labels if label not in known]
    if missing:
        listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        raise EngineError(f"{path}: has no label {missing[0]!r}; its labels are {listed}")
    return model


@lru_cache(maxsize=4)
def _load(path: str, mtime_ns: int, size: int) -> Any:
    import fasttext

    # Silences a notice about the return type of load_model that fastText prints to standard error.
    fasttext.FastText.eprint = lambda *_: None
    try:
        model = fasttext.load_model(path)
        first = model.get_labels()[0]
        if not model.is_quantized():
            needed = (
                4
                * model.get_dimension()
                * (len(model.get_words()) + model.f.getArgs().bucket + len(model.get_labels()))
            )
            if size < needed:
                # fastText reads past the end without a word.
                raise ValueError(f"{size} bytes of at least {needed}")
    except (ValueError, RuntimeError, IndexError, MemoryError) as error:
        raise EngineError(
            f"{path}: not a fastText classifier ({error}); give a .bin or .ftz file with labels"
        ) from error
    if not first.startswith(LABEL):
        raise EngineError(f"{path}: labels such as {first!r}: a classifier has {LABEL}xx")
    return model


def label_names(model: Any) -> list[str]:
    """The labels of a model without fastText's prefix, sorted."""
    return sorted(label.removeprefix(LABEL) for label in model.get_labels())


def probabilities(model: Any, lines: Sequence[str]) -> Floats:
    """The probability of each of `label_names` for each line, a row a line; NaN for a line without words."""
    names = label_names(model)
    places = {LABEL + name: place for place, name in enumerate(names)}
    result = np.full((len(lines), len(names)), np.nan)
    filled = [row for row, line in enumerate(lines) if line]
    if filled:
        found, scores = model.predict([lines[row] for row in filled], k=len(names))
        for row, labels, values in zip(filled, found, scores, strict=True):
            result[row] = 0.0
            for label, value in zip(labels, values, strict=True):
                result[row, places[label]] = min(1.0, float(value))
    return result
