"""Gopher, repetition and FineWeb rules against datatrove's: the same verdicts, and how much faster.

Documents are spoiled in sixteen ways (`stress.py`). Equal means: the first failing rule of each of the three filters, in datatrove's
own order, is the same for every document (variant `peer`, white-space tokens). Time is CPU seconds over clean documents, datatrove's
three filters one after another without a reader or writer, ours from an Arrow column to all columns of values; repetitions
alternate. The chain with spaCy runs in an environment of its own.

    python bench/filters.py rules [--quick] [--format json]
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import rules_parity
from peers import NotRun, ask, environment
from stress import SPOILS, Documents

from dsbuild.filters.quality import Quality

DATATROVE, SPACY = "datatrove==0.10.1", "spacy==3.8.18"
# The rules of datatrove's three filters in its order: reason, column, relation, threshold.
GOPHER = (
    ("gopher_short_doc", "gopher_words", "<", 50), ("gopher_long_doc", "gopher_words", ">", 100_000),
    ("gopher_below_avg_threshold", "gopher_mean_word_length", "<", 3), ("gopher_above_avg_threshold", "gopher_mean_word_length", ">", 10),
    ("gopher_too_many_hashes", "gopher_hash_ratio", ">", 0.1), ("gopher_too_many_ellipsis", "gopher_ellipsis_ratio", ">", 0.1),
    ("gopher_too_many_bullets", "gopher_bullet_lines", ">", 0.9), ("gopher_too_many_end_ellipsis", "gopher_ellipsis_lines", ">", 0.3),
    ("gopher_below_alpha_threshold", "gopher_alpha_words", "<", 0.8), ("gopher_enough_stop_words", "gopher_stop_words", "<", 2),
)  # fmt: skip
REPETITION = (
    ("empty", "repetition_dup_lines", "null", 0),
    ("dup_para_frac", "repetition_dup_paragraphs", ">", 0.3), ("dup_para_char_frac", "repetition_dup_paragraph_chars", ">", 0.2),
    ("dup_line_frac", "repetition_dup_lines", ">", 0.3), ("dup_line_char_frac", "repetition_dup_line_chars", ">", 0.2),
    ("top_2_gram", "repetition_top_2gram", ">", 0.2), ("top_3_gram", "repetition_top_3gram", ">", 0.18),
    ("top_4_gram", "repetition_top_4gram", ">", 0.16),
    *((f"duplicated_{n}_n_grams", f"repetition_dup_{n}gram", ">", at)
      for n, at in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))),
)  # fmt: skip
FINEWEB = (
    ("empty", "fineweb_short_lines", "null", 0), ("line_punct_ratio", "fineweb_terminal_lines", "<", 0.12),
    ("short_line_ratio", "fineweb_short_lines", ">", 0.67), ("char_dup_ratio", "fineweb_dup_line_chars", ">", 0.01),
    ("list_ratio", "fineweb_newline_ratio", ">", 0.3),
)  # fmt: skip
# Each is explained where the variant is described (`dsbuild/filters/quality.py`).
DIFFERENCES = (
    "words are those of dsbuild.text.words, not what stands between spaces",
    "word counts and lengths are in letters of an alphabet, so that they mean the same in every script",
    "mean word length abstains where most of a text is written without spaces",
    "ellipses: a run of dots or of ellipsis signs counts once; bullets: more signs than two",
    "lines and paragraphs are compared without the space around them; empty lines are none",
    "a line may end in quotes or brackets after its full stop; Thai and Lao lines need no full stop",
    "stop words are those of the row's language, without case, else the rule abstains",
    "n-grams are compared without case, count only if they recur, the letters of one are free, and spaces are not counted",
    "texts under 50 words have no n-gram rules, under 4 lines no share of repeated lines",
)


def reasons(columns: dict[str, list[Any]], rules: Sequence[tuple[str, str, str, float]], n: int) -> list[str | None]:
    """The first failing rule of each row."""
    found: list[str | None] = []
    for row in range(n):
        for reason, column, relation, threshold in rules:
            value = columns[column][row]
            failed = (
                value is None
                if relation == "null"
                else value is not None and (value < threshold if relation == "<" else value > threshold)
            )
            if failed:
                found.append(reason)
                break
        else:
            found.append(None)
    return found


def whitespace_filters() -> Callable[[str], tuple[str | None, ...]]:
    """datatrove's three filters over white-space tokens, as one function from a text to the three reasons."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Whitespace(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return text.split("\n")

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return []

    tokens: Any = Whitespace()
    filters = (
        GopherRepetitionFilter(language=tokens),
        FineWebQualityFilter(language=tokens),
        GopherQualityFilter(language=tokens),
    )

    def judge(text: str) -> tuple[str | None, ...]:
        verdicts = [one.filter(Document(text=text, id="")) for one in filters]
        return tuple(None if verdict is True else verdict[1] for verdict in verdicts)

    return judge


