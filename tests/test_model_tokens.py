"""Texts as tokens of a language model: two texts as one, and where the second begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.chat_template import ChatTemplate
from dsbuild.errors import EngineError
from dsbuild.model_tokens import n_before, tokens_of, vocabulary_of
from tests.tiny_story_model import ROOT

PIECES = ROOT.parent / "shared" / "data" / "models" / "spm_test"


def test_parts_of_a_character_belong_together() -> None:
    # Three bytes of the fifth character, each a token.
    assert n_before([0, 2, 4, 5, 5, 5, 6], 4) == 3
    assert n_before([2, 5], 4) == 1
    assert n_before([], 4) == 0


@pytest.mark.skipif(not PIECES.is_dir(), reason="../shared/data is not there")
@pytest.mark.parametrize("name", ["test_model.model", "wmtende.model", "test_ja_model.model"])
def test_pieces_that_the_continuation_changes_reach_into_it(tmp_path: Path, name: str) -> None:
    from sentencepiece import SentencePieceProcessor

    (tmp_path / "tokenizer.model").write_bytes((PIECES / name).read_bytes())
    tokens = tokens_of(tmp_path, ChatTemplate(tmp_path))
    peer = SentencePieceProcessor(model_file=str(PIECES / name))
    for before, after in (("The mill.\n\n", "the river"), ("ab\n\n", "चक x"), ("the ", "river"), ("", "river")):
        found, n_scored = tokens.joint(before, after)
        pieces = peer.encode(before + after, out_type=str)
        assert found[len(found) - len(pieces) :] == pieces
        assert found == tokens.plain(before + after)
        assert after.split()[-1] in "".join(pieces[len(pieces) - n_scored :]).replace("▁", "")
        written = 0
        for piece in pieces[: len(pieces) - n_scored]:
            written += len(piece.replace("▁", "").strip())
        assert written <= len("".join(before.split()))


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no tokenizer.json and no tokenizer.model"):
        tokens_of(tmp_path, ChatTemplate(tmp_path))
    with pytest.raises(EngineError, match="no vocabulary"):
        vocabulary_of(tmp_path)
