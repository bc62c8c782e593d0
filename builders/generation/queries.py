"""What all styles of generated queries share: a passage as data, worked examples by language, an answer that is one query."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild import languages, prompts
from dsbuild.builders.generation.generation import Item
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.language_model import Sampling
from dsbuild.prompts import Example, Prompt
from dsbuild.stage import digest

_PACKAGE = "dsbuild.builders.generation"
_EXAMPLES = Path(__file__).with_name("query_examples.tsv")
# Sampling where several answers about one passage are wanted (Promptagator: T = 0.7).
SAMPLED = 0.7


@dataclass(frozen=True)
class PassageQueries:
    """Queries about passages, one a call: the base of the styles.

    per_passage: calls for each passage and language, with other seeds; prompt_file: your own prompt (`dsbuild.prompts`) instead of the
    style's; temperature: None for 0 with one query a passage and 0.7 with several; max_tokens: of an answer.

    One query a call, as InPars, Promptagator, SWIM-IR and xQG ask: an answer then belongs to one row, whatever a passage says.
    """

    per_passage: int = 1
    prompt_file: str = ""
    temperature: float | None = None
    max_tokens: int = 256

    name: ClassVar[str] = "queries"
    style: ClassVar[str] = ""
    file: ClassVar[str] = ""
    columns: ClassVar[pa.Schema] = pa.schema([])
    steps: ClassVar[tuple[str, ...]] = ()  # tasks whose rows this one reads, in order
    funnel: ClassVar[
        Mapping[str, Any]
    ] = {}  # steps that its rows usually pass, as in a recipe, beside those that all rows do

    def __post_init__(self) -> None:
        if self.per_passage < 1:
            raise RecipeError(f"per_passage={self.per_passage}: at least 1")
        if self.max_tokens < 1:
            raise RecipeError(f"style.max_tokens={self.max_tokens}: at least 1")
        if self.temperature is not None and self.temperature < 0:
            raise RecipeError(f"style.temperature={self.temperature:g}: at least 0")

    @property
    def shows_set(self) -> bool:
        """Whether judged pairs of the set itself are shown (`pick_examples`)."""
        return False

    @property
    def shown(self) -> str:
        """A digest of what is shown besides the prompt."""
        return digest(_EXAMPLES.read_bytes())

    @property
    def shipped(self) -> Prompt:
        """The style's own prompt."""
        return prompts.load(_PACKAGE, self.file)

    @property
    def prompt(self) -> Prompt:
        """The user's prompt, or the style's."""
        return prompt_like(self.prompt_file, self.shipped) if self.prompt_file else self.shipped

    @property
    def sampling(self) -> Sampling:
        """Sampled where several answers are wanted, else greedy."""
        warm = SAMPLED if self.per_passage > 1 else 0.0
        return Sampling(warm if self.temperature is None else self.temperature, max_tokens=self.max_tokens)

    @property
    def logprobs(self) -> bool:
        """Not needed: an answer in JSON has tokens that are not the query's."""
        return False

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row of a corpus table."""
        del seed
        for row in rows.select(["doc_id", "title", "text", "lang"]).to_pylist():
            for number in range(self.per_passage):
                yield Item(
                    row["doc_id"], lang, number, passage_data(row), language_slots(lang), {"passage_lang": row["lang"]}
                )

    def examples(self, item: Item) -> Sequence[Example]:
        """Those of the prompt's head: in the language asked for, or the English ones."""
        shown = self.prompt.examples
        return [one for one in shown if one.lang == item.lang] or [one for one in shown if one.lang == "en"]

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The query of an answer; `empty` where there is none."""
        del item
        return one_query(value["query"])


def one_query(said: str, details: Mapping[str, Any] | None = None) -> list[dict[str, Any]] | str:
    """A query without the white space around it, or what is wrong with it."""
    text = said.strip()
    return [{"text": text, "details": dict(details or {})}] if text else "empty"


def passage_data(row: Mapping[str, Any]) -> dict[str, str]:
    """A passage as a prompt shows it: with its title where it has one."""
    return {**({"title": row["title"]} if row["title"] else {}), "passage": row["text"]}


def language_slots(lang: str) -> dict[str, str]:
    """The settings that name a language in instructions."""
    known = languages.get(lang)
    return {"lang": known.code, "lang_name": known.name, "script": known.script}


@cache
def own_prompt(path: str) -> Prompt:
    """A user's prompt file; `RecipeError` says what is wrong with it."""
    try:
        written = Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a prompt ({error})") from error
    return prompts.parse(Path(path).name, written)


