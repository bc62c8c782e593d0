from __future__ import annotations

import shutil
import stat

import pytest

from dsbuild.engine import Request, TranslationEngine
from dsbuild.errors import EngineError
from dsbuild.translate.apertium import ApertiumEngine

needs_apertium = pytest.mark.skipif(
    shutil.which("apertium") is None, reason="apertium is not installed (Debian packages apertium apertium-eng-spa)"
)


def translate(engine: ApertiumEngine, *texts: str) -> list:
    return next(iter(engine.translate_batches([[Request(text, "en", "es") for text in texts]])))[1]


@needs_apertium
def test_real_translations_with_unknown_words_counted() -> None:
    engine = ApertiumEngine()
    assert isinstance(engine, TranslationEngine)
    engine.check("en", ["es"])
    house, strange = translate(engine, "The house is green.", "The blorptag is green.")
    assert (house.text, house.n_unknown, house.finish) == ("La casa es verde.", 0, "stop")
    assert "blorptag" in strange.text
    assert strange.n_unknown == 1


@needs_apertium
def test_stream_characters_and_marks_of_the_source_come_back() -> None:
    text = r"See [1] {a} $5 ^x /y <z> \ * # @ 50%"
    (out,) = translate(ApertiumEngine(), text)
    for piece in ("[1]", "{", "$5", "^", "/", "<", ">", "\\", "*", "#", "@", "50%"):
        assert piece in out.text


@needs_apertium
def test_private_use_characters_stay_and_loose_accents_join_their_letters() -> None:
    private = "The house \ue000 is \U000f0003 green # here.\nIt rains."
    kept, loose, joined = translate(ApertiumEngine(), private, "The cafe\u0301 is green.", "The caf\u00e9 is green.")
    assert [one for one in kept.text if one in "\ue000\U000f0003#\n*"] == ["\ue000", "\U000f0003", "#", "\n"]
    assert loose.text == joined.text


@needs_apertium
def test_a_line_does_not_depend_on_its_neighbours() -> None:
    engine = ApertiumEngine()
    texts = ["what is the price of a house", "It rains.", "who wrote the book"]
    alone = [translate(engine, text)[0].text for text in texts]
    assert [out.text for out in translate(engine, *texts)] == alone
    assert [out.text for out in translate(engine, *reversed(texts))] == alone[::-1]


@needs_apertium
def test_placeholders_pass_as_unknown_words_that_do_not_count() -> None:
    (out,) = translate(ApertiumEngine(), "Read zqx1 before you visit zqx2.")
    assert "zqx1" in out.text
    assert "zqx2" in out.text
    assert out.n_unknown == 0


@needs_apertium
def test_a_direction_that_is_not_installed_names_its_package() -> None:
    with pytest.raises(EngineError, match="apt-get install|it serves"):
        ApertiumEngine().check("en", ["hi"])
    with pytest.raises(EngineError, match="no mode 'eng-xxx'"):
        ApertiumEngine(mode="eng-xxx").check("en", ["es"])


def test_a_mode_must_be_of_the_direction(tmp_path, monkeypatch) -> None:
    command = tmp_path / "apertium"
    command.write_text("#!/bin/sh\necho eng-cat_valencia eng-spa\n")
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    engine = ApertiumEngine(mode="eng-cat_valencia")
    engine.check("en", ["ca"])
    for src, tgt in (("en", "es"), ("ca", "en")):
        with pytest.raises(EngineError, match=f"'eng-cat_valencia' does not translate {src} -> {tgt}"):
            engine.check(src, [tgt])


def test_a_line_that_stalls_or_fails_costs_only_itself(tmp_path, monkeypatch) -> None:
    """A stand-in command that copies lines, hangs on one word and fails on another."""
    command = tmp_path / "apertium"
    command.write_text(
        '#!/bin/sh\nif [ "$1" = -l ]; then echo eng-spa; exit 0; fi\ndata=$(cat)\n'
        'case "$data" in *hang*) sleep 30;; *crash*) echo broken >&2; exit 3;; esac\nprintf \'%s\\n\' "$data"\n'
    )
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    outs = translate(ApertiumEngine(timeout_s=0.5), "one", "crash", "two", "hang", "three")
    assert [out.text for out in outs] == ["one", "", "two", "", "three"]
    assert outs[1].error == "engine_error: apertium exit 3, broken"
    assert outs[3].error.startswith("timeout: ")
