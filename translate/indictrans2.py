"""IndicTrans2 on CTranslate2: what the text goes through before and after the model.

Before: native digits as ASCII, mails, URLs, numerals and handles as `<IDn>`, plain punctuation, spaces around
marks, Indic scripts as Devanagari, SentencePiece (model.SRC), tags "src tgt" in front. After: model.TGT, script
back, spaces away, `<IDn>` restored. (Gala et al., IndicTrans2, TMLR 2023.)

Placeholders are found and restored by position in one pass, so that a short match never rewrites a longer one,
and one that is missing from the output, or there too often, makes the output an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dsbuild import languages
from dsbuild.errors import EngineError
from dsbuild.translate.indic_script import from_devanagari, normalise, to_devanagari
from dsbuild.translate.model_folder import ModelFolder
from dsbuild.translate.pieces import Decoded, Encoded, fill_unknown, join_pieces, load_spm
from dsbuild.translate.word_spacing import join_english, join_indic, plain_punctuation, space_english, space_indic

CODES = {
    "as": "asm_Beng", "bn": "ben_Beng", "brx": "brx_Deva", "doi": "doi_Deva", "en": "eng_Latn", "gom": "gom_Deva",
    "gu": "guj_Gujr",
    "hi": "hin_Deva", "kn": "kan_Knda", "ks": "kas_Arab", "ks-Deva": "kas_Deva", "mai": "mai_Deva",
    "ml": "mal_Mlym", "mni": "mni_Beng", "mni-Mtei": "mni_Mtei", "mr": "mar_Deva", "ne": "npi_Deva",
    "or": "ory_Orya", "pa": "pan_Guru", "sa": "san_Deva", "sat": "sat_Olck", "sd": "snd_Arab", "sd-Deva": "snd_Deva",
    "ta": "tam_Taml", "te": "tel_Telu", "ur": "urd_Arab",
}  # fmt: skip

_MAX_TOKENS = 256  # the model's positions, tags and end token included
_MIN_NUMERAL = 4  # shorter numerals go through the model well enough

_MAIL = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
_URL = r"(?:(?:https?|ftp)://|\bwww\.)[^\s<>\"'।]{1,2000}[^\s<>\"'।.,;:!?)\]]|\b(?:[A-Za-z0-9-]{2,63}\.){1,6}(?:com|org|net|edu|gov|in|io|info|co|uk)\b(?:/[^\s<>\"'।]{0,2000}[^\s<>\"'।.,;:!?)\]])?"
_NUMERAL = r"~?\d+(?:[-/.,:'+]\d+)+(?: ?%)?|~?\d+ ?%"
_HANDLE = r"(?<!\w)[#@]\w{1,140}"
_FOUND = re.compile(
    rf"(?P<ours><ID\d{{1,4}}>)|(?P<mail>{_MAIL})|(?P<url>{_URL})|(?P<numeral>(?<![\w.]){_NUMERAL}(?!\w))|(?P<handle>{_HANDLE})"
)
# Models translate the letters of the placeholder now and then; the number stays.
_NAMES = r"ID|आईडी|आई\s?\.\s?डी\s?\.|आयडी|आइडि|ऐटि|ऐडि|آئی\s?ڈی|آی\s?ڈی|ꯑꯥꯏꯗꯤ|ᱟᱭᱰᱤ\s?᱾?"
_RETURNED = re.compile(rf"<\s*(?:{_NAMES})\s*(\d{{1,4}})\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source before SentencePiece. held: (placeholder number, what it stands for) per occurrence, in order."""

    text: str
    held: tuple[tuple[int, str], ...]


def prepare(text: str, code: str) -> Prepared:
    """The spaced, Devanagari-written source of a sentence in the language with that FLORES code."""
    text, held = hold(_ascii_digits(text))
    text = plain_punctuation(text)
    script = code.partition("_")[2]
    if code == "eng_Latn":
        return Prepared(space_english(text), held)
    spaced = space_indic(normalise(text, script), arabic=script == "Arab")
    return Prepared(to_devanagari(spaced, script).replace(" \u094d ", "\u094d"), held)


def finish(text: str, code: str, held: Sequence[tuple[int, str]]) -> Decoded:
    """The text of a decoded output in the language with that FLORES code, placeholders restored and counted."""
    script = code.partition("_")[2]
    joined = join_english(text) if code == "eng_Latn" else join_indic(from_devanagari(text, script))
    return release(joined, held)


