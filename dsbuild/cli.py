"""The command line: parse, call, print. Nothing is decided here."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer

from dsbuild import __version__
from dsbuild.command_line import CommandLine, usage_line
from dsbuild.errors import DsbuildError
from dsbuild.terminal import json_text, open_streams, shown, stop_for_sure

app = CommandLine("Build and curate multilingual training and evaluation sets.", name="dsbuild")


class Format(StrEnum):
    """How a command prints its result."""

    text = "text"
    json = "json"


class Placement(StrEnum):
    """Where units run."""

    local = "local"
    in_process = "in-process"
    datatrove = "datatrove"


_KINDS = (
    "What to read: msmarco[:DIR], robust04:DIR, msmarco-sample, beir:DIR, hf:ORG/NAME[@REV], irds:ID, tsv:FILE, "
    "jsonl:FILE, parquet:DIR, release:DIR; a release, a BEIR folder and a file need no kind."
)
Source = Annotated[str, typer.Option("--src", metavar="KIND[:PATH]", help=_KINDS)]
Langs = Annotated[str, typer.Option("--langs", metavar="hi,mr,ta", help="Target languages, BCP-47, comma-separated.")]
Out = Annotated[
    Optional[Path], typer.Option("--out", metavar="DIR", help="Release folder [default: outputs/NAME/0.0.0-draft].")
]
StoreDir = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Cache of finished work; deleting it costs only time.")
]
Settings = Annotated[
    Optional[list[str]], typer.Option("--set", metavar="a.b=c", help="Set one value of the recipe; may be repeated.")
]
OutputFormat = Annotated[
    Format, typer.Option("--format", help="text for people, json: one document on standard output.")
]
Workers = Annotated[Optional[int], typer.Option("--workers", metavar="N", help="Processes [default: one per core].")]
Executor = Annotated[Placement, typer.Option("--executor", help="Where units run.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A release folder.")]
Model = Annotated[Optional[str], typer.Option("--model", metavar="M", help="Model name or folder of the engine.")]
RecipeFile = Annotated[
    Optional[Path], typer.Option("--recipe", metavar="FILE", help="Recipe to start from; options go over it.")
]
RowLimit = Annotated[Optional[int], typer.Option("--limit", metavar="N", min=1, help="At most N rows.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]

STORE = Path("outputs/.store")
_INTERRUPTED = 130


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dsbuild {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere in the command.")
    ] = False,
) -> None:
    """Build and curate multilingual training and evaluation sets."""


@app.command()
def translate(
    src: Source,
    langs: Langs,
    engine: Annotated[
        Optional[str],
        typer.Option(
            "--engine", metavar="E", help="ctranslate2, apertium, llm, memory or mini [default: ctranslate2]."
        ),
    ] = None,
    model: Model = None,
    device: Annotated[
        Optional[str], typer.Option("--device", metavar="auto|cpu|cuda:0", help="Where the model runs.")
    ] = None,
    beam: Annotated[Optional[int], typer.Option("--beam", metavar="N", min=1, help="Beam size.")] = None,
    recipe: RecipeFile = None,
    src_lang: Annotated[
        Optional[str],
        typer.Option("--src-lang", metavar="en", help="Language of the source, where its kind does not fix it."),
    ] = None,
    limit: Annotated[
        Optional[int],
        typer.Option(
            "--limit", metavar="N", min=1, help="At most N documents; judged ones first, judgements consistent."
        ),
    ] = None,
    only: Annotated[
        Optional[str], typer.Option("--only", metavar="corpus|queries", help="Translate one table.")
    ] = None,
    table: Annotated[
        Optional[str],
        typer.Option(
            "--table",
            metavar="documents|instructions",
            help="The source is one table of texts, not a retrieval set; instructions: in IFEval's layout.",
        ),
    ] = None,
    glossary: Annotated[
        Optional[Path],
        typer.Option("--glossary", metavar="FILE", help="TSV of terms: term, fixed translation, language."),
    ] = None,
    parallel: Annotated[
        bool, typer.Option("--parallel", help="Keep only rows that survive in every language.")
    ] = False,
    max_drop: Annotated[
        Optional[str],
        typer.Option("--max-drop", metavar="20%", help="Stop early when more than this share of rows would be lost."),
    ] = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: DryRun = False,
    output: OutputFormat = Format.text,
) -> None:
    """Translate a retrieval set (passages, queries and judgements) or a table of texts, every row accounted for.

    Example: dsbuild translate --src msmarco-sample --langs hi,mr,ta --engine mini
    """
    from dsbuild.builders import build

    given: dict[str, Any] = {
        "source.src": src, "source.lang": src_lang, "source.limit": limit, "langs": [lang.strip() for lang in langs.split(",") if lang.strip()],
        "engine.name": engine, "engine.model": model, "engine.device": device, "engine.beam": beam, "only": only,
        "table": table,
        "glossary": str(glossary) if glossary else None, "parallel": parallel or None, "max_drop": build.share(max_drop) if max_drop else None,
    }  # fmt: skip
    made = build.compose(recipe, given, settings or [], "translate-texts" if table else None)
    build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")],
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Run a recipe; what is done already is not done again."""
    from dsbuild.builders import build

    build_and_print(
        build.compose(recipe, {}, settings or []), out, store, executor.value, workers, dry_run=False, output=output
    )


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")],
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Say which units would run and why, with rows, bytes and estimated time; runs nothing."""
    from dsbuild.builders import build

    build_and_print(build.compose(recipe, {}, settings or []), out, store, "local", None, dry_run=True, output=output)


def build_and_print(
    recipe: Any, out: Path | None, store: Path, executor: str, workers: int | None, *, output: Format, dry_run: bool = False,
    notes: Sequence[str] = (), more: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> None:  # fmt: skip
    """Run a recipe of any kind, or with `dry_run` plan it, and print what came of it.

    notes: told before the build's own; more: what is done with the finished build and added to what is printed.
    """
    from dsbuild import (
        console,
        filter_console,
        generate_console,
        judge_console,
        leakage_console,
        project_console,
        prune_console,
        retrieval_console,
    )
    from dsbuild.builders import build

    if dry_run:
        found = build.plan_build(recipe, store)
        print_found(output, found, lambda: console.print_plan(found))
        return
    reporter = console.reporter(sys.stderr)
    with reporter:
        result = build.run_build(recipe, out, store, executor, workers, reporter)
    tell([*notes, *result.notes])
    summary = {**result.summary, **(more(result.summary) if more else {})}
    shows: dict[str, Any] = {
        "translate": lambda: console.print_summary(summary, result.samples),
        "translate-texts": lambda: console.print_summary(summary, result.samples),
        "filter": lambda: filter_console.print_filter_summary(summary, result.samples),
        "split": lambda: leakage_console.print_split(summary),
        "contamination": lambda: leakage_console.print_contamination(summary),
        "mine": lambda: retrieval_console.print_mined(summary),
        "prune": lambda: prune_console.print_pruned(summary),
        "project": lambda: project_console.print_projected(summary),
        "generate": lambda: generate_console.print_generated(summary),
        "judge": lambda: judge_console.print_judged(summary),
    }
    print_found(output, summary, shows[recipe.build])


@app.command()
def status(folder: Folder, output: OutputFormat = Format.text) -> None:
    """What a release folder holds: tables, rows, accounting, engines, and whether it is complete."""
    from dsbuild import console
    from dsbuild.builders.releases import inspection

    found = inspection.status(folder)
    print_found(output, found, lambda: console.print_status(found))


@app.command()
def explain(
    folder: Folder,
    row_id: Annotated[str, typer.Option("--id", metavar="ID", help="A doc_id or query_id.")],
    lang: Annotated[Optional[str], typer.Option("--lang", metavar="hi", help="One language only.")] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Everything that happened to one row, also a dropped one: source, each stage's input, output, scores and model, and the rule that dropped it."""
    from dsbuild import explain_console
    from dsbuild.builders.releases import explaining

    found = explaining.explain(folder, row_id, lang)
    print_found(output, found, lambda: explain_console.print_explain(found))


