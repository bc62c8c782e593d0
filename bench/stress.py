"""Documents for comparing rules: prose of invented words, and sixteen ways to spoil it so that every rule has something to find."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate

_FUNCTION_WORDS = (
    *("the", "of", "and", "to", "in", "that", "is", "was", "for", "it", "with", "as", "his", "on", "be", "at", "by", "had", "this", "not"),
    *("but", "from", "have", "are", "which", "her", "she", "you", "an", "they", "were", "been", "has", "their", "would", "who", "when"),
)  # fmt: skip
_VOWELS, _CONSONANTS = "aeiou", "bcdfghklmnprstvw"


class Documents:
    """Documents of about 2.5 kB: sentences of a Zipf vocabulary in lines and paragraphs; the same for the same seed."""

    def __init__(self, seed: int = 5, vocabulary: int = 20_000) -> None:
        self.random = random.Random(seed)
        invented: dict[str, None] = {}
        while len(invented) < vocabulary:
            syllables = self.random.choices((1, 2, 3, 4), (1, 5, 4, 2))[0]
            word = "".join(self.random.choice(_CONSONANTS) + self.random.choice(_VOWELS) for _ in range(syllables))
            invented[word + self.random.choice(("", "", "n", "r", "s"))] = None
        self.words = [*_FUNCTION_WORDS, *invented]
        self.weights = list(accumulate(1 / (rank + 8) for rank in range(len(self.words))))

    def sentence(self) -> str:
        """One sentence of 6 to 24 words."""
        drawn = self.random.choices(self.words, cum_weights=self.weights, k=self.random.randint(6, 24))
        if self.random.random() < 0.3:
            drawn[self.random.randrange(len(drawn))] = str(self.random.randint(1, 3000))
        if self.random.random() < 0.4:
            drawn[self.random.randrange(len(drawn))] += ","
        return " ".join(drawn).capitalize() + self.random.choices((".", "?", "!", ".”"), (16, 2, 1, 1))[0]

    def document(self) -> str:
        """One document."""
        lines = [
            " ".join(self.sentence() for _ in range(self.random.randint(1, 5)))
            for _ in range(self.random.randint(5, 14))
        ]
        return "".join(line + self.random.choice(("\n", "\n", "\n\n")) for line in lines).rstrip("\n")

    def spoiled(self, kind: int) -> str:
        """A document spoiled in one of the ways of `SPOILS`; the first leaves it as it is."""
        return SPOILS[kind](self.document(), self.random)


def _some(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    return " ".join(change(word) if rng.random() < share else word for word in text.split(" "))


def _repeat_lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    return "\n".join(lines + rng.choices(lines, k=rng.randint(1, len(lines))))


def _repeat_paragraphs(text: str, rng: random.Random) -> str:
    parts = text.split("\n\n")
    return "\n\n".join(parts + rng.choices(parts, k=rng.randint(1, 2 * len(parts))))


def _phrase(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    phrase = words[: rng.randint(2, 12)]
    for _ in range(rng.randint(1, 40)):
        at = rng.randrange(len(words))
        words[at:at] = phrase
    return " ".join(words)


def _strange(text: str, rng: random.Random) -> str:
    marks = [
        "\r\n",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1d",
        "\x1e",
        "\x1f",
        "\x85",
        "\u2028",
        "\u2029",
        "\xa0",
        "\u200b",
        "\u3000",
    ]
    marks += ["\t", "……", "....", "﷽", "😀", "e\u0301", "\U000e0041"]
    return "".join(rng.choice(marks) if character == " " and rng.random() < 0.1 else character for character in text)


SPOILS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda text, rng: text,
    lambda text, rng: " ".join(text.split(" ")[: rng.randint(0, 80)]),
    lambda text, rng: _some(text, rng, rng.random() * 0.5, lambda word: "12,3"),
    lambda text, rng: "\n".join(rng.choice(("- ", "• ", "  -", "")) + line if rng.random() < 0.97 else line for line in text.split("\n")),
    lambda text, rng: text.replace(". ", rng.choice(("... ", "… ", "...\n", ".... "))),
    lambda text, rng: " ".join(text.split(" ")[: rng.randint(2, 12)] * 40),
    _repeat_lines,
    _repeat_paragraphs,
    lambda text, rng: _some(text, rng, 0.9, lambda word: word[: rng.randint(1, 3)]),
    lambda text, rng: _some(text, rng, rng.random() * 0.3, lambda word: "#" + word),
    lambda text, rng: "नमस्ते दुनिया । " * rng.randint(1, 40) + text + rng.choice((" 你好，世界。", "\n \n", " ।")),
    lambda text, rng: text.replace(" ", "", rng.randint(0, 500)),
    lambda text, rng: text.replace(". ", "\n").replace(".", ""),
    _phrase,
    _strange,
    lambda text, rng: rng.choice(("\n", "\n\n", " \n", "")) + rng.choice(("", " ", "x\n\n \n\nx", text[:200])) + rng.choice(("\n", "\n\n \n", "")),
)  # fmt: skip
