"""The recipe of a judged set: which pairs a language model judges, how, and what becomes of its word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from dsbuild.builders.generation.generate_recipe import BudgetSection, GeneratorSection, SamplingSection
from dsbuild.builders.judging.choose_pairs import Of
from dsbuild.builders.judging.judge_pairs import Mode, prompt_of
from dsbuild.builders.judging.judge_preferences import How
from dsbuild.builders.judging.judged_qrels import RELEVANT, Scale
from dsbuild.builders.retrieval.retriever_section import RetrieverSection
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.opened import as_spec, name_of
from dsbuild.errors import RecipeError
from dsbuild.prompts import Prompt
from dsbuild.recipe import Section

# How many candidates of a query are judged where nobody says it; UMR scores 100.
DEPTHS: Mapping[str, int] = {"graded": 10, "pairwise": 10, "likelihood": 100}


class PairsSection(Section):
    """Which pairs are judged, see `ChoosePairs`.

    of: candidates, qrels or sample; depth: candidates of a query (None: `DEPTHS`); limit: how many questions in each language; retrievers: whose
    candidates of a release count (all first stages if none is named).
    """

    of: Of = "candidates"
    depth: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    retrievers: tuple[str, ...] = ()
    unjudged: bool = False
    positives: bool = False


class QrelsSection(Section):
    """What grades mean beside those of the set.

    scale: see `AddGrades`; relevant, known_relevant: from which grade on the model, and the set, call a passage an answer.
    """

    scale: Scale = "source"
    relevant: int = Field(default=RELEVANT, ge=1, le=3)
    known_relevant: int = 1


class JudgeRecipe(Section):
    """Have a language model judge pairs of a retrieval set.

    mode: graded (0 to 3), pairwise (which of two candidates), likelihood (of the query given the document); compare: of which candidates pairwise
    asks; pseudo_labels: the likeliest document of each query becomes a judgement; prompt_file: your own prompt; unreachable: see `AskModel`.
    """

    build: Literal["judge"] = "judge"
    name: str | None = None
    mode: Mode = "graded"
    source: SourceSection
    langs: tuple[str, ...] = ()
    generator: GeneratorSection | None = None
    retriever: RetrieverSection | None = None
    pairs: PairsSection = PairsSection()
    compare: How = "adjacent"
    pseudo_labels: bool = False
    qrels: QrelsSection = QrelsSection()
    seed: int = 0
    budget: BudgetSection = BudgetSection()
    sampling: SamplingSection = SamplingSection()
    prompt_file: str = ""
    unreachable: Literal["stop", "fail"] = "stop"
    release: ReleaseSection = ReleaseSection()

    def title(self) -> str:
        """The build's name: given, or made from the source's."""
        return self.name or f"{name_of(as_spec(self.source.src))}-judged"

    def depth(self) -> int:
        """How many candidates of a query are judged."""
        return self.pairs.depth or DEPTHS[self.mode]

    def prompt(self) -> Prompt:
        """The prompt."""
        return prompt_of(self.mode, self.prompt_file)

    def asked(self) -> GeneratorSection:
        """The model; `RecipeError` where none is named."""
        if self.generator is None:
            raise RecipeError(
                "generate judge: which model? Say --engine openai --base-url URL --model NAME, or vllm, or ctranslate2"
            )
        return self.generator

    def judge(self) -> str:
        """What the model's candidates and pseudo-labels are called after."""
        return f"{'umr' if self.mode == 'likelihood' else 'judge'}:{self.asked().label}"

    def check(self) -> None:
        """`RecipeError` for what cannot be meant."""
        of = self.pairs.of
        if self.mode == "pairwise" and of != "candidates":
            raise RecipeError(f"--pairs {of}: the mode pairwise compares candidates of a query; leave --pairs out")
        if of == "sample" and self.pairs.limit is None:
            raise RecipeError("--pairs sample: how many pairs? Say --limit N")
        if of == "sample" and self.mode == "likelihood":
            raise RecipeError("--pairs sample: likelihood ranks all candidates of a query; say --pairs candidates")
        if self.pairs.unjudged and (of == "qrels" or self.pairs.positives):
            raise RecipeError(
                "pairs.unjudged: leaves judged pairs out, and they are asked for too; keep one of the two"
            )
        if self.mode == "pairwise" and self.depth() < 2:
            raise RecipeError("--depth 1: the mode pairwise compares two candidates; at least 2")
        if self.pseudo_labels and self.mode != "likelihood":
            raise RecipeError(f"pseudo_labels: of the mode likelihood only, this is {self.mode}")
        if self.mode == "likelihood" and self.sampling.said():
            raise RecipeError("sampling: nothing is drawn in the mode likelihood; leave it out")
        if self.retriever and self.pairs.retrievers:
            raise RecipeError("pairs.retrievers: of candidates that a release holds; with --retriever name them there")

    def notes(self) -> list[str]:
        """What was chosen because nobody said anything else."""
        if self.pairs.depth is None and self.pairs.of != "qrels":
            return [f"no --depth named: the first {self.depth()} candidates of each query"]
        return []