def prompt_like(path: str, shipped: Prompt) -> Prompt:
    """A user's prompt file whose answers can be read like those of the shipped prompt; `RecipeError` says what is wrong with it.

    It may want fewer settings, and its schema may want more of an answer, not less; without a schema an answer is plain text.
    """
    own = own_prompt(path)
    for slot in sorted(own.slots - shipped.slots - set(language_slots("en"))):
        raise UnknownName(f"slot of prompt {own.name}", slot, {*shipped.slots, *language_slots("en")})
    how = ""
    if (own.schema is None) != (shipped.schema is None):
        required = ", ".join((shipped.schema or {}).get("required", ()))
        how = f"its schema requires {required}" if shipped.schema else "it has no schema, answers are plain text"
    elif own.schema is not None and shipped.schema is not None:
        how = _unreadable(own.schema, shipped.schema, "the answer")
    if how:
        raise RecipeError(f"prompt {own.name}: answers are read as those of {shipped.name}: {how}")
    return own


def _unreadable(own: Mapping[str, Any], shipped: Mapping[str, Any], name: str) -> str:
    """What of a schema cannot be read like the shipped one, "" if nothing: types and required names are the same, other bounds may differ."""
    kind = shipped.get("type")
    if own.get("type") != kind:
        return f"its schema says type: {kind} of {name}"
    if kind == "array":
        return _unreadable(own.get("items", {}), shipped["items"], f"what is in {name}")
    required = shipped.get("required", ())
    if not set(required) <= set(own.get("required", ())):
        return f"its schema requires {', '.join(required)}"
    parts = shipped.get("properties", {})
    found = (_unreadable(own.get("properties", {}).get(one, {}), parts[one], one) for one in required)
    return next(filter(None, found), "")


@cache
def read_pairs(path: str) -> tuple[tuple[str, str, str, str], ...]:
    """Language ("" where it is not said), title, passage and query of each line of a user's file of examples; `SourceError` names a bad line."""
    try:
        lines = Path(path).expanduser().read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as examples ({error})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pair = (row.get("lang", ""), row.get("title", ""), row["passage"], row["query"])
        except (ValueError, KeyError, AttributeError, TypeError):
            pair = ("", "", "", "")
        if not all(isinstance(part, str) for part in pair) or not (pair[2].strip() and pair[3].strip()):
            raise SourceError(
                f'{path}, line {number}: one JSON object a line: {{"passage": "…", "query": "…", "lang": "en"}}'
            )
        found.append((languages.get(pair[0]).code if pair[0] else "", *pair[1:]))
    if not found:
        raise SourceError(f"{path}: no examples")
    return tuple(found)


@dataclass(frozen=True)
class Worked:
    """A worked example: passage, its summary, a query and a poor query, in one language."""

    lang: str
    passage: str
    summary: str = ""
    query: str = ""
    bad_query: str = ""


@cache
def worked_examples() -> dict[str, dict[str, Worked]]:
    """The shipped examples: by name, then language (hi, mr, ta, sw, es, de, en), written for dsbuild."""
    found: dict[str, dict[str, Worked]] = {}
    with _EXAMPLES.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            name, lang = row.pop("example"), row["lang"]
            found.setdefault(name, {})[lang] = Worked(**row)
    return found


def examples_for(lang: str, n: int) -> list[tuple[Worked, Worked]]:
    """Up to n examples as (English, language asked for); of a language that has none, the English ones stand for it."""
    return [(by_lang["en"], by_lang.get(lang, by_lang["en"])) for by_lang in list(worked_examples().values())[:n]]
