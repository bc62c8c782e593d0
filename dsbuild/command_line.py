"""What every command's help looks like: commands and options in groups, examples at the end, as wide as the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

MAX_WIDTH = 110
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH}

# Every command of the top level stands in one group (tests/test_command_line.py).
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Build a set": ("translate", "generate", "filter", "mine", "prune", "project", "split", "contamination", "triples"),
    "Work with recipes": ("plan", "run", "list"),
    "Look at a release": ("status", "verify", "explain", "what-if", "funnel", "report", "review", "evaluate", "diff"),
    "Publish it": ("card", "release", "rebuild", "export", "publish"),
    "Fit and choose": ("calibrate", "calibrate-projection", "train-classifier", "lid", "select-tasks"),
    "This machine": ("models", "doctor"),
}
# Options that mean the same in every build come after those of the command.
_SHARED = {"recipe", "workers", "executor", "out", "store", "settings", "dry_run"}
_EXAMPLE = re.compile(r"^(?:Example|[A-Z][^:\n]*): (dsbuild .*)$", re.MULTILINE | re.DOTALL)


class Command(TyperCommand):
    """A command whose help has its own options first, then those of every build, then examples."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What the command does, without the examples."""
        for paragraph in _paragraphs(self.help):
            if not _EXAMPLE.match(paragraph):
                formatter.write_paragraph()
                with formatter.indentation():
                    formatter.write_text(paragraph)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options in groups."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Every build": [], "Output": []}
        for one in self.get_params(ctx):
            if record := one.get_help_record(ctx):
                rows[_group_of(one)].append(record)
        # Commands that are no build have one group.
        if len(rows["Every build"]) < 3:
            rows["Options"] += rows.pop("Every build") + rows.pop("Output")
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, each on one line: they are there to be copied."""
        examples = [line for paragraph in _paragraphs(self.help) for line in _examples(paragraph)]
        if examples:
            with formatter.section("Example" if len(examples) == 1 else "Examples"):
                formatter.write("".join(f"  {line}\n" for line in examples))


class Commands(TyperGroup):
    """Commands in groups; each with the main clause of its first line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands of each group, in its order."""
        names = self.list_commands(ctx)
        named = {name for group in GROUPS.values() for name in group}
        groups = GROUPS if named >= set(names) else {"Commands": tuple(names)}
        for title, group in groups.items():
            rows = [(name, _short(self.get_command(ctx, name))) for name in group if name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class CommandLine(typer.Typer):
    """A Typer whose commands print such help, also for `-h`."""

    def __init__(self, about: str, **more: Any) -> None:
        plain: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "no_args_is_help": True}
        super().__init__(cls=Commands, context_settings=_CONTEXT, help=about, **plain, **more)

    def command(self, name: str | None = None, **more: Any) -> Callable[[Any], Any]:
        """Register a command, as Typer does."""
        return super().command(name, **{"cls": Command, "context_settings": _CONTEXT, **more})


def usage_line(error: Exception) -> str | None:
    """A wrong command line as one line that names the help to read; None for any other error. No arguments at all: the help."""
    context = getattr(error, "ctx", None)
    if not hasattr(error, "format_message"):
        return None
    message = " ".join(str(error.format_message()).split()).replace("Value error, ", "")
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    if found := re.search(r" \(Possible options: (.*)\)$| Did you mean (.*?)\??$", message):
        message = f"{message[: found.start()].rstrip('.')}. Did you mean {found[1] or found[2]}?"
    command = context.command_path if context else "dsbuild"
    return f"dsbuild: {message[:1].lower()}{message[1:].rstrip('.')}{'' if message.endswith('?') else '.'} See {command} --help"


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n") if paragraph.strip()]


def _examples(paragraph: str) -> Iterator[str]:
    if found := _EXAMPLE.match(paragraph):
        yield from re.split(r"(?:;|,)? then (?=dsbuild )", found[1])


def _group_of(one: Any) -> str:
    if one.param_type_name == "argument":
        return "Arguments"
    if one.name in _SHARED:
        return "Every build"
    return "Output" if one.name in ("output", "help") else "Options"


def _short(command: Any) -> str:
    first = (_paragraphs(command.help) or [""])[0]
    return re.split(r"[:;.](?: |$)|, (?:with|by|every|from|saved) ", first)[0]
