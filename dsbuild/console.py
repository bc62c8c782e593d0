"""What people see: progress while a build runs, and tables at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from dsbuild.terminal import shown

if TYPE_CHECKING:
    from dsbuild.store import UnitRecord

_LINE_EVERY_S = 30.0


def reporter(stream: IO[str]) -> PlainReporter | BarReporter:
    """A progress bar on a terminal, else one plain line every 30 seconds."""
    return BarReporter(stream) if stream.isatty() else PlainReporter(stream)


class PlainReporter:
    """Prints one line every 30 seconds that says which step is at work and how far it is."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self._state = ("", 0, 0)
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> PlainReporter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def node(self, name: str, n_units: int, n_done: int) -> None:
        """A step starts."""
        self._state = (name, n_done, n_units)

    def unit(self, name: str, record: UnitRecord) -> None:
        """A unit is done."""
        _, done, total = self._state
        self._state = (name, done + 1, total)

    def _tell(self) -> None:
        while not self._ended.wait(_LINE_EVERY_S):
            name, done, total = self._state
            elapsed = time.monotonic() - self._started
            print(f"{name}: {done} of {total} units, {elapsed:.0f} s", file=self.stream, flush=True)


class BarReporter:
    """One bar per step that has work to do."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(file=stream))
        self._task: Any = None

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def node(self, name: str, n_units: int, n_done: int) -> None:
        """A step starts."""
        self._task = None
        if n_done < n_units:
            self._task = self._progress.add_task(name, total=n_units, completed=n_done)

    def unit(self, name: str, record: UnitRecord) -> None:
        """A unit is done."""
        if self._task is not None:
            self._progress.advance(self._task)


class _SafeConsole(Console):
    """A console whose terminal no text of a set can steer (`shown`)."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for part in super().render(renderable, options):
            yield part if part.control else Segment(shown(part.text), part.style)


def new_console() -> Console:
    """A console on standard output."""
    # Off a terminal lines must not be folded at 80 columns: they are read by programs and by the README check.
    console = _SafeConsole()
    return console if console.is_terminal else _SafeConsole(width=200)


def new_table(*columns: str, title: str | None = None) -> Table:
    """A table without lines; a column named with # in front holds numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = name.startswith("#")
        table.add_column(name.lstrip("#"), justify="right" if numeric else "left", overflow="fold")
    return table


def number(value: Any) -> str:
    """A number with separators, - for none."""
    return "-" if value is None else f"{value:,}"


def print_summary(summary: Mapping[str, Any], samples: Sequence[Mapping[str, str]]) -> None:
    """Per language the rows and how they ended; then a few source/translation pairs; then where the release is."""
    console = new_console()
    table = new_table(
        "lang", "#in", "#kept", "#repaired", "#dropped", "#failed", "#segments", "#reused", "#tokens/s", "reasons"
    )
    for lang, row in summary["languages"].items():
        reasons = ", ".join(f"{rule} {count:,}" for rule, count in row["reasons"].items()) or "-"
        table.add_row(
            lang,
            *(
                number(row[name])
                for name in ("in", "kept", "repaired", "dropped", "failed", "segments", "reused", "tokens_per_s")
            ),
            reasons,
        )
    console.print(table)
    for sample in samples:
        console.print()
        console.print(Text(f"{sample['table']} {sample['id']}"), style="bold", highlight=False)
        console.print(Text(f"  src  {sample['source']}"), highlight=False)
        console.print(Text(f"  {sample['lang']:4} {sample['translation']}"), highlight=False)
    console.print()
    console.print(Text(f"release: {summary['release']}"), highlight=False)


def print_plan(found: Mapping[str, Any]) -> None:
    """The plan: one line per step, with the reasons below."""
    console = new_console()
    table = new_table("step", "#units", "#done", "#to run", "#rows", "#bytes", "#seconds", "why", title=found["recipe"])
    for line in found["nodes"]:
        if line["waits_for"]:
            table.add_row(line["node"], "?", "?", "?", "?", "?", "?", f"after {', '.join(line['waits_for'])}")
            continue
        todo = line["n_units"] - line["n_done"]
        seconds = "-" if line["seconds"] is None else f"{line['seconds']:,.1f}"
        why = "; ".join(f"{reason} ({count})" for reason, count in line["reasons"].items()) or "done"
        table.add_row(
            line["node"],
            *(number(value) for value in (line["n_units"], line["n_done"], todo, line["rows"], line["size_bytes"])),
            seconds,
            why,
        )
    console.print(table)
    for name, terms in found["terms"].items():
        console.print(
            Text(f"{name}: {terms['license']}" + (f" ({terms['note']})" if terms["note"] else "")), highlight=False
        )
    for line in found["advice"]:
        console.print(Text(f"advice: {line}"), highlight=False)


def print_status(found: Mapping[str, Any]) -> None:
    """What a release holds."""
    console = new_console()
    console.print(
        Text(f"{found['name']} {found['version']} (dsbuild {found['dsbuild']}): {found['state']}"), highlight=False
    )
    table = new_table("configuration", "split", "#rows", "#bytes")
    for row in found["configs"]:
        table.add_row(row["config"], row["split"], number(row["rows"]), number(row["size_bytes"]))
    console.print(table)
    table = new_table("lang", "table", "#in", "#kept", "#repaired", "#dropped", "#failed")
    for row in found["accounting"]:
        table.add_row(
            row["lang"],
            row["table"],
            *(number(row.get(name)) for name in ("in", "kept", "repaired", "dropped", "failed")),
        )
    console.print(table)


def print_verify(found: Mapping[str, Any]) -> None:
    """What was checked, and what is wrong."""
    console = new_console()
    for name, count in found["checked"].items():
        console.print(Text(f"{name}: {count:,}"), highlight=False)
    for problem in found["problems"]:
        console.print(Text(f"problem: {problem}"), style="bold red", highlight=False)
    console.print("not in order" if found["problems"] else "in order")


def print_what_if(found: Mapping[str, Any]) -> None:
    """What other thresholds would do."""
    console = new_console()
    table = new_table("lang", "table", "#in", "#kept now", "#kept then", "#newly dropped", "#newly kept", "rules")
    for row in found["tables"]:
        rules = ", ".join(f"{rule} {count:,}" for rule, count in row["reasons"].items()) or "-"
        table.add_row(
            row["lang"],
            row["table"],
            *(number(row[name]) for name in ("in", "kept", "kept_then", "newly_dropped", "newly_kept")),
            rules,
        )
    console.print(table)
    for note in found["notes"]:
        console.print(Text(note), highlight=False)


def print_listing(found: Sequence[Mapping[str, str]]) -> None:
    """Names with what each is."""
    table = new_table("name", "what it is")
    for row in found:
        table.add_row(Text(row["name"]), Text(row["about"]))
    new_console().print(table)


def print_doctor(found: Sequence[Mapping[str, str]]) -> None:
    """What works here."""
    table = new_table("what", "state", "detail")
    for row in found:
        table.add_row(row["what"], row["state"], Text(row["detail"]))
    new_console().print(table)


def print_models(found: Sequence[Mapping[str, Any]]) -> None:
    """Known models."""
    table = new_table("model", "family", "licence", "#GB", "languages", "here")
    for row in found:
        table.add_row(
            *(Text(str(row.get(name, "-"))) for name in ("name", "family", "license", "size_gb", "languages", "here"))
        )
    new_console().print(table)


def print_model(found: Mapping[str, Any]) -> None:
    """One model's card."""
    console = new_console()
    for name, value in found.items():
        console.print(Text(f"{name}: {value}" if name != "card" else str(value)), highlight=False)
