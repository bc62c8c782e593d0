"""From the texts to encoded stocks: what is read, what is kept out, pieces, slices, and the words that were seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from dsbuild.translate.mini import corpus
from dsbuild.translate.mini.batches import Example, Stock
from dsbuild.translate.mini.corpus import LANGS, SCRIPT
from dsbuild.translate.mini.lexicon import load_lexicon
from dsbuild.translate.mini.masking import SYMBOLS, words
from dsbuild.translate.mini.substitution import Group, Nouns, conceal_numbers, merged
from dsbuild.translate.mini.vocabulary import language_token, load_pieces, pieces_of, slices, train_pieces

# Part of the target tokens that each source gets: about as much of people's text for each language, and few enough
# rounds through the small ones that they are not learned by heart.
SHARES = {
    "grammar": 0.68,
    "hand": 0.07,
    "tatoeba-mr": 0.10,
    "tatoeba-hi": 0.035,
    "ipc-hi": 0.05,
    "ipc-ta": 0.06,
    "tatoeba-ta": 0.003,
}
MAX_PIECES = 64
N_DEV = 200
KEPT_FROM = 4  # words.txt lists words with at least this many sentences in a language


@dataclass(frozen=True, slots=True)
class Texts:
    """Concealed groups by stock for training and development, and the sentences that only measure."""

    train: dict[str, list[Group]]
    dev: dict[str, list[Group]]
    held_out: dict[str, list[Group]]
    notes: dict[str, str]


@dataclass(slots=True)
class Prepared:
    """All that the loop needs. slices: allowed output ids per language; starts: language token ids."""

    processor: Any
    pieces: list[str]
    slices: dict[str, list[int]]
    starts: dict[str, int]
    placeholders: list[int]
    stocks: list[Stock]
    dev: dict[str, list[Example]]
    counts: dict[str, Counter[str]]
    sizes: dict[str, int] = field(default_factory=dict)


def read(generated: Path, held_out: Path | None, parallel: Path | None, builders: Path, seed: int) -> Texts:
    """Read every source, keep out the sample and what measures, and conceal numbers."""
    hand, hand_held = corpus.read_handwritten()
    measured = {
        "hand": hand_held,
        "grammar": list(corpus.read_table(held_out, "grammar")) if held_out and held_out.exists() else [],
    }
    out = corpus.sample_keys(builders)
    n_sample = len(out)
    out |= {corpus.key(group.en) for groups in measured.values() for group in groups}
    stocks: dict[str, list[Group]] = {"grammar": list(corpus.read_table(generated, "grammar")), "hand": hand}
    notes = {"sample sentences kept out": str(n_sample)}
    for name, reader in (("tatoeba", corpus.read_tatoeba), ("ipc", corpus.read_ipc)):
        real = (
            [cleaned for group in reader(parallel) if (cleaned := corpus.clean(group))]
            if parallel and parallel.is_dir()
            else []
        )
        if not real:
            print(f"no {name} at {parallel}: training goes on without it")
        for lang in LANGS:
            stocks[f"{name}-{lang}"] = [
                Group(group.en, {lang: group.targets[lang]}, name) for group in real if lang in group.targets
            ]
    train: dict[str, list[Group]] = {}
    dev: dict[str, list[Group]] = {}
    dev_keys: set[str] = set()
    random = Random(seed)
    for name, groups in stocks.items():
        kept = corpus.without(groups, out)
        notes[f"{name} left out"] = str(len(groups) - len(kept))
        concealed = [one for group in kept if (one := conceal_numbers(group)).targets]
        wanted = set(LANGS) if name in ("grammar", "hand") else {name[-2:]}
        whole = [group for group in _distinct(name, concealed) if set(group.targets) == wanted]
        # Chosen by hash, so that a later run that begins with this one's weights holds out the same sentences.
        whole.sort(key=lambda group: (corpus.digest(group.en), group.en))
        # Hand-written sentences are too few to give any away; the measuring ones are never looked at in training.
        n_dev = 0 if name == "hand" else min(N_DEV, len(whole) // 20)
        dev[name], train[name] = whole[:n_dev], whole[n_dev:]
        random.shuffle(train[name])
        dev_keys |= {corpus.key(group.en) for group in dev[name]}
    train = {name: corpus.without(groups, dev_keys) for name, groups in train.items()}
    return Texts(train, {name: held for name, held in dev.items() if held}, measured, notes)


def _distinct(name: str, groups: Sequence[Group]) -> list[Group]:
    """One translation of an English sentence, except where people gave several of their own."""
    if name in ("grammar", "hand"):
        return merged(groups)
    seen = {(group.en, *group.targets.values()): group for group in groups}
    return list(seen.values())


def prepare(texts: Texts, folder: Path, *, size: int, threads: int, seed: int) -> Prepared:
    """Train the pieces unless they are there, encode every stock, and count the words of each language."""
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    nouns = Nouns(load_lexicon(corpus.HERE).nouns)
    path = folder / "spm.model"
    if not path.exists():
        train_pieces(_for_pieces(texts, random), path, size, threads)
    processor = load_pieces(path)
    pieces = pieces_of(processor)
    placeholders = [processor.piece_to_id(symbol) for symbol in SYMBOLS]
    stocks: list[Stock] = []
    counts: dict[str, Counter[str]] = {lang: Counter() for lang in LANGS}
    for name, groups in texts.train.items():
        langs = tuple(lang for lang in LANGS if groups and lang in groups[0].targets)
        copies = {index: copy for index, group in enumerate(groups) if (copy := nouns.conceal(group, random))}
        examples = encode(groups, langs, processor)
        masked = dict(zip(copies, encode(list(copies.values()), langs, processor), strict=True))
        fitting = [
            index for index, example in enumerate(examples) if max(len(example.source), example.longest) <= MAX_PIECES
        ]
        place = {index: position for position, index in enumerate(fitting)}
        kept = {place[index]: copy for index, copy in masked.items() if index in place}
        stocks.append(Stock(name, langs, SHARES.get(name, 0.0), [examples[index] for index in fitting], kept))
        for index in fitting:
            for lang in langs:
                counts[lang].update(set(words(groups[index].en)))
    dev = {
        name: encode(groups, tuple(lang for lang in LANGS if lang in groups[0].targets), processor)
        for name, groups in texts.dev.items()
    }
    spoken: dict[str, list[Sequence[int]]] = {lang: [] for lang in LANGS}
    for stock in stocks:
        for example in (*stock.examples, *stock.masked.values()):
            for lang, target in zip(stock.langs, example.targets, strict=True):
                spoken[lang].append(target)
    allowed = slices({lang: _native(targets, pieces, lang) for lang, targets in spoken.items()}, placeholders)
    starts = {lang: processor.piece_to_id(language_token(lang)) for lang in LANGS}
    sizes = {stock.name: len(stock.examples) for stock in stocks}
    dev = {
        name: [example for example in examples if _sayable(example, name, allowed)] for name, examples in dev.items()
    }
    return Prepared(processor, pieces, allowed, starts, placeholders, stocks, dev, counts, sizes)


def _sayable(example: Example, name: str, allowed: dict[str, list[int]]) -> bool:
    langs = LANGS if len(example.targets) == len(LANGS) else (name[-2:],)
    return all(set(target) <= set(allowed[lang]) for lang, target in zip(langs, example.targets, strict=True))


def _native(targets: Iterable[Sequence[int]], pieces: Sequence[str], lang: str) -> Iterable[Sequence[int]]:
    """The targets, which must not hold an unknown piece: every character of the training text is a piece."""
    import regex

    foreign = regex.compile(rf"(?!\p{{Script={SCRIPT[lang]}}})\p{{L}}")
    used = {index for target in targets for index in target}
    yield [index for index in sorted(used) if not foreign.search(pieces[index])]


def encode(groups: Sequence[Group], langs: tuple[str, ...], processor: Any) -> list[Example]:
    """Groups as piece ids."""
    sources = processor.encode([group.en for group in groups])
    columns = [processor.encode([group.targets[lang] for group in groups]) for lang in langs]
    return [Example(source, tuple(targets)) for source, *targets in zip(sources, *columns, strict=True)]


def _for_pieces(texts: Texts, random: Random) -> list[str]:
    """Text to learn pieces from: at most 60,000 groups of the grammar, everything written by people, the hand-written twice."""
    chosen: list[Group] = []
    for name, groups in texts.train.items():
        chosen += random.sample(groups, min(len(groups), 60_000)) * (2 if name == "hand" else 1)
    return [text for group in chosen for text in dict.fromkeys([group.en, *group.targets.values()])]


def word_table(counts: dict[str, Counter[str]]) -> str:
    """words.txt: a word and the number of its training sentences in each language, sorted."""
    seen = sorted({word for counter in counts.values() for word, count in counter.items() if count >= KEPT_FROM})
    return "".join("\t".join([word, *(str(counts[lang][word]) for lang in LANGS)]) + "\n" for word in seen)