def hold(text: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Replace mails, URLs, numerals and handles by `<IDn>`; equal ones share a number.

    `<IDn>` that stand in the text already stay, and their numbers are not used again.
    """
    taken = {int(number) for number in re.findall(r"<ID(\d{1,4})>", text)}
    free = (number for number in range(1, 10_000) if number not in taken)
    numbers: dict[str, int] = {}
    held: list[tuple[int, str]] = []

    def replaced(match: re.Match[str]) -> str:
        found = match[0]
        if match["ours"]:
            held.append((int(found[3:-1]), found))
            return found
        if match["numeral"] and len(re.sub(r"[ .:]", "", found)) < _MIN_NUMERAL:
            return found
        if found not in numbers:
            numbers[found] = next(free)
        held.append((numbers[found], found))
        return f"<ID{numbers[found]}>"

    return _FOUND.sub(replaced, text), tuple(held)


def release(text: str, held: Sequence[tuple[int, str]]) -> Decoded:
    """Put back what `hold` took; the error names placeholders that are missing or came too often."""
    stands_for = dict(held)
    missing = Counter(number for number, _ in held)

    def restored(match: re.Match[str]) -> str:
        number = int(match[1])
        missing[number] -= 1
        return stands_for.get(number, match[0])

    text = _RETURNED.sub(restored, text)
    lost = [stands_for[number] for number, left in missing.items() if left > 0]
    extra = [f"<ID{number}>" for number, left in missing.items() if left < 0]
    said = "; ".join(f"{what} {', '.join(items)}" for what, items in (("lost", lost), ("repeated", extra)) if items)
    return Decoded(text, f"protected_lost: {said}" if said else "")


def _ascii_digits(text: str) -> str:
    return "".join(
        str(unicodedata.decimal(character, character)) if character > "\x7f" else character for character in text
    )


class IndicTrans2Tokenizer:
    """The family's tokenizer: "src_lang tgt_lang tokens", with model.SRC and model.TGT beside the model."""

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder
        self.placeholder = "<ID{n}>"
        self.max_tokens: int | None = min(_MAX_TOKENS, folder.positions("encoder") or _MAX_TOKENS)
        self.source_spm = load_spm(folder.need_file("model.SRC"))
        self.target_spm = load_spm(folder.need_file("model.TGT"))
        self.direction = _direction(folder)

    def check(self, src: str, tgt: str) -> None:
        """Both tags must be in the source vocabulary, and the folder of the right direction."""
        for lang in (src, tgt):
            if self.tag(lang) not in self.folder.source_vocabulary:
                raise EngineError(
                    f"{self.folder.path.name}: no tag {self.tag(lang)} in the vocabulary of this IndicTrans2 folder"
                )
        wanted = tuple("en" if self.tag(lang) == "eng_Latn" else "indic" for lang in (src, tgt))
        if (self.direction and self.direction != wanted) or wanted == ("en", "en"):
            raise EngineError(
                f"{self.folder.path.name}: this IndicTrans2 folder translates {'-'.join(self.direction)}, "
                f"not {src}-{tgt}"
            )

    def encode(self, text: str, src: str, tgt: str) -> Encoded:
        """Tags, pieces and the end token unless CTranslate2 adds it."""
        self.check(src, tgt)
        prepared = prepare(text, self.tag(src))
        pieces = self._pieces(prepared.text)
        tokens = [self.tag(src), self.tag(tgt), *pieces]
        automatic = self.folder.adds_source_eos
        if not automatic:
            tokens.append(self.folder.eos)
        unknown = tuple(piece for piece in pieces if piece not in self.folder.source_vocabulary)
        # The output's script and joining depend on the target, which decoding learns from the tag.
        return Encoded(tokens, [], len(tokens) + automatic, unknown, prepared.held)

    def decode(self, tokens: Sequence[str], encoded: Encoded) -> Decoded:
        """The finished text; lost placeholders and unknown tokens are errors."""
        filled, problem = fill_unknown(tokens, self.folder.unk, encoded)
        decoded = finish(join_pieces(self.target_spm, filled), encoded.tokens[1], encoded.held)
        return Decoded(decoded.text, "; ".join(error for error in (problem, decoded.error) if error))

    def count(self, text: str, src: str) -> int:
        """Pieces of the prepared text, two tags and the end token."""
        return len(self._pieces(prepare(text, self.tag(src)).text)) + 3

    def tag(self, lang: str) -> str:
        """The FLORES code that the model has for a BCP-47 language."""
        code = languages.get(lang).code
        if code not in CODES:
            raise EngineError(
                f"{self.folder.path.name}: IndicTrans2 does not know {lang}; it knows {', '.join(sorted(CODES))}"
            )
        return CODES[code]

    def _pieces(self, text: str) -> list[str]:
        """Pieces of a text; a language tag that a text writes out is broken into characters."""
        found: list[str] = self.source_spm.encode(text, out_type=str)
        tags = {*CODES.values(), self.folder.eos, self.folder.unk}
        return [part for piece in found for part in (list(piece) if piece in tags else [piece])]


def _direction(folder: ModelFolder) -> tuple[str, ...]:
    """("en", "indic") and so on, from the note or the folder's name; () where neither says it."""
    for said in (
        str(folder.note.get("pair", "")),
        str(folder.note.get("source", "")),
        folder.path.name,
        folder.path.parent.name,
    ):
        if (match := re.search(r"(indic|en)-(indic|en)", said)) is not None:
            return match.groups()
    return ()
