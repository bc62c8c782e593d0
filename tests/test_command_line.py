"""What a command line meets besides its work: help in groups, wrong options, closed or narrow streams, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.main import get_command

from dsbuild import __version__
from dsbuild.cli import app
from dsbuild.command_line import GROUPS, MAX_WIDTH
from dsbuild.terminal import json_text, stop_for_sure
from tests.small_set import ROOT, cli

HINDI = "\u0939\u093f\u0928\u094d\u0926\u0940 \U0001f600"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line for bash in which $D is the command."""
    command = f"{sys.executable} -m dsbuild"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "D": command, **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, check=False, cwd=ROOT)


def test_every_command_stands_in_one_group_of_the_help() -> None:
    grouped = [name for group in GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(get_command(app).commands)
    out = cli("--help")[1]
    assert [line.rstrip(":") for line in out.splitlines() if line.rstrip(":") in GROUPS] == list(GROUPS)
    assert all(f"\n  {name} " in out for name in grouped)
    assert "..." not in out.partition("\n")[2], "no line is cut off"


def test_help_is_asked_for_shortly_too_and_has_the_shared_options_and_examples_last() -> None:
    code, out, _ = cli("translate", "-h")
    assert (code, out) == (0, cli("translate", "--help")[1])
    places = [out.index(title) for title in ("\nOptions:\n", "\nEvery build:\n", "\nOutput:\n", "\nExample:\n")]
    assert places == sorted(places)
    assert out.index("--glossary") < places[1] < out.index("--store") < places[2]
    assert out.endswith("\n  dsbuild translate --src msmarco-sample --langs hi,mr,ta --engine mini\n")
    assert cli("review", "--help")[1].count("\n  dsbuild review ") == 4


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("400", MAX_WIDTH)])
def test_help_is_as_wide_as_the_terminal(columns: str, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = cli("lid", "--help")[1].splitlines() + cli("--help")[1].splitlines()
    assert widest - 20 < max(map(len, lines)) <= widest


def test_version() -> None:
    assert cli("--version") == (0, f"dsbuild {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["translate", "--lang", "hi"], "--lang. Did you mean --langs, --src-lang? See dsbuild translate --help"),
        (["translat"], "'translat'. Did you mean 'translate'? See dsbuild --help"),
        (["translate", "--src", "msmarco-sample"], "missing option '--langs'. See dsbuild translate --help"),
        (["status"], "missing argument 'DIR'. See dsbuild status --help"),
        (["list", "engines", "--format", "xml"], "'xml' is not one of 'text', 'json'. See dsbuild list --help"),
        (["mine", "--src", "x", "--limit", "0"], "See dsbuild mine --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str) -> None:
    code, out, err = cli(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("dsbuild: ")
    assert err.rstrip().endswith(said)


def test_list_without_a_kind_names_the_kinds() -> None:
    kinds = json.loads(cli("list", "--format", "json")[1])
    for kind in kinds:
        rows = json.loads(cli("list", kind["name"], "--format", "json")[1])
        assert all(row["name"] and row["about"] for row in rows), kind


def test_streams_that_are_closed_are_no_error() -> None:
    done = shell("$D list recipes >&- && $D lid - <&- && $D doctor 2>&- >/dev/null; echo $?")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    done = shell("$D list languages | head -1; $D lid <(yes 'a line of text' | head -50000) | head -1")
    assert done.stdout.startswith("name ")
    assert done.stderr == ""


def test_letters_that_a_terminal_lacks_are_escaped() -> None:
    done = shell("$D list recipes && $D list recipes --format json", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    text, _, listed = done.stdout.partition("[\n")
    assert "Clavi\\xe9" in text
    assert any("Clavi\xe9" in row["about"] for row in json.loads(f"[{listed}"))


def test_json_for_a_stream_of_few_letters_is_still_json() -> None:
    class Latin:
        encoding = "latin-1"

    said = json_text({"text": HINDI, "score": float("nan")}, Latin())  # type: ignore[arg-type]
    assert said.isascii()
    assert json.loads(said) == {"text": HINDI, "score": None}


def test_ctrl_c_that_a_callback_of_native_code_swallows_is_heard() -> None:
    import ctypes

    @ctypes.CFUNCTYPE(None)
    def callback() -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the signal came before this line")

    until = time.monotonic() + 20
    with pytest.raises(KeyboardInterrupt), stop_for_sure():  # noqa: PT012 - the interrupt comes while it waits
        callback()
        while time.monotonic() < until:
            time.sleep(0.01)


def test_ctrl_c_is_one_line_and_exit_130(tmp_path) -> None:
    code = (
        "import os, signal, sys; from dsbuild import cli\n"
        "from dsbuild.builders import installation\n"
        "installation.doctor = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['dsbuild', 'doctor']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "dsbuild: stopped; run the same command again to go on\n"
