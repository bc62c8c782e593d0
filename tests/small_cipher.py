"""A small set in a made-up language: every English word has one other word, adjectives stand behind their nouns, labels lie on noun phrases."""

import random

from dsbuild.project.projector import Parallel
from dsbuild.spans import Labelled, Span

NOUNS = "soup bread waiter table garden lamp river window letter music kettle bridge".split()
KINDS = "old green quiet heavy warm narrow cheap bright".split()
VERBS = "likes sees paints carries forgets praises".split()
OTHER = "today often here never".split()
LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ovxukrtyalzpqbenwhgsimfcjd")


def there(word):
    return word.translate(LETTERS) + "a"


def sets(n_pairs, seed=1, lang="es"):
    """Pairs, and the target texts with the right labels."""
    draw = random.Random(seed)
    pairs, gold = [], []
    for number in range(n_pairs):
        src, tgt, spans, right = [], [], [], []
        for place in range(2):
            noun, kind = draw.choice(NOUNS), draw.choice([*KINDS, "", ""])
            src += ["the", kind] if kind else ["the"]
            start = len(" ".join([*src, ""])) - (len(kind) + 1 if kind else 0)
            src.append(noun)
            spans.append(Span(str(place), "THING", ((start, len(" ".join(src))),)))
            tgt.append("ol")
            start = len(" ".join([*tgt, ""]))
            tgt += [there(noun), there(kind)] if kind else [there(noun)]
            right.append(Span(str(place), "THING", ((start, len(" ".join(tgt))),)))
            if place == 0:
                verb = draw.choice(VERBS)
                src.append(verb)
                tgt.append(there(verb))
        last = draw.choice(OTHER)
        source, target = " ".join([*src, last]) + ".", " ".join([*tgt, there(last)]) + "."
        pairs.append(Parallel(Labelled(f"r{number}", source, "en", tuple(spans)), target, lang))
        gold.append(Labelled(f"r{number}", target, lang, tuple(right)))
    return pairs, gold
