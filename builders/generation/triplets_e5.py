"""Triplets without a source, in two steps: a model lists retrieval tasks, and then writes an example of each (E5-mistral)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.generation.generation import Item
from dsbuild.builders.generation.queries import PassageQueries, language_slots
from dsbuild.builders.generation.subjects import subjects, subjects_digest
from dsbuild.builders.generation.triplets import COLUMNS, DOCUMENT_WORDS, one_triplet, settings
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.language_model import Sampling
from dsbuild.normal import key

BRAINSTORM = "steps/e5-tasks"
# Kinds of tasks that queries are found for: what is found, as instructions say it, and how many words it may have. E5-mistral's tasks with long
# queries are classifications, and its pairs of equal meaning are `sts`.
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "short-long": ("a document of one or several paragraphs", DOCUMENT_WORDS),
    "short-short": ("a text about as short as the query, such as a title, a headline, a question or an answer", ("5", "10", "15", "20")),
}  # fmt: skip
# As the schema of an answer has it.
MOST_TASKS = 100
_WARM = Sampling(1.0)


@dataclass(frozen=True)
class _E5(PassageQueries):
    """What both steps have. tasks: that a model is asked for at once; kind: of `KINDS`."""

    kind: str = "short-long"
    tasks: int = 20

    needs_source: ClassVar[bool] = False
    reads_source: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise UnknownName("style.kind", self.kind, KINDS)
        if not 1 <= self.tasks <= MOST_TASKS:
            raise RecipeError(f"style.tasks={self.tasks}: at least 1, at most {MOST_TASKS} at once")

    @property
    def shown(self) -> str:
        """Nothing but the prompt."""
        return ""

    @property
    def sampling(self) -> Sampling:
        """Temperature 1, as E5-mistral's data are drawn."""
        return Sampling(_WARM.temperature if self.temperature is None else self.temperature, max_tokens=self.max_tokens)


@dataclass(frozen=True)
class E5Tasks(_E5):
    """The first step: tasks in English on drawn subjects, a row each. A question asks for as many tasks as rows are wanted, `tasks` at most."""

    max_tokens: int = 2_048

    name: ClassVar[str] = "steps"
    style: ClassVar[str] = "e5-tasks"
    file: ClassVar[str] = "triplets_e5_tasks"

    @property
    def shown(self) -> str:
        """The digest of all subjects."""
        return subjects_digest()

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """One item for each `tasks` rows."""
        names = rows["doc_id"].to_pylist()
        found, _ = KINDS[self.kind]
        for start in range(0, len(names), self.tasks):
            n = min(self.tasks, len(names) - start)
            drawn = subjects(names[start], lang, 0, seed)
            yield Item(names[start], lang, 0, {"tasks": n, "subjects": drawn}, {"found": found}, {"subjects": drawn})

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The tasks, each once and no more than were asked for."""
        said = {key(one).text: one.strip() for one in reversed(value["tasks"])}
        said.pop("", None)
        return [{"text": one} for one in list(reversed(said.values()))[: item.data["tasks"]]]


@dataclass(frozen=True)
class E5(_E5):
    """Tasks are listed, then query, positive and hard negative written for each, with drawn kind, lengths, clarity and difficulty (E5-mistral).

    --count: triplets at most; per_passage: triplets for each task; tasks: listed at once; kind: short-long, short-short. The instruction is the
    task, in English. A query's difficulty and clarity are in details.
    """

    max_tokens: int = 4_096

    name: ClassVar[str] = "triplets"
    style: ClassVar[str] = "e5"
    file: ClassVar[str] = "triplets_e5"
    steps: ClassVar[tuple[str, ...]] = (BRAINSTORM,)
    columns: ClassVar[pa.Schema] = COLUMNS

    @property
    def step_options(self) -> Mapping[str, Mapping[str, Any]]:
        """The same kind of task, as many at once."""
        return {BRAINSTORM: {"kind": self.kind, "tasks": self.tasks, "temperature": self.temperature}}

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row of `E5Tasks`."""
        found, words = KINDS[self.kind]
        slots = {**language_slots(lang), "found": found}
        for row in rows.select(["id", "text"]).to_pylist():
            for number in range(self.per_passage):
                drawn = settings((row["id"], lang, number), seed, words)
                yield Item(row["id"], lang, number, {"task": row["text"], **drawn}, slots, drawn)

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The triplet; see `one_triplet` for what is wrong with one."""
        return one_triplet(item.data["task"], value, {})
