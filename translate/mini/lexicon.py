"""Read the lexicon tables: nouns, verbs, adjectives and closed-class words in four languages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NOUN_COLUMNS = 14
VERB_COLUMNS = 21
ADJECTIVE_COLUMNS = 8
WORD_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun with its gender, plural and oblique forms in every language."""

    en: str
    en_pl: str
    classes: frozenset[str]
    hi: str
    hi_g: str
    hi_pl: str
    mr: str
    mr_g: str
    mr_pl: str
    mr_obl: str
    mr_obl_pl: str
    ta: str
    ta_pl: str
    ta_obl: str

    @property
    def key(self) -> str:
        """Name the entry for counting."""
        return f"n:{self.en}"

    @property
    def mass(self) -> bool:
        """Say whether the noun has no plural."""
        return self.en_pl in ("-", "")

    @property
    def proper(self) -> bool:
        """Say whether the noun is a proper name."""
        return self.en[:1].isupper() and self.mass


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb with its principal parts, its government and the classes of its arguments."""

    en: str
    en_3sg: str
    en_past: str
    en_part: str
    en_ing: str
    frame: str
    hi: str
    hi_perf: str
    hi_ne: bool
    mr: str
    mr_perf: str
    mr_trans: bool
    ta_inf: str
    ta_past: str
    ta_pres: str
    ta_fut: str
    ta_vp: str
    ta_imp: str
    obj_class: frozenset[str]
    subj_class: frozenset[str]
    extra: dict[str, str]

    @property
    def key(self) -> str:
        """Name the entry for counting."""
        return f"v:{self.en}"


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective with its comparative in English and its predicative form in Tamil."""

    en: str
    en_comp: str
    kind: str
    hi: str
    mr: str
    ta: str
    ta_pred: str
    antonym: str

    @property
    def key(self) -> str:
        """Name the entry for counting."""
        return f"a:{self.en}"


@dataclass(frozen=True, eq=False)
class Word:
    """An uninflected word or phrase."""

    en: str
    kind: str
    hi: str
    mr: str
    ta: str

    @property
    def key(self) -> str:
        """Name the entry for counting."""
        return f"w:{self.kind}:{self.en}"


@dataclass
class Lexicon:
    """All entries, and for nouns, adjectives and words an index by class."""

    nouns: list[Noun] = field(default_factory=list)
    verbs: list[Verb] = field(default_factory=list)
    adjectives: list[Adjective] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.noun_of = {noun.en: noun for noun in self.nouns}
        self.adjective_of = {adjective.en: adjective for adjective in self.adjectives}
        self.verb_of = {verb.en: verb for verb in self.verbs}
        self.nouns_in: dict[str, list[Noun]] = {}
        for noun in self.nouns:
            for name in sorted(noun.classes):
                self.nouns_in.setdefault(name, []).append(noun)
        self.words_in: dict[str, list[Word]] = {}
        for word in self.words:
            self.words_in.setdefault(word.kind, []).append(word)

    def nouns_of(self, classes: frozenset[str]) -> list[Noun]:
        """List the nouns of any of these classes; a name after "=" is one noun."""
        found: dict[str, Noun] = {}
        for name in sorted(classes):
            if name.startswith("="):
                noun = self.noun_of.get(name[1:])
                if noun:
                    found[noun.en] = noun
            else:
                found.update((noun.en, noun) for noun in self.nouns_in.get(name, []))
        return list(found.values())


def _rows(path: Path, columns: int, problems: list[str]) -> Iterator[list[str]]:
    """Give the rows of a table that have all their columns; note the others."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if number == 1 or not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != columns or not cells[0]:
            problems.append(f"{path.name}:{number}: {len(cells)} columns, not {columns}")
            continue
        yield cells


def _classes(cell: str) -> frozenset[str]:
    """Read a comma list of classes."""
    return frozenset(name.strip() for name in cell.split(",") if name.strip() not in ("", "-"))


def _extra(cell: str) -> dict[str, str]:
    """Read the key=value list of a verb."""
    return dict(pair.split("=", 1) for pair in cell.split(";") if "=" in pair)


def load_lexicon(folder: Path) -> Lexicon:
    """Read every table of a folder; the first row of an English word and class wins."""
    problems: list[str] = []
    nouns: dict[str, Noun] = {}
    for name in ("nouns.tsv", "patterns/names.tsv"):
        for cells in _rows(folder / name, NOUN_COLUMNS, problems):
            noun = Noun(cells[0], cells[1], _classes(cells[2]), *cells[3:])
            if noun.en in nouns:
                problems.append(f"{name}: {noun.en} twice")
            nouns.setdefault(noun.en, noun)
    verbs: dict[str, Verb] = {}
    for cells in _rows(folder / "verbs.tsv", VERB_COLUMNS, problems):
        en, en_3sg, en_past, en_part, en_ing, frame, hi, hi_perf, hi_ne, mr, mr_perf, mr_trans, *rest = cells
        ta_inf, ta_past, ta_pres, ta_fut, ta_vp, ta_imp, objects, subjects, extra = rest
        verb = Verb(
            en, en_3sg, en_past, en_part, en_ing, frame, hi, hi_perf, hi_ne == "y", mr, mr_perf, mr_trans == "y",
            ta_inf, ta_past, ta_pres, ta_fut, ta_vp, ta_imp, _classes(objects), _classes(subjects), _extra(extra),
        )  # fmt: skip
        verbs.setdefault(verb.en, verb)
    adjectives: dict[str, Adjective] = {}
    for cells in _rows(folder / "adjectives.tsv", ADJECTIVE_COLUMNS, problems):
        adjectives.setdefault(cells[0], Adjective(*cells))
    words: dict[tuple[str, str], Word] = {}
    for cells in _rows(folder / "words.tsv", WORD_COLUMNS, problems):
        words.setdefault((cells[0], cells[1]), Word(*cells))
    return Lexicon(
        list(nouns.values()), list(verbs.values()), list(adjectives.values()), list(words.values()), problems
    )
