"""The recipe of a generated set: which task, about what, by whom, and which steps its rows pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dsbuild import languages
from dsbuild.builders.funnel.plan import FunnelSection
from dsbuild.builders.generation.salient import SALIENT
from dsbuild.builders.generation.salient import STYLES as SALIENT_STYLES
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.opened import as_spec, name_of
from dsbuild.errors import RecipeError
from dsbuild.recipe import OpenSection, Section

TaskName = Literal["queries", "qa", "triplets", "sts", "nli"]
# What is used where the recipe names no style; the command says which.
STYLES: Mapping[str, str] = {
    "queries": "zero-shot",
    "qa": "indic-rag",
    "triplets": "mme5",
    "sts": "graded",
    "nli": "three-way",
}
SALIENT_STYLE = "salient-phrase"
PAIRS = ("sts", "nli")


class GeneratorSection(OpenSection):
    """A generator: `salient`, or a kind of language model. model: as that kind calls it; share: of the passages, among several generators.

    Every other key is an option of that kind of model (`base_url`, `concurrency`, …).
    """

    name: str
    model: str = ""
    share: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    def options(self) -> dict[str, Any]:
        """As the model's kind wants them."""
        return {**({"model": self.model} if self.model else {}), **(self.model_extra or {})}

    @property
    def label(self) -> str:
        """What rows call it: the model's own name, without folders."""
        return Path(self.model).name if self.model else self.name


class StyleSection(OpenSection):
    """A style by name ("": the usual one of the task); every other key is an option of it."""

    name: str = ""


class BudgetSection(Section):
    """Where asking ends: tokens of questions and answers, or money by prices per million tokens."""

    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    price_asked: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    price_said: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class PickSection(Section):
    """Which passages are asked about: at most `limit`, drawn by the seed; min_chars, max_chars: of the text (0: no upper bound)."""

    limit: int | None = Field(default=None, ge=1)
    min_chars: int = Field(default=1, ge=0)
    max_chars: int = Field(default=0, ge=0)


class SamplingSection(Section):
    """How answers are drawn, instead of the style's own way."""

    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)

    def said(self) -> dict[str, Any]:
        """What was given."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class GenerateRecipe(Section):
    """Generate queries, questions with answers, triplets or pairs.

    source: passages to ask about (None for a style that needs none: count says how many questions); style: "" for the usual one; generator:
    who is asked, or generators with shares; unreachable: see `AskModel`; funnel: the steps that rows pass.
    """

    build: Literal["generate"] = "generate"
    name: str | None = None
    task: TaskName
    source: SourceSection | None = None
    style: StyleSection = StyleSection()
    langs: tuple[str, ...] = ()
    generator: GeneratorSection | None = None
    generators: tuple[GeneratorSection, ...] = ()
    per_passage: int | None = Field(default=None, ge=1)
    count: int | None = Field(default=None, ge=1)
    seed: int = 0
    budget: BudgetSection = BudgetSection()
    pick: PickSection = PickSection()
    sampling: SamplingSection = SamplingSection()
    unreachable: Literal["stop", "fail"] = "stop"
    funnel: FunnelSection = FunnelSection()
    release: ReleaseSection = ReleaseSection()

    @field_validator("langs")
    @classmethod
    def _known(cls, langs: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(languages.get(lang).code for lang in langs)
        if len(set(found)) < len(found):
            raise RecipeError(f"langs: {', '.join(langs)}: a language stands there twice")
        return found

    def title(self) -> str:
        """The build's name: given, or made from the source's and the task."""
        if self.name:
            return self.name
        return f"{name_of(as_spec(self.source.src)) if self.source else self.style_name()}-{self.task}"

    def asked(self) -> tuple[GeneratorSection, ...]:
        """The generators; of queries without one, the one that needs no model."""
        if self.generator and self.generators:
            raise RecipeError("generator and generators are both given; keep one of them")
        found = self.generators or ((self.generator,) if self.generator else ())
        if not found:
            if self.task != "queries":
                raise RecipeError(
                    f"generate {self.task}: which model? Say --engine openai --base-url URL --model NAME, or vllm, or ctranslate2"
                )
            found = (GeneratorSection(name=SALIENT),)
        if self.task != "queries" and any(one.name == SALIENT for one in found):
            raise RecipeError(
                f"generate {self.task}: {SALIENT} makes queries alone; name a model: --engine openai, vllm or ctranslate2"
            )
        if len(found) > 1 and any(one.name == SALIENT for one in found):
            raise RecipeError("generators: salient needs no model and is used alone")
        if found[0].name == SALIENT and (said := found[0].options()):
            raise RecipeError(
                f"generator {SALIENT}: it needs no model, so {', '.join(said)} says nothing; leave it out, or name another --engine"
            )
        return found

    @property
    def salient(self) -> bool:
        """Whether no model is asked."""
        return self.asked()[0].name == SALIENT

    def style_name(self) -> str:
        """The style: named, or the usual one."""
        return self.style.name or (SALIENT_STYLE if self.salient else STYLES[self.task])

    def style_options(self) -> dict[str, Any]:
        """Options of the style; `per_passage` is one of them."""
        own = dict(self.style.model_extra or {})
        return own | ({"per_passage": self.per_passage} if self.per_passage is not None else {})

    def notes(self) -> list[str]:
        """What was chosen because nobody said anything else."""
        found = []
        if not (self.generator or self.generators):
            found.append(f"no --engine named: generator {SALIENT}, a baseline that needs no model")
        if not self.style.name:
            found.append(f"no --style named: {self.style_name()}")
        if skipped := self.skipped():
            found.append(f"funnel step {skipped} did not run: no query of the style {self.style_name()} could pass it")
        return found

    def skipped(self) -> str:
        """The funnel step that no row of the style could pass, unless the recipe asks for it; "" if there is none."""
        own = SALIENT_STYLES.get(self.style_name()) if self.salient else None
        named = own is None or self.funnel.stages is not None or own.fails in (self.funnel.model_extra or {})
        return "" if own is None or named else own.fails
