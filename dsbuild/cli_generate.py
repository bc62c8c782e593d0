"""The commands that generate: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import (
    STORE,
    DryRun,
    Executor,
    Format,
    Model,
    Out,
    OutputFormat,
    Placement,
    RecipeFile,
    Settings,
    StoreDir,
    Workers,
    app,
    build_and_print,
)
from dsbuild.command_line import CommandLine

generate = CommandLine("Generate queries, questions with answers, triplets or pairs; judge pairs.")
app.add_typer(generate, name="generate")

Source = Annotated[
    Optional[str],
    typer.Option(
        "--src",
        metavar="DIR|KIND:PATH",
        help="Passages to ask about: a release folder, beir:DIR, msmarco-sample, jsonl:FILE, …",
    ),
]
Langs = Annotated[
    Optional[str],
    typer.Option("--langs", metavar="hi,en", help="Languages of what is generated, BCP-47 [default: the source's]."),
]
SourceLang = Annotated[
    Optional[str], typer.Option("--lang", metavar="CODE", help="Language of the passages, where they do not say it.")
]
Engine = Annotated[
    Optional[str],
    typer.Option("--engine", metavar="E", help="openai, vllm, ctranslate2; of queries also salient, which needs no model [default]."),
]  # fmt: skip
BaseUrl = Annotated[
    Optional[str],
    typer.Option("--base-url", metavar="URL", help="Of an OpenAI-compatible server, up to /v1 (--engine openai)."),
]
Style = Annotated[Optional[str], typer.Option("--style", metavar="S", help="How it is asked: see dsbuild list styles.")]
PerPassage = Annotated[
    Optional[int],
    typer.Option(
        "--per-passage", metavar="N", min=1, help="Questions about each passage and language [default: the style's]."
    ),
]
Limit = Annotated[
    Optional[int],
    typer.Option("--limit", metavar="N", min=1, help="Ask about at most N passages, drawn by the seed; the set stays whole."),
]  # fmt: skip
Count = Annotated[
    Optional[int],
    typer.Option("--count", metavar="N", min=1, help="How many questions, for a style that needs no passages."),
]
Budget = Annotated[
    Optional[int],
    typer.Option("--budget-tokens", metavar="N", min=1, help="Stop asking when questions and answers reach N tokens."),
]
Seed = Annotated[Optional[int], typer.Option("--seed", metavar="S", help="Seed of every draw [default: 0].")]


def _add(task: str, about: str, example: str) -> None:
    """One command for a task: they all have the same options."""

    def command(
        src: Source = None,
        langs: Langs = None,
        engine: Engine = None,
        base_url: BaseUrl = None,
        model: Model = None,
        style: Style = None,
        per_passage: PerPassage = None,
        limit: Limit = None,
        count: Count = None,
        budget_tokens: Budget = None,
        seed: Seed = None,
        lang: SourceLang = None,
        recipe: RecipeFile = None,
        workers: Workers = None,
        executor: Executor = Placement.local,
        out: Out = None,
        store: StoreDir = STORE,
        settings: Settings = None,
        dry_run: DryRun = False,
        output: OutputFormat = Format.text,
    ) -> None:
        from dsbuild.builders import build
        from dsbuild.builders.mining import mined

        given: dict[str, Any] = {
            "task": task, "source.src": mined.as_source(src), "source.lang": lang,
            "langs": [one.strip() for one in langs.split(",") if one.strip()] if langs else None,
            "generator.name": engine, "generator.base_url": base_url, "generator.model": model, "style.name": style,
            "per_passage": per_passage, "pick.limit": limit, "count": count, "budget.tokens": budget_tokens, "seed": seed,
        }  # fmt: skip
        made: Any = build.compose(recipe, given, settings or [], "generate")
        build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output)

    command.__doc__ = f"{about}\n\n    Example: {example}\n    "
    generate.command(task)(command)


_add(
    "queries",
    "Generate search queries about passages, in any language, and put them through the funnel.",
    "dsbuild generate queries --src beir:DIR --langs hi,en --engine openai --base-url URL --model NAME --style swim-ir --per-passage 3",
)
_add(
    "qa",
    "Generate questions with answers that are checked against the passage.",
    "dsbuild generate qa --src beir:DIR --langs hi --engine openai --base-url URL --model NAME",
)
_add(
    "triplets",
    "Generate queries with a positive and a hard negative document.",
    "dsbuild generate triplets --langs hi --style e5 --count 1000 --engine openai --base-url URL --model NAME",
)
_add(
    "sts",
    "Generate pairs of texts of a wanted similarity.",
    "dsbuild generate sts --src jsonl:FILE --langs hi --engine openai --base-url URL --model NAME",
)
_add(
    "nli",
    "Generate pairs of a premise and a hypothesis: entailment, neutral, contradiction.",
    "dsbuild generate nli --src jsonl:FILE --langs hi --engine openai --base-url URL --model NAME",
)


Mode = Annotated[
    Optional[str], typer.Option("--mode", metavar="M", help="graded, pairwise or likelihood (UMR) [default: graded].")
]
PairsOf = Annotated[
    Optional[str],
    typer.Option("--pairs", metavar="P", help="Which pairs: candidates, qrels or sample [default: candidates]."),
]
Retrievers = Annotated[
    Optional[str],
    typer.Option("--retriever", metavar="bm25,lsa", help="First stages that find the candidates [default: those of the release]."),
]  # fmt: skip
Depth = Annotated[
    Optional[int],
    typer.Option("--depth", metavar="K", min=1, help="Judge the first K candidates of a query [default: 10, of likelihood 100]."),
]  # fmt: skip
QuestionLimit = Annotated[
    Optional[int],
    typer.Option("--limit", metavar="N", min=1, help="At most N pairs in each language, drawn by the seed."),
]
PseudoLabels = Annotated[
    bool, typer.Option("--pseudo-labels", help="Of likelihood: the best document of each query becomes a judgement.")
]
AnySet = Annotated[
    Optional[str],
    typer.Option(
        "--src", metavar="DIR|KIND:PATH", help="A retrieval set: a release folder, beir:DIR, msmarco-sample, …"
    ),
]
JudgedLangs = Annotated[
    Optional[str], typer.Option("--langs", metavar="hi,en", help="Languages of the queries [default: all of the set].")
]
Judge = Annotated[Optional[str], typer.Option("--engine", metavar="E", help="openai, vllm or ctranslate2.")]


@generate.command()
def judge(
    src: AnySet = None,
    mode: Mode = None,
    pairs: PairsOf = None,
    retriever: Retrievers = None,
    depth: Depth = None,
    langs: JudgedLangs = None,
    engine: Judge = None,
    base_url: BaseUrl = None,
    model: Model = None,
    limit: QuestionLimit = None,
    pseudo_labels: PseudoLabels = False,
    budget_tokens: Budget = None,
    seed: Seed = None,
    lang: SourceLang = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: DryRun = False,
    output: OutputFormat = Format.text,
) -> None:
    """Judge pairs of a query and a passage by a language model: grades, preferences, or the likelihood of the query.

    Example: dsbuild generate judge --src beir:DIR --retriever bm25 --depth 10 --engine openai --base-url URL --model NAME
    """
    from dsbuild.builders import build
    from dsbuild.builders.mining import mined

    given: dict[str, Any] = {
        "source.src": mined.as_source(src), "source.lang": lang, "mode": mode, "pairs.of": pairs, "pairs.depth": depth, "pairs.limit": limit,
        "retriever.use": retriever, "langs": [one.strip() for one in langs.split(",") if one.strip()] if langs else None,
        "generator.name": engine, "generator.base_url": base_url, "generator.model": model, "pseudo_labels": pseudo_labels or None,
        "budget.tokens": budget_tokens, "seed": seed,
    }  # fmt: skip
    made: Any = build.compose(recipe, given, settings or [], "judge")
    build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output)
