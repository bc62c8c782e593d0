"""Units for alignment: words as they stand, their stems, their first letters, or sub-word pieces learned on the set.

Statistical aligners count forms, and in a language that builds long words by endings most forms come once. Counted by stems or pieces,
they are seen often enough; what is linked is the whole word again, so that an ending that is part of it stays part of it.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

from dsbuild.errors import UnknownName
from dsbuild.text import graphemes

Units = Literal["words", "stems", "prefixes", "pieces"]
UNITS: tuple[Units, ...] = get_args(Units)
_PREFIX = 5
_SHORTEST_STEM = 3
_LONGEST_ENDING = 5
# An ending is one if it follows at least so many different stems of the set.
_LEAST_STEMS = 5
# Languages that build words by many endings: of these `auto` counts stems.
_AGGLUTINATING = frozenset(
    {
        "az", "cv", "et", "eu", "fi", "hu", "ka", "kk", "kn", "ko", "ky", "ml", "mn", "mr", "qu", "sah", "sw", "ta", "te", "tr", "tt", "ug",
        "uz", "xal", "xh", "zu",
    }
)  # fmt: skip
_N_PIECES = 8_000


def default(lang: str) -> Units:
    """The units that are counted where nobody names them: stems for agglutinating languages, else words.

    >>> default("mr"), default("de")
    ('stems', 'words')
    """
    return "stems" if lang.split("-")[0] in _AGGLUTINATING else "words"


def forms(counts: Mapping[str, int], units: Units) -> dict[str, tuple[str, ...]]:
    """What is counted of each word: one form, or its pieces. Forms are case folded. counts: how often each word stands in the set.

    >>> forms({"Straßen": 1}, "prefixes")
    {'Straßen': ('stras',)}
    """
    if units not in UNITS:
        raise UnknownName("unit of alignment", units, UNITS)
    folded = {word: word.casefold() for word in counts}
    if units == "words":
        return {word: (form,) for word, form in folded.items()}
    if units == "prefixes":
        return {word: ("".join(graphemes(form)[:_PREFIX]),) for word, form in folded.items()}
    if units == "stems":
        stems = _stems(set(folded.values()))
        return {word: (stems[form],) for word, form in folded.items()}
    total: Counter[str] = Counter()
    for word, count in counts.items():
        total[folded[word]] += count
    pieces = _pieces(total)
    return {word: pieces[form] for word, form in folded.items()}


def _stems(known: set[str]) -> dict[str, str]:
    """Each word without its ending: the split whose stem and ending go with the most others (Goldsmith 2001, simplified to one round)."""
    letters = {word: graphemes(word) for word in known}
    stems: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for parts in letters.values():
        for at in range(max(_SHORTEST_STEM, len(parts) - _LONGEST_ENDING), len(parts) + 1):
            stems["".join(parts[:at])] += 1
            endings["".join(parts[at:])] += 1
    found = {}
    for word, parts in letters.items():
        best, top = word, 1.0
        for at in range(max(_SHORTEST_STEM, len(parts) - _LONGEST_ENDING), len(parts)):
            stem, ending = "".join(parts[:at]), "".join(parts[at:])
            # A stem with one ending alone is no stem, and a long one says more than a short one.
            worth = (stems[stem] - 1) * len(parts[:at]) if endings[ending] >= _LEAST_STEMS else 0
            if worth > top:
                best, top = stem, worth
        found[word] = best
    return found


def _pieces(counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    import sentencepiece

    if not counts:
        return {}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(word for word, count in sorted(counts.items()) for _ in range(min(count, 50))),
        model_writer=model, vocab_size=min(_N_PIECES, max(64, 2 * len(counts))), hard_vocab_limit=False, character_coverage=1.0,
        model_type="unigram", num_threads=1, minloglevel=2, normalization_rule_name="identity", bos_id=-1, eos_id=-1,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return {
        word: tuple(part for part in processor.encode(word, out_type=str) if part != "▁") or (word,) for word in counts
    }
