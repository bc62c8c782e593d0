"""The command that publishes: it parses, calls and prints like those of `dsbuild.cli`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsbuild.cli import Folder, Format, OutputFormat, app, print_found


@app.command()
def publish(
    folder: Folder,
    repo: Annotated[str, typer.Option("--repo", metavar="ORG/NAME", help="The data set repository on the Hub.")],
    endpoint: Annotated[
        Optional[str],
        typer.Option("--endpoint", metavar="URL", help="Another Hub [default: HF_ENDPOINT or huggingface.co]."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the exact operations and change nothing.")] = False,
    as_pr: Annotated[
        bool, typer.Option("--as-pr", help="Open a pull request; when it is merged, the same command tags.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private where it is made now.")
    ] = False,
    output: OutputFormat = Format.text,
) -> None:
    """Publish a release to the Hugging Face Hub: one commit, one tag, then every digest compared with what the Hub holds.

    Run again, it changes nothing, and a run that was stopped is finished.

    Example: dsbuild publish outputs/msmarco-hi/1.0.0 --repo my-org/msmarco-hi --dry-run
    """
    from dsbuild import publish_console
    from dsbuild.builders.releases import publish as publishing

    found = publishing.publish(
        folder, repo, endpoint=endpoint, dry_run=dry_run, as_pr=as_pr, private=private, say=lambda line: typer.echo(line, err=True)
    )  # fmt: skip
    print_found(output, found, lambda: publish_console.print_publish(found))
