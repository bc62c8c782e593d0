"""The command that shows what a funnel lost: it parses, calls and prints like those of `dsbuild.cli`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsbuild.cli import Folder, Format, OutputFormat, app, print_found


@app.command()
def funnel(
    folder: Folder,
    samples: Annotated[int, typer.Option("--samples", metavar="N", min=0, help="Lost rows to show for each step.")] = 3,
    real: Annotated[
        Optional[str],
        typer.Option("--real", metavar="DIR|KIND:PATH", help="Compare with the queries of this set instead of the source's own."),
    ] = None,
    lang: Annotated[
        Optional[str], typer.Option("--lang", metavar="CODE", help="Language of the set of --real, where it does not say it.")
    ] = None,
    output: OutputFormat = Format.text,
) -> None:  # fmt: skip
    """Show what each step of the funnel lost of generated queries, with samples, and how they compare with real ones.

    Example: dsbuild funnel outputs/NAME/0.0.0-draft --samples 5 --real beir:DIR
    """
    from dsbuild import funnel_console
    from dsbuild.builders.funnel import report
    from dsbuild.builders.generation.real_queries import real_shapes

    compared = real_shapes(real, lang) if real else None
    found = {
        "release": str(folder),
        "languages": report.facts_of_release(folder, samples=samples, real=compared),
    }
    print_found(output, found, lambda: funnel_console.print_funnel(found))
