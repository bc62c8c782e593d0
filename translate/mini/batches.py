"""From groups to batches: encoded examples, drawn from each source by its share, of like length, all languages at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from dsbuild.translate.mini.vocabulary import EOS, PAD


@dataclass(frozen=True, slots=True)
class Example:
    """Piece ids of a source and of its translations, in the order of the source's languages; no end token."""

    source: list[int]
    targets: tuple[list[int], ...]

    @property
    def longest(self) -> int:
        """Pieces of the longest translation."""
        return max(map(len, self.targets))


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded ids: sources [n, length], decoder inputs and labels [languages, n, length]."""

    langs: tuple[str, ...]
    sources: Tensor
    inputs: Tensor
    labels: Tensor
    n_tokens: int


@dataclass
class Stock:
    """Examples of one source in the same languages.

    share: its part of the target tokens; masked: copies with a placeholder in the place of a noun, by the example's index.
    """

    name: str
    langs: tuple[str, ...]
    share: float
    examples: list[Example]
    masked: dict[int, Example] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    owed: float = 0.0

    def draw(self, random: Random, tokens: float, masked_share: float) -> Iterator[Example]:
        """Examples worth about this many target tokens, in shuffled rounds."""
        self.owed += tokens
        while self.owed > 0:
            if not self.order:
                self.order = list(range(len(self.examples)))
                random.shuffle(self.order)
            index = self.order.pop()
            example = self.examples[index]
            if index in self.masked and random.random() < masked_share:
                example = self.masked[index]
            self.owed -= sum(map(len, example.targets)) + len(example.targets)
            yield example


class Drawing:
    """An endless seeded stream of batches; `state` and `restore` carry it over a restart."""

    def __init__(self, stocks: Sequence[Stock], starts: dict[str, int], placeholders: Sequence[int], *, seed: int, max_tokens: int,
                 masked_share: float = 0.25, chunk_tokens: int = 240_000) -> None:  # fmt: skip
        self._stocks, self._starts, self._placeholders = (
            [stock for stock in stocks if stock.examples],
            starts,
            list(placeholders),
        )
        self._random = Random(seed)
        self._max_tokens, self._masked_share, self._chunk_tokens = max_tokens, masked_share, chunk_tokens
        self._ready: list[Batch] = []

    def take(self) -> Batch:
        """The next batch."""
        if not self._ready:
            self._ready = self._chunk()
        return self._ready.pop()

    def _chunk(self) -> list[Batch]:
        whole = sum(stock.share for stock in self._stocks)
        by_langs: dict[tuple[str, ...], list[Example]] = {}
        for stock in self._stocks:
            drawn = stock.draw(self._random, self._chunk_tokens * stock.share / whole, self._masked_share)
            by_langs.setdefault(stock.langs, []).extend(map(self._shuffled, drawn))
        batches = [
            batch
            for langs, examples in by_langs.items()
            for batch in batched(examples, langs, self._starts, self._max_tokens, self._random)
        ]
        self._random.shuffle(batches)
        return batches

    def _shuffled(self, example: Example) -> Example:
        """Other placeholders in half of the examples, so that all nine are learned."""
        used = [index for index in self._placeholders if index in example.source]
        if not used or self._random.random() < 0.5:
            return example
        other = dict(zip(used, self._random.sample(self._placeholders, len(used)), strict=True))
        return Example([other.get(index, index) for index in example.source],
                       tuple([other.get(index, index) for index in target] for target in example.targets))  # fmt: skip

    def state(self) -> dict[str, object]:
        """What `restore` needs; the batches of the present chunk are forgone."""
        return {"random": self._random.getstate(), "orders": [list(stock.order) for stock in self._stocks]}

    def restore(self, state: dict[str, object]) -> None:
        """Go on where `state` was taken, with the next chunk."""
        self._random.setstate(state["random"])  # type: ignore[arg-type]
        for stock, order in zip(self._stocks, state["orders"], strict=True):  # type: ignore[call-overload]
            stock.order = order
        self._ready = []


def batched(examples: Sequence[Example], langs: tuple[str, ...], starts: dict[str, int], max_tokens: int,
            random: Random | None = None) -> list[Batch]:  # fmt: skip
    """Cut examples, sorted by length, into batches of at most `max_tokens` padded pieces over all languages."""

    def size(example: Example) -> tuple[float, int]:
        return (example.longest + (random.random() if random else 0.0), len(example.source))

    batches: list[Batch] = []
    held: list[Example] = []
    source = target = 0
    for example in sorted(examples, key=size):
        wider, longer = max(source, len(example.source) + 1), max(target, example.longest + 1)
        if held and (len(held) + 1) * (wider + len(langs) * longer) > max_tokens:
            batches.append(pad(held, langs, starts))
            held, wider, longer = [], len(example.source) + 1, example.longest + 1
        held.append(example)
        source, target = wider, longer
    if held:
        batches.append(pad(held, langs, starts))
    return batches


def pad(examples: Sequence[Example], langs: tuple[str, ...], starts: dict[str, int]) -> Batch:
    """One batch of examples that have these languages."""
    sources = torch.full((len(examples), max(len(example.source) for example in examples) + 1), PAD)
    inputs = torch.full((len(langs), len(examples), max(example.longest for example in examples) + 1), PAD)
    labels = torch.full_like(inputs, PAD)
    count = 0
    for row, example in enumerate(examples):
        sources[row, : len(example.source) + 1] = torch.tensor([*example.source, EOS])
        count += len(example.source) + 1
        for place, (lang, target) in enumerate(zip(langs, example.targets, strict=True)):
            inputs[place, row, : len(target) + 1] = torch.tensor([starts[lang], *target])
            labels[place, row, : len(target) + 1] = torch.tensor([*target, EOS])
            count += len(target) + 1
    return Batch(langs, sources, inputs, labels, count)
