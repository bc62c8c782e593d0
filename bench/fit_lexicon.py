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
# Marathi has Tatoeba only, with few words of newspapers; many of its learned words are Hindi's.
RELATED = {"mr": "hi"}
SOURCES = ("tatoeba", "indian parallel corpora")
MIN_COUNT, MIN_TOGETHER, MIN_LIFT, MOST_HEADS, MOST_ENTRIES = 5, 3, 12.0, 8, 2200

Bags = list[tuple[frozenset[str], frozenset[str]]]


def to_bags(pairs: Pairs) -> Bags:
    """Each pair as a set of stems and a set of heads."""
    return [(frozenset(english_stems(english)), frozenset(heads(other))) for english, other in pairs]


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


def entries(pairs: Pairs, related: dict[str, list[str]]) -> list[tuple[float, str, float, float, list[str]]]:
    """(information, stem, share in translations, share of any words, heads), the most informative first.

    `related`: heads of a related language in the same script; they stand in for stems that the pairs do not know.
    """
    tokens = Counter(head for _, other in pairs for head in heads(other))
    bags = to_bags(pairs)
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
    own = choose(bags)
    borrowed = {
        stem: found for stem, found in related.items() if stem not in own and any(tokens[head] for head in found)
    }
    lent = hits(bags, borrowed)
    typical = sum(lent[1].values()) / max(1, sum(lent[0].values()))
    listed = []
    for stem, chosen in (own | borrowed).items():
        if stem in borrowed:
            # What a borrowed entry is worth is learned from how borrowed entries do, and from this one where it occurs.
            seen[stem], hit[stem] = lent[0][stem] + 6, round(lent[1][stem] + 6 * typical)
        elif seen[stem] < MIN_COUNT // 2:
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
        related = choose(to_bags(collected[RELATED[lang]])) if lang in RELATED else {}
        for _, stem, share, rate, chosen in sorted(
            entries(list(dict.fromkeys(found)), related), key=lambda entry: entry[1]
        ):
            rows.append(f"{lang}\t{stem}\t{share}\t{rate}\t{' '.join(chosen)}")
    options.out.write_text("\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
