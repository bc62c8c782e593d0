"""What a translation engine is: the protocol that every engine file in `translate/` keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; the translation stage reads nothing else about it.

    unit: the text unit it wants; `max_tokens`: longest input in its own tokens (None: no limit).
    placeholder: how a protected item is written into the source, with `{n}` for its number
    ("" when the engine cannot carry one: the text is then split around the item).
    protects: kinds of items to protect by default (url, email, code, placeholder, number).
    beams: beam sizes that the retry ladder may try after the first; isolated: run in a child process;
    terms: fixed translations are told to it (`Request.context`) and written in the form that the sentence wants, instead of being masked;
    examples: it reads similar segments and their translations; about: it reads what the recipe says of the set;
    batch_tokens: padded tokens (as `count_tokens` counts) of a batch, unless the recipe says otherwise.
    """

    unit: Literal["sentence", "passage"] = "sentence"
    max_tokens: int | None = None
    prefix: bool = False
    attention: bool = False
    scores: bool = False
    isolated: bool = False
    placeholder: str = ""
    protects: tuple[str, ...] = ("url", "email", "code", "placeholder")
    beams: tuple[int, ...] = ()
    terms: bool = False
    examples: bool = False
    about: bool = False
    batch_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One text to translate; languages are BCP-47. `beam` None means the engine's own setting.

    `context` holds the record's other facts that an engine may use: terms (source form to fixed translation), missing (those that an
    earlier answer left out), examples (source and translation of similar segments, the most similar last), about (what the recipe says of the
    set: trusted).
    """

    text: str
    src: str
    tgt: str
    beam: int | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """One translation. `score`: mean log-probability per target token (<= 0), None if unknown.

    finish: "stop" (complete), "length" (cut by a limit: a hard failure), "error" (`error` says why).
    n_unknown: source words that the engine does not know (None: it cannot tell).
    """

    text: str
    finish: Finish = "stop"
    score: float | None = None
    n_src_tokens: int = 0
    n_tgt_tokens: int = 0
    n_unknown: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What using the engine's model binds the user to; printed, stored and shown in the card.

    origin: who wrote what the engine says, "machine" or "human" ("": nobody said).
    """

    license: str
    source: str = ""
    note: str = ""
    origin: str = "machine"

    def line(self, name: str) -> str:
        """The terms in a line, of an engine of this name.

        >>> Terms("CC-BY-4.0", note="of the weights").line("memory"), Terms("").line("ctranslate2")
        ('memory: CC-BY-4.0 (of the weights)', 'ctranslate2: nobody said under which licence its model stands')
        """
        return f"{name}: {self.license or 'nobody said under which licence its model stands'}{f' ({self.note})' if self.note else ''}"


@runtime_checkable
class TranslationEngine(Protocol):
    """Translates batches of requests.

    An engine is built from its keyword options (unknown ones raise `RecipeError`), loads its model
    at the first call that needs it, and is closed by `close`.
    """

    name: str
    capabilities: Capabilities

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the output: name, version, model digest, options. No paths, no thread counts."""

    def terms(self) -> Terms:
        """Licence and origin of the model."""

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Raise `EngineError` unless every direction is served; called before any work."""

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Length of each text in the engine's own tokens, special tokens included."""

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Translate each batch as one batch; yield (batch index, outputs in order) as each is finished.

        Batches may finish in any order and run at the same time. An output's value depends on
        its batch alone.
        """

    def close(self) -> None:
        """Free the model; safe to call twice."""
