"""Links from what a translation model looks at: a target piece goes with the source piece that has most of its attention.

The model is asked for translations that are there already (`Attending`). Pieces become words: a word pair has the largest weight of its piece pairs.
Sources: bergamot-translator (argmax of the attention), Zenkel et al. 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsbuild.attention import Attending, Attention
from dsbuild.errors import EngineError
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import Link, on_units
from dsbuild.project.projector import Links

# Less of a piece's attention than this is no link: it looks at nothing in particular.
_LEAST = 0.15
# What a link counts where the target word looks at the source word, and the source word is looked at most by another.
_ONE_SIDED = 0.5


class AttentionAligner:
    """Aligns with a translation model's own attention.

    The best source word of each target word is linked; links that are best for the source word, too, count 1, others 0.5.
    """

    name = "attention"

    def __init__(self, engine: Attending) -> None:
        self._engine = engine

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name and what decides the model's attention."""
        return {"name": self.name, **{f"engine.{key}": value for key, value in self._engine.fingerprint().items()}}

    def align(
        self, pairs: Sequence[Bitext], src: str, tgt: str, more: Sequence[Bitext] = ()
    ) -> list[dict[Link, float]]:
        """Links of each pair. Nothing is learned from `more`."""
        sources = [_stretch(pair.src_text, pair.src) for pair in pairs]
        targets = [_stretch(pair.tgt_text, pair.tgt) for pair in pairs]
        said = self._engine.attend([text for text, _ in sources], [text for text, _ in targets], src, tgt)
        return [
            _links(one, pair, left, right)
            for one, pair, (_, left), (_, right) in zip(said, pairs, sources, targets, strict=True)
        ]

    def close(self) -> None:
        """Free the model; it is opened again where it is asked again."""
        self._engine.close()


def _stretch(text: str, units: Sequence[tuple[int, int]]) -> tuple[str, int]:
    """The part of a text that its units lie in, and where it begins."""
    return (text[units[0][0] : units[-1][1]], units[0][0]) if units else ("", 0)


def _links(said: Attention, pair: Bitext, left: int, right: int) -> dict[Link, float]:
    if said.weights.shape != (len(said.tgt), len(said.src)):
        raise EngineError(f"attention of {len(said.tgt)} by {len(said.src)} pieces has the shape {said.weights.shape}")
    table = np.zeros((len(pair.src), len(pair.tgt)))
    rows, columns = np.nonzero(said.weights >= _LEAST)
    src = tuple((said.src[column][0] + left, said.src[column][1] + left) for column in columns.tolist())
    tgt = tuple((said.tgt[row][0] + right, said.tgt[row][1] + right) for row in rows.tolist())
    scores = tuple(float(said.weights[row, column]) for row, column in zip(rows, columns, strict=True))
    for (i, j), score in on_units(Links(src, tgt, scores), pair.src, pair.tgt).items():
        table[i, j] = score
    found: dict[Link, float] = {}
    for j in range(table.shape[1]):
        i = int(table[:, j].argmax()) if len(table) else 0
        if len(table) and table[i, j] > 0:
            found[i, j] = 1.0 if int(table[i].argmax()) == j else _ONE_SIDED
    return found
