"""The languages: one code (BCP-47) for each, and what other code systems call it.

The table is `languages.tsv` beside this file. Codes of engines and models (`hin_Deva`, `__label__hi`) live only at
the edges that speak to them; everywhere else a language is its BCP-47 code.
Sources: BCP-47, ISO 639-3, ISO 15924 (codes, names); the FLORES-200/NLLB,
M2M-100 and lid.176 model cards (their labels).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from dsbuild.errors import UnknownName

Scheme = Literal["iso639_3", "nllb", "m2m100", "lid176"]

# ISO 15924 codes of writing systems that are more than one Unicode script.
_UNICODE_SCRIPTS = {
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani",),
    "Hant": ("Hani",),
}

# Codes that BCP-47 itself maps to another: withdrawn ones, and macrolanguage names in common use for one language.
_ALIASES = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "no": "nb", "fil": "tl", "zh-CN": "zh-Hans",
            "zh-SG": "zh-Hans", "zh-TW": "zh-Hant", "zh-HK": "zh-Hant", "ku": "kmr", "kok": "gom"}  # fmt: skip


# Codes of ISO 639-3 that name a macrolanguage or a twin of the code in the table, as models write them.
_TWINS = {"aka": "aka", "ara": "arb", "aym": "ayr", "aze": "azj", "ekk": "est", "fas": "pes", "ful": "fuv", "grn": "gug",
          "kok": "gom", "kur": "kmr", "lav": "lvs", "mlg": "plt", "mon": "khk", "msa": "zsm", "nep": "npi", "nor": "nob",
          "ori": "ory", "orm": "gaz", "pus": "pbt", "que": "quy", "als": "sqi", "swa": "swh", "fil": "tgl", "uzb": "uzn",
          "yid": "ydd", "zho": "cmn", "per": "pes", "chi": "cmn", "sro": "srd"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Language:
    """One language in one writing system.

    code: BCP-47; name: English; autonym: in the language itself; iso639_3; scripts: ISO 15924, the usual one first;
    nllb, m2m100, lid176: the label of that model family, "" where it has none; direction: "ltr" or "rtl";
    confusables: codes of languages that identification takes it for.
    """

    code: str
    name: str
    autonym: str
    iso639_3: str
    scripts: tuple[str, ...]
    nllb: str
    m2m100: str
    lid176: str
    direction: Literal["ltr", "rtl"]
    confusables: tuple[str, ...]

    @property
    def script(self) -> str:
        """The usual script, ISO 15924 (`Deva`, `Jpan`)."""
        return self.scripts[0]

    @property
    def unicode_scripts(self) -> tuple[str, ...]:
        """The Unicode scripts that its text is written in, as four-letter codes (`Jpan` is Hani, Hira and Kana)."""
        return tuple(part for script in self.scripts for part in _UNICODE_SCRIPTS.get(script, (script,)))


@lru_cache(maxsize=1024)
def get(code: str) -> Language:
    """The language of a BCP-47 code, whatever its case; withdrawn codes and zh-CN, zh-TW are understood.

    >>> get("hi").nllb, get("sr-latn").name, get("ja").unicode_scripts
    ('hin_Deva', 'Serbian (Latin)', ('Hani', 'Hira', 'Kana'))

    Raises `UnknownName` with the nearest code. A regional code such as `pt-BR` is not silently read as `pt`,
    `zh` alone does not say which script is wanted, and codes of other systems (`hin_Deva`) are named, not accepted.
    """
    table = _table()
    wanted = _spelled(code)
    wanted = _ALIASES.get(wanted, wanted)
    try:
        return table[wanted]
    except KeyError:
        raise UnknownName("language", code, _near(code, wanted) or table) from None


def _near(code: str, wanted: str) -> list[str]:
    """Codes that are meant by a code of another system, a region or a bare macrolanguage."""
    table = _table()
    said = code.strip().lower()
    other = [
        language.code
        for language in table.values()
        if said in (language.iso639_3, language.nllb.lower(), language.name.lower(), language.autonym.lower())
    ]
    narrower = [known for known in table if known.startswith(f"{wanted}-")]
    wider = [wanted.split("-")[0]] if wanted.split("-")[0] in table else []
    return other or narrower or wider


def find(label: str, scheme: Scheme) -> Language | None:
    """The language that a code system calls `label`; the first in the table where several share it, None if none does.

    >>> find("npi_Deva", "nllb").code, find("zh", "lid176").code, find("xx", "lid176")
    ('ne', 'zh-Hans', None)
    """
    return _by_label(scheme).get(label)


def find_any(label: str) -> Language | None:
    """The language that a label of any of the code systems names; None if no system knows it.

    Tried in this order: BCP-47, NLLB/FLORES, ISO 639-3 with a script (GlotLID, FineWeb-2), ISO 639-3, lid.176, M2M-100. A leading
    `__label__` is ignored. Where a script is written in several ways (`cmn_Hani`), the first in the table is meant.

    >>> [find_any(label).code for label in ("__label__hin_Deva", "cmn_Hani", "zho_Hans", "srp_Latn", "nep", "sh")]
    ['hi', 'zh-Hans', 'zh-Hans', 'sr-Latn', 'ne', 'sr-Latn']
    """
    found = find_all(label)
    return found[0] if found else None


def find_all(label: str) -> tuple[Language, ...]:
    """Every language that the first code system to know a label may mean by it, in the order of the table.

    >>> [language.code for language in find_all("cmn_Hani")], find_all("xx_Latn")
    (['zh-Hans', 'zh-Hant'], ())
    """
    wanted = label.strip().removeprefix("__label__")
    code = _spelled(wanted)
    table = _table()
    if "_" not in wanted and _ALIASES.get(code, code) in table:
        return (table[_ALIASES.get(code, code)],)
    return _by_any().get(wanted.lower(), ())


def codes() -> list[str]:
    """All BCP-47 codes, sorted."""
    return sorted(_table())


def _spelled(code: str) -> str:
    """A code with the case that BCP-47 recommends: language lower, script title, region upper."""
    first, *rest = code.strip().replace("_", "-").split("-")
    return "-".join([first.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])


@lru_cache(maxsize=1)
def _table() -> dict[str, Language]:
    lines = Path(__file__).with_name("languages.tsv").read_text("utf-8").splitlines()
    languages = [_row(line) for line in lines[1:]]
    return {language.code: language for language in languages}


def _row(line: str) -> Language:
    code, name, autonym, iso, scripts, *rest = line.split("\t")
    nllb, m2m100, lid176, direction, confusables = ("" if value == "-" else value for value in rest)
    return Language(
        code, name, autonym, iso, tuple(scripts.split(",")), nllb, m2m100, lid176,
        "rtl" if direction == "rtl" else "ltr", tuple(confusables.split(",")) if confusables else (),
    )  # fmt: skip


@lru_cache(maxsize=4)
def _by_label(scheme: Scheme) -> dict[str, Language]:
    found: dict[str, Language] = {}
    for language in _table().values():
        label = str(getattr(language, scheme))
        if label:
            found.setdefault(label, language)
    return found


@lru_cache(maxsize=1)
def _by_any() -> dict[str, tuple[Language, ...]]:
    """Languages by lower-case label: every label belongs to the first code system that has it."""
    twins: dict[str, list[str]] = {}
    for twin, code in _TWINS.items():
        twins.setdefault(code, []).append(twin)
    systems: list[dict[str, list[Language]]] = [{} for _ in range(6)]
    for language in _table().values():
        isos = [language.iso639_3, *twins.get(language.iso639_3, ())]
        scripts = dict.fromkeys((*language.scripts, *language.unicode_scripts))
        labels: tuple[list[str], ...] = (
            [language.nllb],
            [f"{iso}_{script}" for iso in isos[:1] for script in scripts],
            [f"{iso}_{script}" for iso in isos[1:] for script in scripts],
            isos,
            [language.lid176],
            [language.m2m100],
        )
        for system, names in zip(systems, labels, strict=True):
            for name in names:
                if name:
                    system.setdefault(name.lower(), []).append(language)
    found: dict[str, tuple[Language, ...]] = {}
    for system in systems:
        for name, meant in system.items():
            found.setdefault(name, tuple(meant))
    return found
