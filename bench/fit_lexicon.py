"""Learn `filters/lexicon.tsv`, the words that go together in translations, from Tatoeba and the Indian Parallel Corpora.

    python bench/fit_lexicon.py --data FOLDER [--out filters/lexicon.tsv]

For every stem of an English word: the word beginnings of the other language whose presence depends on it most (lift and
significance of presence in the same pair), how often one of them is there (on pairs they were not chosen on), and how
often any word is one of them. No sentence and no dictionary of the sources is copied.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path

from fit_priors import Pairs, parallel

from dsbuild.filters.lexicon import english_stems, heads

LANGS = ("hi", "mr", "ta", "te", "bn")
SOURCES = ("tatoeba", "indian parallel corpora")
MIN_COUNT, MIN_TOGETHER, MIN_LIFT, MOST_HEADS, MOST_ENTRIES = 4, 3, 8.0, 12, 2500

Bags = list[tuple[frozenset[str], frozenset[str]]]


def choose(bags: Bags) -> dict[str, list[str]]:
    """For each stem the heads that come with it far more often than elsewhere, the most telling first."""
    stems: Counter[str] = Counter()
    others: Counter[str] = Counter()
    together: dict[str, Counter[str]] = {}
    for left, right in bags:
        stems.update(left)
        others.update(right)
        for stem in left:
            together.setdefault(stem, Counter()).update(right)
    chosen = {}
    for stem, count in stems.items():
        if count < MIN_COUNT:
            continue
        scored = []
        for head, both in together[stem].items():
            lift = both * len(bags) / (count * others[head])
            if both >= MIN_TOGETHER and lift >= MIN_LIFT and both >= 0.04 * count:
                scored.append((both * math.log(lift), head))
        if scored:
            chosen[stem] = [head for _, head in sorted(scored, reverse=True)[:MOST_HEADS]]
    return chosen


def hits(bags: Bags, chosen: dict[str, list[str]]) -> tuple[Counter[str], Counter[str]]:
    """How often each stem occurs, and how often one of its heads with it."""
    seen: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    for left, right in bags:
        for stem in left:
            if stem in chosen:
                seen[stem] += 1
                hit[stem] += not right.isdisjoint(chosen[stem])
    return seen, hit


def entries(pairs: Pairs) -> list[tuple[float, str, float, float, list[str]]]:
    """(information, stem, share in translations, share of any words, heads), the most informative first."""
    tokens: Counter[str] = Counter()
    bags: Bags = []
    for english, other in pairs:
        found = heads(other)
        tokens.update(found)
        bags.append((frozenset(english_stems(english)), frozenset(found)))
    total = sum(tokens.values())
    # Neighbours in the file are often variants of one sentence, so the halves are whole blocks.
    halves = ([bag for place, bag in enumerate(bags) if place // 50 % 2 == half] for half in (0, 1))
    first, second = halves
    seen: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    for learn, test in ((first, second), (second, first)):
        counts = hits(test, choose(learn))
        seen.update(counts[0])
        hit.update(counts[1])
    listed = []
    for stem, chosen in choose(bags).items():
        if seen[stem] < MIN_COUNT // 2:
            continue
        share = (hit[stem] + 0.5) / (seen[stem] + 3)
        rate = sum(tokens[head] for head in chosen) / total
        chance = 1 - math.exp(-rate * 12)
        if share > chance + 0.15:
            listed.append(((share - chance) * math.log(seen[stem] + 1), stem, round(share, 2), round(rate, 5), chosen))
    return sorted(listed, reverse=True)[:MOST_ENTRIES]


def main() -> None:
    """Read, learn, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "filters/lexicon.tsv")
    options = parser.parse_args()
    collected: dict[str, Pairs] = {lang: [] for lang in LANGS}
    for lang, source, pairs in parallel(options.data):
        if lang in collected and source in SOURCES:
            collected[lang] += pairs
    rows = ["lang\tstem\ttranslations\tany\theads"]
    for lang, found in collected.items():
        for _, stem, share, rate, chosen in sorted(entries(list(dict.fromkeys(found))), key=lambda entry: entry[1]):
            rows.append(f"{lang}\t{stem}\t{share}\t{rate}\t{' '.join(chosen)}")
    options.out.write_text("\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