def ours(texts: Sequence[str], variant: Any) -> list[tuple[str | None, ...]]:
    """The same three reasons from our columns."""
    scored = Quality(variant=variant).score(pa.array(texts, pa.string()), ["en"] * len(texts))
    columns = {name: column.to_pylist() for name, column in scored.items()}
    n = len(texts)
    if variant != "peer":  # there it abstains on texts of few lines too
        columns["repetition_dup_lines"] = [
            value if value is not None or empty is None else 0.0
            for value, empty in zip(columns["repetition_dup_lines"], columns["fineweb_short_lines"], strict=True)
        ]
    return list(zip(*(reasons(columns, rules, n) for rules in (REPETITION, FINEWEB, GOPHER)), strict=True))


def run(*, quick: bool) -> dict[str, Any]:
    """Compare verdicts and CPU time; `ratio` is documents per CPU second, ours (peer variant) over the white-space chain."""
    documents = Documents()
    stress = [documents.spoiled(number % len(SPOILS)) for number in range(64 if quick else 4_000)]
    judge = whitespace_filters()
    theirs = [judge(text) for text in stress]
    mine = ours(stress, "peer")
    unequal = [number for number, (one, other) in enumerate(zip(theirs, mine, strict=True)) if one != other]
    other = ours(stress, "unicode")
    clean = [documents.document() for _ in range(50 if quick else 4_000)]
    column, langs = pa.array(clean, pa.string()), ["en"] * len(clean)
    few = clean[: 10 if quick else 400]
    scorers = {variant: Quality(variant=variant) for variant in ("peer", "unicode")}
    rates: dict[str, list[float]] = {"peer": [], "unicode": [], "whitespace": []}
    for scorer in scorers.values():
        scorer.score(column, langs)
    for _ in range(1 if quick else 5):
        started = time.process_time()
        for text in few:
            judge(text)
        rates["whitespace"].append(len(few) / max(time.process_time() - started, 1e-9))
        for name, scorer in scorers.items():
            started = time.process_time()
            scorer.score(column, langs)
            rates[name].append(len(clean) / max(time.process_time() - started, 1e-9))
    ratios = [one / two for one, two in zip(rates["peer"], rates["whitespace"], strict=True)]
    result: dict[str, Any] = {
        "ratio": round(statistics.median(ratios), 1),
        "ours": round(statistics.median(rates["peer"])),
        "peer": round(statistics.median(rates["whitespace"])),
        "unit": "documents per CPU second",
        "ratio_unicode": round(
            statistics.median(a / b for a, b in zip(rates["unicode"], rates["whitespace"], strict=True)), 1
        ),
        "mb_per_cpu_s": round(statistics.median(rates["unicode"]) * column.nbytes / len(clean) / 1e6, 1),
        "stress_documents": len(stress),
        "kinds_of_spoiling": len(SPOILS),
        "unequal": len(unequal),
        "unequal_first": [(number % len(SPOILS), theirs[number], mine[number]) for number in unequal[:3]],
        "verdicts_seen": dict(Counter(reason for verdict in theirs for reason in verdict if reason).most_common()),
        "unicode_differs": sum(one != two for one, two in zip(theirs, other, strict=True)),
        "unicode_differs_by_rule": dict(
            Counter(
                f"{one or 'kept'} -> {two or 'kept'}"
                for verdicts in zip(theirs, other, strict=True)
                for one, two in zip(*verdicts, strict=True)
                if one != two
            ).most_common()
        ),
        "differences_by_design": list(DIFFERENCES),
    }
    parity = rules_parity.run(quick=quick)
    result["parity_spread_points"] = {
        way: found["spread_points"] for way, found in parity.items() if isinstance(found, dict)
    }
    result["parity"] = parity
    try:
        if quick:
            raise NotRun("a toy size")
        python = environment("datatrove-spacy", [DATATROVE, SPACY, "tldextract", "nltk"])
        spacy = ask(python, "rules_spacy.py", {"texts": clean[:300], "repetitions": 5})
        result["peer_spacy"] = round(statistics.median(spacy["rates"]))
        result["ratio_spacy"] = round(statistics.median(rates["peer"]) / statistics.median(spacy["rates"]), 1)
    except NotRun as why:
        result["ratio_spacy"] = f"not run: {why}"
    return result
