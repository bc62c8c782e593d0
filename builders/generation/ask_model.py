"""Ask a language model about every row of a table, and read its answers as rows."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

import pyarrow as pa

from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget, Spent
from dsbuild.builders.generation.generation import GENERATED, Item, Task, drawn, generated_id, open_task
from dsbuild.errors import EngineError
from dsbuild.language_model import Call, LanguageModel, Said, Sampling
from dsbuild.llm import ask_all, no_answer, open_model
from dsbuild.stage import Counts, Result, Shard, Workspace, digest, verdict

SHARD_ROWS = 8_192
# What a model that has nothing to say about a row makes of it.
NOTHING = "nothing_to_ask"
_WHOLE = 1 << 32

# What becomes of questions without an answer after all retries.
Unreachable = Literal["stop", "fail"]
Asked = TypeVar("Asked")

SPENT = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in ("n_asked", "n_said", "n_calls", "n_known")])


@dataclass(frozen=True)
class ModelChoice:
    """A language model by kind and options; what decides its answers is its fingerprint (`Node.model`), not the options.

    label: what rows call it; low, high: its share of the rows that are asked about, a part of [0, 1) by a hash of each: all
    questions about a row go to one model, so a row ends once.
    """

    kind: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    low: float = 0.0
    high: float = 1.0

    def opened(self) -> LanguageModel:
        """The model; `RecipeError` or `UnknownName` for options that cannot work."""
        return open_model(self.kind, self.options)

    def signature(self) -> str:
        """The digest of what decides its answers, as it stands beside each row."""
        return digest(json.dumps(dict(self.opened().fingerprint()), sort_keys=True))

    def takes(self, item: Item, seed: int) -> bool:
        """Whether an item is this model's."""
        at = (drawn(seed, "generator", item.key, item.lang) % _WHOLE) / _WHOLE
        return self.low <= at < self.high


@dataclass(frozen=True)
class Bounds:
    """What a build may spend, see `dsbuild.budget.Budget`."""

    tokens: int | None = None
    cost: float | None = None
    price_asked: float = 0.0
    price_said: float = 0.0

    def budget(self, before: Spent) -> Budget:
        """The budget that is left."""
        prices = {"price_asked": self.price_asked, "price_said": self.price_said}
        return Budget(self.tokens, self.cost, before=before, **prices)