@app.command()
def verify(
    name: Annotated[
        str, typer.Argument(metavar="DIR|ORG/NAME@TAG", help="A release folder, or a release on the Hugging Face Hub.")
    ],
    endpoint: Annotated[
        Optional[str],
        typer.Option("--endpoint", metavar="URL", help="Another Hub [default: HF_ENDPOINT or huggingface.co]."),
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Check a release: digests, schemas, ids, foreign keys, accounting, card. Exit code 1 if something is wrong.

    Example: dsbuild verify my-org/msmarco-hi@v1.0.0
    """
    from dsbuild import console
    from dsbuild.builders.releases import remote, verification

    if remote.is_published(name) and not Path(name).exists():
        found = remote.verify_remote(name, endpoint, lambda line: typer.echo(line, err=True))
    else:
        found = verification.verify(Path(name))
    print_found(output, found, lambda: console.print_verify(found))
    if found["problems"]:
        raise typer.Exit(1)


@app.command("what-if")
def what_if(folder: Folder, settings: Settings = None, output: OutputFormat = Format.text) -> None:
    """What other thresholds would keep and drop, from the stored scores; runs no model and changes nothing."""
    from dsbuild import console
    from dsbuild.builders.releases import inspection

    found = inspection.what_if(folder, settings or [])
    print_found(output, found, lambda: console.print_what_if(found))


@app.command("list")
def list_names(
    kind: Annotated[
        Optional[str],
        typer.Argument(
            metavar="[KIND]", help="What to list; without it, the kinds of names there are.", show_default=False
        ),
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """List the names that recipes and options may use: engines, sources, filters and others.

    Example: dsbuild list engines
    """
    from dsbuild import console
    from dsbuild.builders import installation

    found = installation.listing(kind) if kind else installation.kinds()
    print_found(output, found, lambda: console.print_listing(found))


@app.command()
def doctor(output: OutputFormat = Format.text) -> None:
    """Say what works on this machine: engines, extras, devices, and what to install for the rest."""
    from dsbuild import console
    from dsbuild.builders import installation

    found = installation.doctor()
    print_found(output, found, lambda: console.print_doctor(found))


def tell(notes: Sequence[str]) -> None:
    """Print notes where they do not mix with the result."""
    for note in notes:
        typer.echo(f"note: {shown(note)}", err=True)


def print_found(output: Format, found: Any, show: Any) -> None:
    """Print a result: for people by `show`, or as one JSON document."""
    if output is Format.json:
        typer.echo(json_text(found, sys.stdout))
    else:
        show()
    sys.stdout.flush()


def main() -> NoReturn:
    """Run the command; an error that the user can mend is one line on standard error and exit code 2."""
    open_streams()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    code: int | None = None
    try:
        with stop_for_sure():
            code = app(arguments, prog_name="dsbuild", standalone_mode=False)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except DsbuildError as error:
        if debug:
            raise
        sys.stdout.flush()
        print(f"dsbuild: {shown(' '.join(str(error).split()))}", file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        # Files have a line of their own (`disk_error`): this is where standard output goes.
        if debug or error.errno != errno.ENOSPC or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("dsbuild: standard output: disk full; free some space and run the same command again", file=sys.stderr)
        code = 2
    except Exception as error:
        line = usage_line(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        code = 2
    if code == _INTERRUPTED:
        print("dsbuild: stopped; run the same command again to go on", file=sys.stderr)
    raise SystemExit(code or 0)


# Commands of other files join the app when it is complete.
import dsbuild.cli_card  # noqa: E402
import dsbuild.cli_evaluate  # noqa: E402
import dsbuild.cli_filter  # noqa: E402
import dsbuild.cli_funnel  # noqa: E402
import dsbuild.cli_generate  # noqa: E402
import dsbuild.cli_leakage  # noqa: E402
import dsbuild.cli_models  # noqa: E402
import dsbuild.cli_project  # noqa: E402
import dsbuild.cli_publish  # noqa: E402
import dsbuild.cli_release  # noqa: E402
import dsbuild.cli_report  # noqa: E402
import dsbuild.cli_retrieval  # noqa: E402, F401

if __name__ == "__main__":
    main()
