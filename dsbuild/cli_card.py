"""The commands on the datasheet's answers: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import Format, OutputFormat, app, print_found
from dsbuild.command_line import CommandLine

card = CommandLine("What only people can say of a set: questions, answers, what is open.")
app.add_typer(card, name="card")

Folder = Annotated[Optional[Path], typer.Argument(metavar="[DIR]", help="A release folder; its answers lie beside it.")]


@card.command("init")
def card_init(
    folder: Folder = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", metavar="FILE", help="Where the answers file is written.")
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Write answers.yaml: every question of the datasheet, for a person to answer.

    Example: dsbuild card init outputs/msmarco-sample-hi/0.0.0-draft
    """
    from dsbuild.builders.releases import answering

    found = answering.init(folder, out)
    print_found(
        output,
        found,
        lambda: typer.echo(f"{found['answers']}: {found['questions']} questions, {found['required']} required"),
    )


@card.command("check")
def card_check(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A release folder or a file of answers.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if a required answer is missing.")] = False,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="Also check croissant.json with mlcroissant (extra: release).")
    ] = False,
    output: OutputFormat = Format.text,
) -> None:
    """What is not answered yet, required questions first. Exit code 1 if croissant.json is not valid.

    Example: dsbuild card check outputs/msmarco-sample-hi/1.0.0 --strict
    """
    from dsbuild.builders.releases import answering

    found = answering.check(path, croissant=croissant)
    print_found(output, found, lambda: _print_check(found))
    if (strict and found["required"]) or found["croissant"]:
        raise typer.Exit(1)


def _print_check(found: dict[str, Any]) -> None:
    for kind in ("required", "open"):
        for one in found[kind]:
            typer.echo(f"{kind:8}  {one['name']}: {one['ask']}")
    typer.echo(
        f"{found['answers'] or 'no answers file'}: {found['answered']} answered, {len(found['required'])} required and "
        f"{len(found['open'])} other questions open"
    )
    for problem in found["croissant"] or ():
        typer.echo(f"croissant.json: {problem}")