@dataclass(frozen=True)
class AskModel:
    """Ask a model the items of a task about each row and read the answers.

    task: "queries/swim-ir"; options: of the style; table: whose rows are asked about, for verdicts; sampling: what the recipe says of it
    beside the style's own. The answers are recorded once and replayed (`AnswerStore`): whatever the model would say another time, a
    finished unit and a resumed one hold the same rows. A row is kept if an answer gave at least one row, dropped if the model
    says that there is nothing, failed if every item of it failed. unreachable: what becomes of questions without an answer after all retries:
    "stop" raises `EngineError` when all others are answered, so that the next run asks those alone; "fail" takes them as failed.
    """

    task: str
    options: Mapping[str, Any]
    lang: str
    seed: int
    model: ModelChoice
    table: str = "corpus"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    bounds: Bounds = Bounds()
    unreachable: Unreachable = "stop"

    name: ClassVar[str] = "ask"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    @cached_property
    def _task(self) -> Task:
        return open_task(self.task, self.options)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (whole); spent (optional): what nodes before used; examples (optional, `EXAMPLES`): the style's `pairs` -> out, spent.

        out: `GENERATED` and the task's columns; spent: `SPENT`, one row.
        """
        if "examples" in inputs:
            pairs = tuple(tuple(row.values()) for shard in inputs["examples"] for row in shard.to_pylist())
            others = {name: given for name, given in inputs.items() if name != "examples"}
            return replace(self, options={**self.options, "pairs": pairs}).run(others, work)
        return asked_within(self.bounds, inputs, lambda budget, result: self._ask(inputs["rows"], work, budget, result))

    def _ask(self, rows: Any, work: Workspace, budget: Budget, result: Result) -> Iterator[Shard]:
        signature = self.model.signature()
        schema = pa.schema([*GENERATED, *self._task.columns])
        tally = Tally(f"generate {self._task.name}", self.table, self.lang)
        held: list[dict[str, Any]] = []
        made = False
        for item, said in answered(self.model, self._items(rows), self.call, work, budget):
            found: Any = said.problem
            if not said.problem:
                found = self._task.read(item, said.text if self._task.prompt.schema is None else said.value)
            rule = found if isinstance(found, str) else "" if found else NOTHING
            tally.add(item.key, rule, said.detail)
            if rule:
                continue
            for number, row in enumerate(found):
                held.append(self._row(item, number, row, signature, said.logprob, said.n_said))
            if len(held) >= SHARD_ROWS:
                yield Shard(pa.Table.from_pylist(held, schema=schema))
                made, held = True, []
        if held or not made:
            yield Shard(pa.Table.from_pylist(held, schema=schema))
        tally.tell(result, self.model.label, self.unreachable)

    def _items(self, rows: Any) -> Iterator[Item]:
        for shard in rows:
            for item in self._task.items(shard, self.lang, self.seed):
                if self.model.takes(item, self.seed):
                    yield item

    def call(self, item: Item) -> Call:
        """The question about an item. Its seed is made from the row, so it does not matter what is asked beside it."""
        task = self._task
        messages = task.prompt.messages(item.slots, item.data, task.examples(item))
        return Call(messages, self._sampling, self._seed(item), task.prompt.schema, logprobs=task.logprobs)

    @cached_property
    def _sampling(self) -> Sampling:
        return replace(self._task.sampling, **self.sampling)

    def _seed(self, item: Item) -> int:
        return drawn(self.seed, self._task.name, self._task.style, item.key, item.lang, item.number) % (1 << 31)

    def _row(
        self, item: Item, number: int, row: Mapping[str, Any], signature: str, logprob: float | None, n_said: int
    ) -> dict[str, Any]:
        task = self._task
        details = {**item.details, **row.get("details", {})}
        return {
            **{name: row[name] for name in task.columns.names},
            "id": generated_id(task.name, task.style, self.model.label, item.key, item.lang, f"{item.number}.{number}"),
            "parent_id": item.key, "lang": item.lang, "text": row["text"], "generator": self.model.label, "style": task.style,
            "prompt": task.prompt.digest, "model": signature, "seed": self._seed(item), "logprob": logprob, "n_said": n_said,
            "sampling": json.dumps(asdict(self._sampling), sort_keys=True),
            "details": json.dumps(details, ensure_ascii=False, sort_keys=True),
        }  # fmt: skip


def answered(
    choice: ModelChoice, items: Iterable[Asked], call: Callable[[Asked], Call], work: Workspace, budget: Budget
) -> Iterator[tuple[Asked, Said]]:
    """Each item with what the model says to its call, in their order; what the store knows is not asked again.

    Items and calls are made in another thread, only as fast as they can be asked.
    """
    model = choice.opened()
    waiting: deque[Asked] = deque()  # drawn by the asking thread, taken in order

    def calls() -> Iterator[Call]:
        for item in items:
            waiting.append(item)
            yield call(item)

    with AnswerStore(work.store, dict(model.fingerprint())) as answers:
        for said in ask_all(model, calls(), answers, budget):
            yield waiting.popleft(), said


class Tally:
    """How the rows that were asked about ended; the questions about a row come one after another.

    stage: as verdicts call it; table, lang: of the rows.
    """

    def __init__(self, stage: str, table: str, lang: str) -> None:
        self._stage, self._table, self._lang = stage, table, lang
        self.items, self.counts, self.last = 0, Counts(), ""
        self.problems: Counter[str] = Counter()
        self.verdicts: list[dict[str, Any]] = []
        self._key: str | None = None
        self._ended: list[tuple[str, str]] = []  # rule ("": an answer) and detail of each question

    def add(self, key: str, rule: str, detail: str = "") -> None:
        """Count what became of a question about the row `key`: rule "" for an answer, `NOTHING`, or what is wrong."""
        if key != self._key:
            self._close()
            self._key = key
        self.items += 1
        self._ended.append((rule, detail))
        if rule:
            self.problems[rule] += 1
        if rule == "unreachable":
            self.last = detail

    def tell(self, result: Result, label: str, unreachable: Unreachable) -> None:
        """Write verdicts, counts and facts into the result when all is asked.

        `EngineError` where questions got no answer and the next run is to ask them again: nothing of the unit is recorded then.
        """
        self._close()
        if unreachable == "stop" and (n := self.problems["unreachable"]):
            raise EngineError(
                f"{no_answer(label, n, self.items, self.last)}. Or take them as failed: --set unreachable=fail"
            )
        result.verdicts.extend(self.verdicts)
        result.counts = self.counts
        result.facts = {**result.facts, "items": self.items, "problems": dict(sorted(self.problems.items()))}

    def _close(self) -> None:
        """Count the row whose questions all came."""
        if self._key is None:
            return
        rules = [rule for rule, _ in self._ended]
        kept = "" in rules
        dropped = not kept and NOTHING in rules
        self.counts += Counts(1, int(kept), int(dropped), int(not kept and not dropped))
        outcome = "flagged" if kept else "dropped" if dropped else "failed"
        first = True
        for rule, detail in self._ended:
            if rule:
                self.verdicts.append(
                    verdict(self._table, self._lang, self._key, self._stage, outcome, rule, primary=first, detail=detail)
                )  # fmt: skip
                first = False
        self._key, self._ended = None, []


def asked_within(bounds: Bounds, inputs: Mapping[str, Any], ask: Callable[[Budget, Result], Iterator[Shard]]) -> Result:
    """The result of a stage that asks: `out`, which `ask` makes within the budget that is left, then `spent`."""
    before = _spent_before(inputs)
    budget = bounds.budget(before)
    result = Result({}, counts=Counts())
    result.outputs = {"out": ask(budget, result), "spent": _spent_shard(budget, before, result)}
    return result


def _spent_before(inputs: Mapping[str, Any]) -> Spent:
    """What nodes before used, from the input `spent` if there is one."""
    return Spent(*pa.concat_tables(list(inputs["spent"])).to_pylist()[-1].values()) if "spent" in inputs else Spent()


def _spent_shard(budget: Budget, before: Spent, result: Result) -> Iterator[Shard]:
    """What was used up to here (`SPENT`, one row); must be taken when all rows are written."""
    spent = budget.spent
    used = {name: getattr(spent, name) for name in SPENT.names}
    result.measured = {name: float(value - getattr(before, name)) for name, value in used.items()}
    yield Shard(pa.Table.from_pylist([used], schema=SPENT))
