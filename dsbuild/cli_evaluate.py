"""The commands under `evaluate`: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import typer

from dsbuild.cli import app

evaluate = typer.Typer(
    no_args_is_help=True, help="Measure a retrieval set: its hard negatives, and what it lets a retriever find."
)
app.add_typer(evaluate, name="evaluate")
