"""Words for people who have not read how a score is computed: what a rule looks at, in which unit, and what a finding is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Column of a score -> what it says, and the unit of its values ("" where the words say it).
_COLUMNS = {
    "added": ("What seems to be added", "added text"),
    "copy_share": ("Share of the source's words that stand untranslated in the translation", "share of words"),
    "language_score": ("Evidence for the language against those that it is taken for", "evidence, 0 to 1"),
    "length_ratio": ("Length against what is expected of the pair", "ratio"),
    "length_z": ("Length against what is expected, in standard deviations", "standard deviations"),
    "logprob": ("The engine's own confidence, mean log-probability a token", "log-probability a token"),
    "loop": ("Share of the text that repeats what stands right before it", "share of the text"),
    "missing": ("What seems to be left out", "text left out"),
    "number_mismatch": ("Share of numbers without a partner of the same value", "share of numbers"),
    "sentence_delta": ("Sentences of the translation less those of the source", "sentences"),
    "terms_missing": ("Fixed terms that are missing", "terms"),
    "unknown_share": ("Share of source words that the engine does not know", "share of words"),
    "unrelated": ("Log-odds that it translates some other text", "log-odds"),
    "url_mismatch": ("Addresses on one side only", "addresses"),
    "wrong_script": ("Share of letters in a script that the language is not written in", "share of letters"),
    "c4_boilerplate_lines": ("Lines of boilerplate, as on cookies or scripts", "lines"),
    "c4_braces": ("Curly brackets", "brackets"),
    "c4_kept_lines": ("Lines that are left when bad ones are taken out", "lines"),
    "c4_sentences": ("Sentences", "sentences"),
    "classifier_score": ("What your classifier says", "score"),
    "document_score": ("Quality of the document, 0 to 10", "score, 0 to 10"),
    "external_score": ("A score that the rows came with", "score"),
    "fineweb_dup_line_chars": ("Share of characters in lines that stand twice", "share of characters"),
    "fineweb_newline_ratio": ("Line breaks for each word", "line breaks a word"),
    "fineweb_short_lines": ("Share of short lines", "share of lines"),
    "fineweb_terminal_lines": ("Share of lines that end with a full stop or the like", "share of lines"),
    "gopher_alpha_words": ("Share of words that hold a letter", "share of words"),
    "gopher_bullet_lines": ("Share of lines that begin with a bullet", "share of lines"),
    "gopher_ellipsis_lines": ("Share of lines that end with an ellipsis", "share of lines"),
    "gopher_ellipsis_ratio": ("Ellipses for each word", "ellipses a word"),
    "gopher_hash_ratio": ("Hash signs for each word", "hash signs a word"),
    "gopher_mean_word_length": ("Mean length of a word", "characters"),
    "gopher_stop_words": ("Stop words, as running text holds them", "stop words"),
    "gopher_words": ("Words, counted alike in every script", "words"),
    "language_fit": ("How well the text fits its language", "fit, 0 to 1"),
    "length_characters": ("Characters (code points)", "characters"),
    "length_digit_share": ("Share of characters that are digits", "share of characters"),
    "length_letter_share": ("Share of characters that are letters", "share of characters"),
    "length_letters": ("Letters", "letters"),
    "registers_score": ("Evidence for the register", "score"),
    "repetition_dup_line_chars": ("Share of characters in lines that stand twice", "share of characters"),
    "repetition_dup_lines": ("Share of lines that stand twice", "share of lines"),
    "repetition_dup_paragraph_chars": ("Share of characters in paragraphs that stand twice", "share of characters"),
    "repetition_dup_paragraphs": ("Share of paragraphs that stand twice", "share of paragraphs"),
}  # fmt: skip
_NGRAM = re.compile(r"repetition_(dup|top)_(\d+)gram")

# Titles and names of what builds find besides the rows.
_TITLES = {
    "assigned": "rows by split",
    "exact": "exact duplicates",
    "neardup": "near duplicates",
    "retain": "retained share",
    "sets": "overlap by evaluation set",
}
_FINDINGS = {
    "bands": "bands of hashes",
    "big_buckets": "buckets too big to compare in full",
    "candidates": "pairs that were compared",
    "components": "groups that stay in one split",
    "cross_split_highest": "highest similarity across splits",
    "cross_split_highest_pair": "the pair of that similarity",
    "cross_split_pairs": "near-duplicate pairs across splits",
    "decided_in": "decided in the language",
    "depth": "candidates looked at of each first stage",
    "expected_miss": "expected share of pairs missed at the threshold",
    "jaccard": "threshold (Jaccard index)",
    "largest_component": "rows of the largest group",
    "largest_component_of": "a row of the largest group",
    "leaked": "rows dropped for leaking into a protected split",
    "hardness_by": "hardness told by",
    "looked_down_to": "similarity looked for down to",
    "min_coverage": "contaminated from this share of an item on",
    "n": "length of an n-gram",
    "near_duplicate_pairs": "near-duplicate pairs",
    "ngram": "looked for by n-grams",
    "ngrams": "n-grams",
    "negatives": "negatives a query",
    "official_overlaps": "overlaps between official splits",
    "recall": "recall aimed at",
    "relevant": "relevant from this grade on",
    "rows_a_band": "hashes a band",
    "uncheckable": "too short to look for",
    "unit": "unit of an n-gram",
    "verified": "pairs verified",
    "whole": "looked for as a whole",
    "whole_text_only": "only as a whole text",
}


def meaning(rule: Mapping[str, Any]) -> str:
    """What a rule looks at, in a few words.

    >>> meaning({"column": "repetition_dup_5gram"}), meaning({"column": "pairs_words_a"})
    ('Share of characters in repeated 5-grams', 'pairs words a')
    """
    return _known(rule["column"])[0]


def unit(rule: Mapping[str, Any]) -> str:
    """The unit of a rule's values, as an axis names it.

    >>> unit({"column": "bitext_loop"}), unit({"column": "length_letters_b"})
    ('share of the text', 'letters')
    """
    return _known(rule["column"])[1]


def _known(column: str) -> tuple[str, str]:
    for name in (column, column.removeprefix("bitext_"), re.sub("_[ab]$", "", column)):
        if name in _COLUMNS:
            return _COLUMNS[name]
    if found := _NGRAM.fullmatch(column):
        kind = "repeated" if found[1] == "dup" else "the most frequent"
        gram = f"{found[2]}-grams" if found[1] == "dup" else f"{found[2]}-gram"
        return f"Share of characters in {kind} {gram}", "share of characters"
    plain = column.replace("_", " ")
    return plain, plain


def title(name: str) -> str:
    """The title of a finding.

    >>> title("neardup.documents"), title("false_negatives")
    ('near duplicates: documents', 'false negatives')
    """
    kind, _, table = name.partition(".")
    said = _TITLES.get(kind, kind.replace("_", " "))
    return f"{said}: {table}" if table else said


def finding(name: str) -> str:
    """The name of a number that a build found.

    >>> finding("rows_a_band"), finding("distinct_texts")
    ('hashes a band', 'distinct texts')
    """
    return _FINDINGS.get(name, name.replace("_", " "))
