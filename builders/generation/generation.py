"""What a generating task is, and the table that every task fills."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from dsbuild.language_model import Sampling
from dsbuild.options import check_options
from dsbuild.prompts import Example, Prompt
from dsbuild.stage import digest

# What stands beside every generated row; the columns of the task follow.
GENERATED = pa.schema(
    [
        pa.field(
            "id", pa.string(), nullable=False
        ),  # of (task, style, generator, parent, language, number): the same in every run
        pa.field(
            "parent_id", pa.string(), nullable=False
        ),  # the passage that it was made from; of a set without a source the question, by its number
        pa.field("lang", pa.string(), nullable=False),  # that was asked for, BCP-47
        pa.field("text", pa.string(), nullable=False),  # the query, the question, the first text of a pair
        pa.field("generator", pa.string(), nullable=False),  # the model's name, or `salient`
        pa.field("style", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # digest; "" where no model was asked
        pa.field("model", pa.string(), nullable=False),  # digest of the model's fingerprint
        pa.field("seed", pa.int64(), nullable=False),  # of the call; of the build where no model was asked
        pa.field(
            "sampling", pa.string()
        ),  # JSON object: temperature, top_p, max_tokens, stop; null where no model was asked
        pa.field("logprob", pa.float64()),  # mean per token of the whole answer, null where nobody knows
        pa.field("n_said", pa.int32(), nullable=False),  # tokens of the whole answer
        pa.field(
            "details", pa.string(), nullable=False
        ),  # JSON object: what was asked for and said beside the text (type, summary, …)
    ]
)


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a task: it becomes one call.

    key: of the input row that it belongs to; number: among the items of that row and language; data: untrusted, goes into the user
    message as JSON; slots: trusted settings for the instructions.
    """

    key: str
    lang: str
    number: int
    data: Mapping[str, Any]
    slots: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """What is asked about each row and how an answer is read: a frozen dataclass whose fields are the options of a style.

    All items of a row come one after another. An answer is the JSON value that keeps the prompt's schema, or the text where it has none.
    """

    name: ClassVar[str]  # queries, qa, triplets, sts, nli
    style: ClassVar[str]
    columns: ClassVar[pa.Schema]  # beside GENERATED

    @property
    def prompt(self) -> Prompt:
        """The prompt of this style."""

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn unless the recipe says otherwise."""

    @property
    def logprobs(self) -> bool:
        """Whether the log-probability of an answer is wanted, where the model can say it."""

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """The questions about a shard of the input (canonical table), in its order; draws come from `drawn`."""

    def examples(self, item: Item) -> Sequence[Example]:
        """Worked examples for an item, the same for all items of a language where that can be (servers keep their prefix)."""

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """Rows (text, details and the task's columns) of a valid answer, [] where the model says that there is nothing; or what is wrong.

        What is wrong is a short rule name such as `answer_not_in_passage`; it becomes a verdict.
        """


def drawn(seed: int, *parts: str | int) -> int:
    """A draw of 63 bits from a seed and what names the row: no state, no order, the same in any placement.

    >>> drawn(7, "p1", "hi", 0) == drawn(7, "p1", "hi", 0)
    True
    """
    return int(digest(str(seed), *map(str, parts))[:16], 16) >> 1


def generated_id(task: str, style: str, generator: str, parent_id: str, lang: str, number: str) -> str:
    """The id of a generated row, 20 characters of a digest: nothing of the parent's id leaks into paths.

    number: of the item and of the row within its answer, "2.0".
    """
    return "g" + digest(task, style, generator, parent_id, lang, number)[:19]


def open_task(name: str, options: Mapping[str, Any]) -> Task:
    """A style by TASK/STYLE, with its options; unknown names, styles and options name the nearest, `RecipeError` for a value that is none."""
    from dsbuild.builders import TASKS

    factory = TASKS.get(name)
    known = {one.name: one for one in dataclasses.fields(factory) if one.init}
    check_options(f"option of {name}", "style", factory, known, options)
    made: Task = factory(**options)
    return made
