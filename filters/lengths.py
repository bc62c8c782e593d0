"""How much there is of a text: characters, letters, and what else it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from dsbuild.filters.letters import DIGIT, LETTER, SPACE, Letters

COLUMNS = {
    "length_characters": "code points without white space",
    "length_letters": "letters and the marks on them",
    "length_letter_share": "letters and marks among the characters; null for a text without characters",
    "length_digit_share": "digits among the characters; null for a text without characters",
}


@dataclass(frozen=True)
class Lengths:
    """Characters, letters, and the shares of letters and digits, of any script."""

    name: ClassVar[str] = "length"
    version: ClassVar[int] = 1

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, each as long as `texts`."""
        column = Letters(texts.to_pylist())
        sizes = np.diff(column.bounds) - column.count(SPACE)
        letters, digits = np.maximum(column.lettered(), column.count(LETTER)), column.count(DIGIT)
        empty = sizes == 0
        return {
            "length_characters": pa.array(sizes),
            "length_letters": pa.array(letters),
            "length_letter_share": pa.array(letters / np.maximum(sizes, 1), mask=empty),
            "length_digit_share": pa.array(digits / np.maximum(sizes, 1), mask=empty),
        }
