"""The commands under `models`: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsbuild.cli import Format, OutputFormat, app, print_found
from dsbuild.command_line import CommandLine

models = CommandLine("Translation models: list the known ones, fetch, convert and describe them.")
app.add_typer(models, name="models")

ModelsDir = Annotated[
    str, typer.Option("--models", metavar="DIR", help="Folder of stored models [default: the user's cache].")
]


@models.command("list")
def models_list(folder: ModelsDir = "", output: OutputFormat = Format.text) -> None:
    """The known models: licence, size, languages, and which are here."""
    from dsbuild import console
    from dsbuild.builders import installation

    found = installation.model_list(folder)
    print_found(output, found, lambda: console.print_models(found))


@models.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A model's name or folder; mini is the shipped one.")],
    folder: ModelsDir = "",
    output: OutputFormat = Format.text,
) -> None:
    """The card of one model."""
    from dsbuild import console
    from dsbuild.builders import installation

    found = installation.model_card(name, folder)
    print_found(output, found, lambda: console.print_model(found))


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A Hub id, ORG/NAME.")],
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit.")] = "main",
    folder: ModelsDir = "",
    output: OutputFormat = Format.text,
) -> None:
    """Fetch a model from the Hugging Face Hub."""
    from dsbuild.translate import fetching

    found = {"model": name, "folder": str(fetching.pull(name, revision=revision, models_dir=folder))}
    print_found(output, found, lambda: typer.echo(f"{name}: {found['folder']}"))


@models.command("convert")
def models_convert(
    name: Annotated[str, typer.Argument(help="A Hub id or the folder of a transformers checkpoint.")],
    quantization: Annotated[str, typer.Option("--quantization", help="int8, int16, float16 or float32.")] = "int8",
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit.")] = "main",
    folder: ModelsDir = "",
    output: OutputFormat = Format.text,
) -> None:
    """Convert a transformers checkpoint for CTranslate2 (extra: convert)."""
    from dsbuild.translate import fetching

    path = fetching.convert(name, quantization=quantization, revision=revision, models_dir=folder)
    found = {"model": name, "folder": str(path)}
    print_found(output, found, lambda: typer.echo(f"{name}: {path}"))
