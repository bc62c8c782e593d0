"""The training text: the grammar's sentences, the hand-written ones, Tatoeba and the Indian Parallel Corpora.

Every reader gives groups: an English sentence with its translations. Whatever occurs in the shipped sample or is held
out is kept from training in every language; evaluation sets are never read here.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import regex
import xxhash

from dsbuild.text import sentences
from dsbuild.translate.mini.masking import tidy
from dsbuild.translate.mini.substitution import Group

HERE = Path(__file__).parent
LANGS = ("hi", "mr", "ta")
SCRIPT = {"hi": "Devanagari", "mr": "Devanagari", "ta": "Tamil"}
N_HELD_OUT = 300
MEASURED_FILES = ("a", "b", "c")
MAX_WORDS = 32

ATTRIBUTION = {
    "tatoeba": "Tatoeba (https://tatoeba.org), CC BY 2.0 FR, its contributors",
    "ipc": "Indian Parallel Corpora (Post, Callison-Burch and Osborne 2012), CC BY-SA 3.0",
}
_STRANGE = r"[\u200c\u200d]{2}|[^\p{L}\p{M}\p{N}\s.,;:!?'\"()/%&।\u200c\u200d-]"
_TATOEBA = {"hi": "hin", "mr": "mar", "ta": "tam"}


def key(text: str) -> str:
    """What two sentences share that differ only in case, punctuation and spacing.

    >>> key("What's the Capital of India ?")
    'what s the capital of india'
    """
    return " ".join(re.findall(r"\w+", tidy(text).lower()))


def digest(text: str) -> int:
    """A fixed number of a sentence, for choosing by hash."""
    return xxhash.xxh3_64_intdigest(key(text).encode())


def read_table(path: Path, origin: str) -> Iterator[Group]:
    """A table with a header line that names en, hi, mr and ta; lines that start with # are comments."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#") and line.strip())
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            targets = {lang: row[lang].strip() for lang in LANGS if (row.get(lang) or "").strip()}
            if row.get("en") and targets:
                yield Group(row["en"].strip(), targets, origin)


def read_handwritten(folder: Path = HERE) -> tuple[list[Group], list[Group]]:
    """The hand-written sentences: for training, and the 300 that only measure.

    They are those with the smallest hash of the first three files, so that scores of later models, which train on further
    files, stay comparable with the first model's.
    """
    by_file = {
        path.stem.rpartition("-")[2]: list(read_table(path, "hand"))
        for path in sorted(folder.glob("handwritten-*.tsv"))
    }
    measuring = [group for name in MEASURED_FILES for group in by_file.get(name, ())]
    ordered = sorted(measuring, key=lambda group: digest(group.en))
    held = {key(group.en) for group in ordered[: min(N_HELD_OUT, len(ordered) // 5)]}
    groups = [group for of_file in by_file.values() for group in of_file]
    return [group for group in groups if key(group.en) not in held], [
        group for group in measuring if key(group.en) in held
    ]


def read_tatoeba(folder: Path) -> Iterator[Group]:
    """Tatoeba's pairs, tab-separated or line by line; the laser files overlap the others."""
    for lang, code in _TATOEBA.items():
        for path in sorted(folder.glob(f"tatoeba_anki_en-{lang}/*.gz")):
            for line in _lines(path):
                cells = line.split("\t")
                if len(cells) >= 2:
                    yield Group(cells[0], {lang: cells[1]}, "tatoeba")
        for path in sorted(folder.glob(f"tatoeba_laser/tatoeba.{code}-eng.{code}.gz")):
            english = _lines(path.with_name(f"tatoeba.{code}-eng.eng.gz"))
            for en, text in zip(english, _lines(path), strict=True):
                yield Group(en, {lang: text}, "tatoeba")


def read_ipc(folder: Path) -> Iterator[Group]:
    """Wikipedia sentences of the Indian Parallel Corpora, each with up to four English versions."""
    for lang in ("hi", "ta"):
        for path in sorted((folder / "indian_parallel_corpora").glob(f"{lang}-en/*.{lang}-en.{lang}.gz")):
            if path.name.startswith("dict"):
                continue
            for version in range(4):
                english = path.with_name(path.name.removesuffix(f".{lang}.gz") + f".en.{version}.gz")
                for en, text in zip(_lines(english), _lines(path), strict=True) if english.exists() else ():
                    yield Group(en, {lang: text}, "ipc")


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().split("\n")


def clean(group: Group) -> Group | None:
    """A pair of a real corpus in the project's spelling; None if it is empty, too long, lopsided or in another script."""
    en = (
        tidy(group.en).strip(" .")
        if group.origin == "ipc" and not re.search(r"[.?!]$", group.en.strip())
        else tidy(group.en)
    )
    en = en.replace('""', '"').lstrip(". ")
    n_words = len(en.split())
    if not en.isascii() or not 0 < n_words <= MAX_WORDS or not re.search("[A-Za-z]", en):
        return None
    targets = {}
    for lang, text in group.targets.items():
        text = tidy(text).replace("|", "।").replace('""', '"')
        text = re.sub(r"\s+([।.?!,;:])", r"\1", text)
        if lang == "hi":
            text = re.sub(r"\.$", "।", text)
        if lang != "hi":
            text = re.sub(r"।$", ".", text)
        wanted = len(regex.findall(rf"\p{{Script={SCRIPT[lang]}}}", text))
        others = len(regex.findall(rf"(?![\p{{Script={SCRIPT[lang]}}}A-Za-z])\p{{L}}|{_STRANGE}", text))
        length = len(text.split())
        if wanted < 2 or others or length > MAX_WORDS or not 1 / 3 <= (length + 2) / (n_words + 2) <= 2:
            continue
        targets[lang] = text
    return Group(en, targets, group.origin) if targets else None


def sample_keys(builders: Path) -> set[str]:
    """Keys of every sentence, title and query of the shipped sample; the whole texts too."""
    keys: set[str] = set()
    for name in ("sample_corpus.jsonl", "sample_queries.jsonl"):
        path = builders / name
        if not path.exists():
            print(f"{name} is not there: nothing of it can be kept out")
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            for value in json.loads(line).values() if line.strip() else ():
                if isinstance(value, str):
                    keys.add(key(value))
                    keys.update(key(value[start:end]) for start, end in sentences(value, "en"))
    return keys - {""}


def without(groups: Iterable[Group], keys: set[str]) -> list[Group]:
    """The groups whose English is none of `keys`."""
    return [group for group in groups if key(group.en) not in keys]
