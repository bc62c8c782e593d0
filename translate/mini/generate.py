"""Write parallel sentences in English, Hindi, Marathi and Tamil drawn from the grammar."""

from __future__ import annotations

import argparse
import random
import re
import statistics
import sys
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dsbuild.translate.mini.drawing import Drawer, Entry, NoFiller
from dsbuild.translate.mini.grammar import (
    LANGUAGES,
    MARK_STATEMENT,
    Pattern,
    Sentence,
    read_patterns,
    read_sets,
    superlative,
)
from dsbuild.translate.mini.lexicon import Lexicon, Word, load_lexicon
from dsbuild.translate.mini.phrases import DETERMINERS, PRONOUNS, Phrase

FOLDER = Path(__file__).resolve().parent
HELD_OUT_SHARE = 40
FOCUS_SHARE = 0.6
Row = tuple[str, str, str, str, str]
_FUNCTION_WORDS = (
    "a an the is are was were am has have had does do did will can cannot may must should not been be it its they "
    "their this these that those them of and"
)


def normalise(text: str) -> str:
    """Fold case, width and punctuation, for comparing English sentences."""
    return re.sub(r"[^\w]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def build_drawer(seed: int) -> tuple[Drawer, list[Pattern]]:
    """Load the lexicon, the patterns and the rules of what goes together."""
    lexicon = load_lexicon(FOLDER)
    folder = FOLDER / "patterns"
    uses, bad, flags = _adjective_uses(folder / "adjective_uses.tsv")
    bad.update(_verb_limits(folder / "verb_limits.tsv"))
    for adjective in lexicon.adjectives:
        if adjective.en_comp == "-":
            flags[adjective.en] = flags.get(adjective.en, frozenset()) | {"n"}
    drawer = Drawer(lexicon, read_sets(folder / "sets.tsv"), uses, bad, flags, random.Random(seed))
    known = {"adjective_uses.tsv", "verb_limits.tsv", "sets.tsv", "names.tsv"}
    return drawer, read_patterns(sorted(path for path in folder.glob("*.tsv") if path.name not in known))


def _adjective_uses(
    path: Path,
) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Read which nouns an adjective goes with, with which it does not, and its flags."""
    uses: dict[str, frozenset[str]] = {}
    bad: dict[str, frozenset[str]] = {}
    flags: dict[str, frozenset[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        cells = (line + "\t\t").split("\t")
        names = [name.strip() for name in cells[1].split(",") if name.strip()]
        for adjective in cells[0].split(","):
            word = adjective.strip()
            uses[word] = uses.get(word, frozenset()) | {name for name in names if not name.startswith("-")}
            bad[word] = bad.get(word, frozenset()) | {name[1:] for name in names if name.startswith("-")}
            flags[word] = flags.get(word, frozenset()) | frozenset(cells[2].strip())
    return uses, bad, flags


def _verb_limits(path: Path) -> dict[str, frozenset[str]]:
    """Read the classes and words that make no sense as subject (s) or object (o) of a verb."""
    limits: dict[str, frozenset[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            verb, role, names = line.split("\t")
            limits[f"{verb}/{role}"] = frozenset(name.strip() for name in names.split(","))
    return limits


def entries(lexicon: Lexicon) -> list[Entry]:
    """List every lexicon entry."""
    return [*lexicon.nouns, *lexicon.verbs, *lexicon.adjectives, *lexicon.words]


def keys_of(sentence: Sentence) -> list[str]:
    """Name the lexicon entries in a sentence."""
    keys: list[str] = []
    for filler in sentence.fillers.values():
        if isinstance(filler, Phrase):
            keys += filler.keys
        elif filler is not None and not isinstance(filler, str) and hasattr(filler, "key"):
            keys.append(filler.key)
    return keys


def combination(sentence: Sentence) -> str:
    """Name the pattern and the content words of a sentence."""
    return "|".join([sentence.pattern.name, *sorted(key for key in keys_of(sentence) if not key.startswith("w:"))])


def write_row(sentence: Sentence, drawer: Drawer) -> Row:
    """Write a sentence in every language with the marks and the case of its kind."""
    rng, kind = drawer.rng, sentence.pattern.kind
    variant = rng.randrange(12)
    texts = {language: sentence.write(language, variant) for language in LANGUAGES}
    query = kind in "qt" and rng.random() < 0.5
    if kind in "si" and rng.random() < 0.06:
        openers = drawer.sets["opener" if kind == "s" else "openeri"]
        opener = drawer.least([word for word in drawer.lexicon.words if word.en in openers])
        if isinstance(opener, Word):
            drawer.counts[opener.key] += 1
            texts = {language: f"{getattr(opener, language)}, {texts[language]}" for language in LANGUAGES}
    if query:
        texts["en"] = texts["en"].lower()
    else:
        texts["en"] = texts["en"][:1].upper() + texts["en"][1:]
        marks = {"q": dict.fromkeys(LANGUAGES, "?"), "t": dict.fromkeys(LANGUAGES, "")}.get(kind, MARK_STATEMENT)
        texts = {language: text + marks[language] for language, text in texts.items()}
    if rng.random() < 0.12:
        texts["en"] = texts["en"].lower()
    en, hi, mr, ta = (unicodedata.normalize("NFC", " ".join(texts[language].split())) for language in LANGUAGES)
    return sentence.pattern.name, en, hi, mr, ta


def draw_rows(
    drawer: Drawer, patterns: list[Pattern], excluded: set[str], total: int, held_out: bool
) -> Iterator[tuple[Row, list[str]]]:
    """Draw distinct sentences whose combination is, or is not, of the held-out share."""
    homes: dict[str, list[Pattern]] = {}
    everything = entries(drawer.lexicon)
    for entry in everything:
        homes[entry.key] = [pattern for pattern in patterns if drawer.takes(pattern, entry)]
    placed = [entry for entry in everything if homes[entry.key]]
    pattern_counts: Counter[str] = Counter()
    misses = made = 0
    while made < total and misses < 400_000:
        focus: Entry | None = None
        if drawer.rng.random() < FOCUS_SHARE:
            focus = min(drawer.rng.choices(placed, k=12), key=lambda entry: drawer.counts[entry.key])
        pattern = min(
            drawer.rng.choices(homes[focus.key] if focus else patterns, k=2), key=lambda p: pattern_counts[p.name]
        )
        try:
            sentence = drawer.draw(pattern, focus)
        except NoFiller:
            misses += 1
            continue
        if (zlib.crc32(combination(sentence).encode()) % HELD_OUT_SHARE == 0) != held_out:
            misses += 1
            continue
        row = write_row(sentence, drawer)
        normal = normalise(row[1])
        pattern_counts[pattern.name] += 1
        if normal in excluded:
            misses += 1
            continue
        excluded.add(normal)
        made += 1
        used = keys_of(sentence)
        drawer.counts.update(used)
        yield row, used


def _is_slot(token: str, pattern: Pattern) -> bool:
    """Whether a token of an English template stands for a slot of the pattern."""
    return token.rstrip(",").split(".")[-1].split("!")[0].split(":")[0] in pattern.slots


def lexicon_words() -> set[str]:
    """List the lower-case English word forms that the grammar can produce."""
    drawer, patterns = build_drawer(0)
    lexicon = drawer.lexicon
    phrases = [form for noun in lexicon.nouns for form in (noun.en, noun.en_pl)]
    phrases += [
        form for verb in lexicon.verbs for form in (verb.en, verb.en_3sg, verb.en_past, verb.en_part, verb.en_ing)
    ]
    phrases += [
        form for adjective in lexicon.adjectives for form in (adjective.en, adjective.en_comp, superlative(adjective))
    ]
    phrases += [word.en for word in lexicon.words]
    phrases += [determiner.en for determiner in DETERMINERS] + [pronoun.en for pronoun in PRONOUNS]
    phrases += [_FUNCTION_WORDS]
    phrases += [f"{noun.en}'s" for noun in lexicon.nouns]
    for pattern in patterns:
        for template in pattern.templates["en"]:
            phrases += [token for token in template.split() if not _is_slot(token, pattern) and "~" not in token]
    return {word for phrase in phrases for word in re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", phrase.lower())}


def report(drawer: Drawer, patterns: list[Pattern], rows: list[Row], used: Counter[str]) -> str:
    """Count patterns, entries, occurrences per entry and vocabulary sizes."""
    text = "\n".join(f" {normalise(row[1])} " for row in rows)
    counts = Counter({entry.key: used[entry.key] for entry in entries(drawer.lexicon)})
    for word in drawer.lexicon.words:
        counts[word.key] = max(counts[word.key], text.count(f" {normalise(word.en)} "))
    values = sorted(counts.values())
    low = [f"{key} {count}" for key, count in counts.items() if count < 50]
    vocabulary = {
        language: len({word for row in rows for word in row[index + 1].lower().split()})
        for index, language in enumerate(LANGUAGES)
    }
    by_pattern = Counter(row[0] for row in rows)
    silent = [pattern.name for pattern in patterns if not by_pattern[pattern.name]]
    return "\n".join(
        [
            f"sentences {len(rows)}, patterns {len(patterns)} (never used: {', '.join(silent) or 'none'}), entries {len(counts)}",
            f"occurrences per entry: min {values[0]}, median {statistics.median(values)}",
            f"under 50 ({len(low)}): {', '.join(low)}",
            f"vocabulary: {vocabulary}",
            f"lexicon problems: {len(drawer.lexicon.problems)} {drawer.lexicon.problems[:10]}",
        ]
    )


def _write(path: Path, rows: list[Row]) -> None:
    """Write rows as a table."""
    path.write_text(
        "\n".join(["\t".join(("pattern", *LANGUAGES)), *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8"
    )


def main(arguments: list[str] | None = None) -> int:
    """Draw the sentences that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--holdout", type=int, default=0)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[])
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args(arguments)
    drawer, patterns = build_drawer(options.seed)
    excluded = {normalise(line) for path in options.exclude for line in path.read_text(encoding="utf-8").splitlines()}
    drawn = list(draw_rows(drawer, patterns, excluded, options.n, held_out=False))
    used = Counter(key for _, keys in drawn for key in set(keys))
    rows = [row for row, _ in drawn]
    _write(options.out, rows)
    if options.holdout:
        held = [
            row
            for row, keys in draw_rows(drawer, patterns, excluded, options.holdout * 2, held_out=True)
            if all(used[key] for key in keys)
        ]
        _write(options.out.with_name(options.out.name + ".heldout.tsv"), held[: options.holdout])
    if options.report:
        print(report(drawer, patterns, rows, used))
    return 0


if __name__ == "__main__":
    sys.exit(main())
