"""Registers: what kind of text a document is (a story, a manual, a sales pitch), as labels that a model adds.

Labels are those that the user's own labelled texts have; the names below are the main registers of the CORE corpora. A text may have several.
Method: one fastText model with a logistic loss for each label against the rest (one-vs-all), a label counting where its probability reaches
a threshold. Sources: Egbert, Biber and Davies 2015; Repo et al. 2021 (registers of the web, multilingual).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.digests import file_sha256
from dsbuild.errors import RecipeError, SourceError
from dsbuild.filters.fasttext_model import Floats, fit, is_held_out, label_names, load, probabilities, to_line

COLUMNS = {
    "registers_labels": "the registers whose probability reaches the threshold, the most probable one if none does; null without words",
    "registers_score": "the probability of the most probable register; null for a text without words",
}
# The main registers of CORE and its sister corpora.
NAMES = {
    "NA": "narrative", "IN": "informational description", "OP": "opinion", "ID": "interactive discussion", "HI": "how-to or instruction",
    "IP": "informational persuasion", "LY": "lyrical", "SP": "spoken",
}  # fmt: skip

MIN_TEXTS = 20
_SPLIT = re.compile(r"[\s,;|]+")
_LABEL = re.compile(r"[\w./-]+")
_GRID = np.round(np.arange(0.1, 0.85, 0.05), 2)


@dataclass(frozen=True, slots=True)
class TrainedRegisters:
    """A trained model and how it did on held-out texts (None without any).

    labels: those that the training texts had often enough; left_out: those they had too seldom; threshold: the probability from which a label
    counts, chosen on the held-out texts, so that the F1 there is a little too good; f1: micro and macro, by_label.
    """

    path: Path
    labels: tuple[str, ...]
    left_out: tuple[str, ...]
    n: int
    n_held_out: int
    threshold: float
    f1_micro: float | None
    f1_macro: float | None
    by_label: dict[str, float] = field(default_factory=dict)


def read_labels(cells: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> pa.Array:
    """A column of cells with several labels (`NA IP`, `NA,IP`) as lists, sorted, without repetitions; a list column as it is.

    >>> read_labels(["NA IP", "IN", None, ""]).to_pylist()
    [['IP', 'NA'], ['IN'], None, []]
    """
    kind = getattr(cells, "type", None)
    rows = cells.to_pylist() if isinstance(cells, pa.Array | pa.ChunkedArray) else list(cells)
    if kind is None or not pa.types.is_list(kind):
        rows = [None if cell is None else [part for part in _SPLIT.split(cell) if part] for cell in rows]
    for labels in rows:
        for label in labels or ():
            if not _LABEL.fullmatch(label):
                raise SourceError(f"register label {label!r}: letters, digits and ._/- make a label")
    return pa.array([None if labels is None else sorted(set(labels)) for labels in rows], pa.list_(pa.string()))


def train_registers(
    texts: Sequence[str], labels: pa.Array | Sequence[str | None], out: Path, *, word_ngrams: int = 2, dim: int = 64, epoch: int = 50,
    lr: float = 0.5, seed: int = 1, thread: int = 1, holdout: float = 0.1, min_texts: int = MIN_TEXTS, bucket: int = 200_000,
) -> TrainedRegisters:  # fmt: skip
    """Train one-vs-rest classifiers of registers, one file at `out`, from texts and their label cells (see `read_labels`).

    A label with fewer than `min_texts` texts is left out, and so are texts without labels. `RecipeError` if fewer than two labels remain.
    With `thread=1` the same texts give the same file.
    """
    cells = read_labels(labels).to_pylist()
    if len(cells) != len(texts):
        raise RecipeError(f"{len(texts)} texts and {len(cells)} label cells")
    merged: dict[str, set[str]] = {}
    for text, cell in zip(texts, cells, strict=True):
        if cell and (line := to_line(text)):
            merged.setdefault(line, set()).update(cell)
    counts: dict[str, int] = {}
    for found in merged.values():
        for label in found:
            counts[label] = counts.get(label, 0) + 1
    known = tuple(sorted(label for label, count in counts.items() if count >= min_texts))
    if len(known) < 2:
        raise RecipeError(f"{len(known)} labels with at least {min_texts} texts: two are needed to tell apart")
    rows = [(tuple(sorted(found & set(known))), line) for line, found in merged.items() if found & set(known)]
    held = [row for row in rows if is_held_out(row[1], holdout, seed)]
    fit(
        (row for row in rows if not is_held_out(row[1], holdout, seed)), out, seed=seed, word_ngrams=word_ngrams, dim=dim, epoch=epoch, lr=lr,
        thread=thread, bucket=bucket, loss="ova",
    )  # fmt: skip
    left_out = tuple(sorted(set(counts) - set(known)))
    if not held:
        return TrainedRegisters(out, known, left_out, len(rows), 0, 0.5, None, None)
    model = load(out)
    scores, truth = (
        probabilities(model, [line for _, line in held]),
        to_matrix([row[0] for row in held], label_names(model)),
    )
    threshold = max(_GRID.tolist(), key=lambda value: f1(chosen(scores, value), truth)[0])
    micro, macro, each = f1(chosen(scores, threshold), truth)
    by_label = dict(zip(label_names(model), each, strict=True))
    return TrainedRegisters(out, known, left_out, len(rows), len(held), threshold, micro, macro, by_label)


def to_matrix(rows: Sequence[Sequence[str]], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Lists of labels as one boolean a name (columns) and row."""
    return np.array([[name in labels for name in names] for labels in rows], np.bool_).reshape(len(rows), len(names))


def chosen(scores: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Which labels count: those that reach the threshold, or else the most probable one; none for a row of NaN."""
    filled: npt.NDArray[np.bool_] = ~np.isnan(scores[:, 0])
    picked: npt.NDArray[np.bool_] = scores >= threshold
    alone = filled & ~picked.any(axis=1)
    picked[alone, scores[alone].argmax(axis=1)] = True
    return picked


def f1(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> tuple[float, float, list[float]]:
    """F1 over all labels of all rows (micro), its mean over labels (macro), and that of each label; 0 where there is nothing to find."""
    hits, sizes = (found & truth).sum(axis=0), found.sum(axis=0) + truth.sum(axis=0)
    each = (2 * hits / np.maximum(sizes, 1)).tolist()
    return float(2 * hits.sum() / max(1, sizes.sum())), float(np.mean(each)), each


@dataclass(frozen=True)
class RegisterLabels:
    """Adds registers. model: a file that `train_registers` wrote; threshold: the probability from which a label counts."""

    model: str = field(compare=False)
    threshold: float = 0.5
    data: str = field(default="", init=False)

    name: ClassVar[str] = "registers"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"registers.threshold={self.threshold:g}: a probability in (0, 1]")
        load(self.model)
        object.__setattr__(self, "data", file_sha256(Path(self.model).expanduser(), None))

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`; a text without words gets null in both."""
        model = load(self.model)
        names = np.array(label_names(model), object)
        scores = probabilities(model, [to_line(text) for text in texts.to_pylist()])
        picked = chosen(scores, self.threshold)
        empty: npt.NDArray[np.bool_] = np.isnan(scores[:, 0])
        labels = [None if empty[row] else names[picked[row]].tolist() for row in range(len(texts))]
        best = np.where(empty, 0.0, np.nan_to_num(scores).max(axis=1, initial=0.0))
        return {
            "registers_labels": pa.array(labels, pa.list_(pa.string())),
            "registers_score": pa.array(best, mask=empty),
        }
