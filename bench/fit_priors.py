"""Fit the length priors of `filters/priors.json` from parallel texts. Only statistics are written.

    python bench/fit_priors.py --data FOLDER [--out filters/priors.json]

FOLDER holds parallel/ (tatoeba_anki_*, tatoeba_laser, indian_parallel_corpora, ntrex, ud_pud), projection/xquad and
lid/udhr2.zip. FLORES is not read: it is what the checks are accepted on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dsbuild import languages
from dsbuild.filters.cognates import beginnings, cognates
from dsbuild.filters.letters import Letters
from dsbuild.filters.names import found_share, names

Pairs = list[tuple[str, str]]
Floats = npt.NDArray[np.float64]

NTREX = {
    "arb": "ar", "ben": "bn", "deu": "de", "fra": "fr", "guj": "gu", "hin": "hi", "jpn": "ja", "kan": "kn", "mal": "ml",
    "mar": "mr", "nep": "ne", "rus": "ru", "spa": "es", "swa": "sw", "tam": "ta", "tel": "te", "urd": "ur", "zho-CN": "zh-Hans",
}  # fmt: skip
TATOEBA = {
    "ara": "ar", "ben": "bn", "cmn": "zh-Hans", "deu": "de", "fra": "fr", "hin": "hi", "jpn": "ja", "mar": "mr",
    "rus": "ru", "spa": "es", "swh": "sw", "tam": "ta", "tel": "te",
}  # fmt: skip
# UDHR files whose names are not the ISO 639-3 code of the table, or that carry a variant.
UDHR = {
    "az": "azj_latn", "bs": "bos_latn", "el": "ell_monotonic", "fa": "pes_1", "ha": "hau_NG", "ht": "hat_popular", "kmr": "",
    "lv": "lav", "ms": "mly_latn", "ne": "nep", "nb": "nob", "ny": "nya_chechewa", "pt": "por_PT", "ro": "ron_2006", "sq": "als",
    "sr": "srp_cyrl", "sr-Latn": "srp_latn", "tk": "tuk_latn", "ug": "uig_arab", "uz": "uzn_latn", "uz-Cyrl": "uzn_cyrl",
    "zh-Hant": "cmn_hant", "zh-Hans": "cmn_hans", "tw": "aka_asante", "ak": "aka_akuapem", "ff": "fuc", "ts": "tso_MZ", "yi": "ydd",
    "ay": "ayr", "gn": "gug", "qu": "quy", "mn": "khk", "ti": "tir", "ps": "pbu", "ro-1993": "",
}  # fmt: skip
CAP = 4000


def lines(path: Path) -> list[str]:
    """The lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def parallel(data: Path) -> Iterator[tuple[str, str, Pairs]]:
    """(language, source name, pairs English-language) of every parallel text."""
    for code, lang in NTREX.items():
        folder = data / "parallel/ntrex"
        yield (
            lang,
            "ntrex",
            list(
                zip(
                    lines(folder / "newstest2019-src.eng.txt.gz"),
                    lines(folder / f"newstest2019-ref.{code}.txt.gz"),
                    strict=True,
                )
            ),
        )
    for code, lang in TATOEBA.items():
        stem = data / "parallel/tatoeba_laser" / f"tatoeba.{code}-eng"
        yield lang, "tatoeba", list(zip(lines(Path(f"{stem}.eng.gz")), lines(Path(f"{stem}.{code}.gz")), strict=True))
    for lang in ("hi", "mr", "ta"):
        for path in sorted((data / f"parallel/tatoeba_anki_en-{lang}").glob("*.gz")):
            rows = [line.split("\t") for line in lines(path)]
            yield lang, "tatoeba", [(row[0], row[1]) for row in rows if len(row) > 1]
    for lang in ("hi", "ta", "te", "bn"):
        for part in ("dev", "devtest", "test"):
            folder = data / f"parallel/indian_parallel_corpora/{lang}-en"
            for number in range(4):
                english = lines(folder / f"{part}.{lang}-en.en.{number}.gz")
                yield (
                    lang,
                    "indian parallel corpora",
                    list(zip(english, lines(folder / f"{part}.{lang}-en.{lang}.gz"), strict=True)),
                )
    for lang in ("hi", "es", "de"):
        texts = {code: conllu(data / f"parallel/ud_pud/{code}_pud-ud-test.conllu.gz") for code in ("en", lang)}
        yield lang, "ud pud", [(texts["en"][key], texts[lang][key]) for key in texts["en"] if key in texts[lang]]
        squads = [squad(data / f"projection/xquad/xquad.{code}.json.gz") for code in ("en", lang)]
        yield lang, "xquad", list(zip(*squads, strict=True))


def conllu(path: Path) -> dict[str, str]:
    """Sentence id -> text of a CoNLL-U file."""
    found, key = {}, ""
    for line in lines(path):
        if line.startswith("# sent_id = "):
            key = line[12:]
        elif line.startswith("# text = "):
            found[key] = line[9:]
    return found


def squad(path: Path) -> list[str]:
    """Contexts and questions of a SQuAD file, in order."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    return [
        text
        for paragraph in paragraphs
        for text in (paragraph["context"], *(one["question"] for one in paragraph["qas"]))
    ]


def fit(sources: Floats, targets: Floats) -> tuple[list[float], list[float]]:
    """Mean a + b / n and variance v + w / n of the log ratio, misaligned pairs trimmed; v and w are not negative."""
    inverse, log_ratio = 1 / (sources + 1), np.log((targets + 1) / (sources + 1))
    kept = np.abs(log_ratio - np.median(log_ratio)) < math.log(3)
    mean, variance = np.zeros(2), np.zeros(2)
    for _ in range(3):
        design = np.stack([np.ones(kept.sum()), inverse[kept]], axis=1)
        weights = np.sqrt(1 / (0.02 + inverse[kept]))
        mean = np.linalg.lstsq(design * weights[:, None], log_ratio[kept] * weights, rcond=None)[0]
        squares = (log_ratio[kept] - design @ mean) ** 2
        variance = np.linalg.lstsq(design * weights[:, None] ** 2, squares * weights**2, rcond=None)[0]
        variance = np.maximum(variance, [0.005, 0.0])
        residual = np.abs(log_ratio - mean[0] - mean[1] * inverse)
        kept = residual < 4 * np.sqrt(variance[0] + variance[1] * inverse)
    return [round(float(value), 4) for value in mean], [round(float(value), 5) for value in variance]


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "filters/priors.json")
    options = parser.parse_args()
    collected: dict[str, Pairs] = {}
    origins: dict[str, dict[str, int]] = {}
    for lang, source, pairs in parallel(options.data):
        pairs = [pair for pair in dict.fromkeys(pairs) if all(part.strip() for part in pair)]
        room = CAP - origins.setdefault(lang, {}).get(source, 0)
        step = max(1, len(pairs) // room) if room > 0 else 0
        taken = pairs[::step][:room] if step else []
        collected.setdefault(lang, []).extend(taken)
        origins[lang][source] = origins[lang].get(source, 0) + len(taken)
    facts: dict[str, dict[str, object]] = {"pairs": {}, "names": {}, "cognates": {}}
    variances = []
    for lang, pairs in sorted(collected.items()):
        english, other = (Letters(list(side)).sizes().astype(np.float64) for side in zip(*pairs, strict=True))
        note = ", ".join(f"{source} {count}" for source, count in sorted(origins[lang].items()))
        for key, (one, two) in {f"en-{lang}": (english, other), f"{lang}-en": (other, english)}.items():
            mean, variance = fit(one, two)
            variances.append(variance)
            facts["pairs"][key] = {"mean": mean, "variance": variance, "n": len(pairs), "source": note}
        facts["names"][lang] = name_rates(pairs)
        if languages.get(lang).script == "Latn":
            facts["cognates"][lang] = cognate_rates(pairs)
    typical = [round(float(value) * 1.5, 5) for value in np.median(np.array(variances), axis=0)]
    for lang, log_ratio in declaration(options.data / "lid/udhr2.zip").items():
        for key, sign in ((f"en-{lang}", 1), (f"{lang}-en", -1)):
            entry = {
                "mean": [round(sign * log_ratio, 4), 0.0],
                "variance": typical,
                "n": 1,
                "source": "udhr, whole text",
            }
            facts["pairs"].setdefault(key, entry)
    facts["pairs"] = dict(sorted(facts["pairs"].items()))
    text = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in facts["pairs"].items())
    named = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(facts["names"].items()))
    alike = ",\n".join(
        f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(facts["cognates"].items())
    )
    parts = (("pairs", text), ("names", named), ("cognates", alike))
    body = ",\n".join(f'  "{name}": {{\n{rows}\n  }}' for name, rows in parts)
    options.out.write_text(f"{{\n{body}\n}}\n", "utf-8")


def name_rates(pairs: Pairs) -> list[float]:
    """Mean share of the names of a text that are found in its translation, and in another pair's."""
    chosen = [(named, target) for source, target in pairs if (named := names(source))]
    shift = max(1, len(chosen) // 3)
    true = [share for named, target in chosen if (share := found_share(named, target)) is not None]
    targets = [target for _, target in chosen]
    moved = zip(chosen, targets[shift:] + targets[:shift], strict=True)
    other = [share for (named, _), target in moved if (share := found_share(named, target)) is not None]
    return [round(float(np.mean(true)), 3), round(float(np.mean(other)), 3)]


def cognate_rates(pairs: Pairs) -> list[float]:
    """How often a long word of a text has a look-alike in its translation, and how often a word of another pair's is one."""
    sides = [(cognates(source), beginnings(target)) for source, target in pairs]
    sides = [(wanted, found) for wanted, found in sides if wanted]
    total = sum(len(wanted) for wanted, _ in sides)
    true = sum(word in set(found) for wanted, found in sides for word in wanted) / total
    shift = len(sides) // 3
    others = [found for _, found in sides]
    moved = list(zip(sides, others[shift:] + others[:shift], strict=True))
    chances = sum(len(wanted) * len(found) for (wanted, _), found in moved)
    chance = sum(word in set(found) for (wanted, _), found in moved for word in wanted) / chances
    return [round(true, 3), round(chance, 5)]


def declaration(path: Path) -> dict[str, float]:
    """Language -> log length ratio to English of the Universal Declaration; files that are not whole are left out."""
    found: dict[str, float] = {}
    with zipfile.ZipFile(path) as archive:
        names_ = set(archive.namelist())
        texts = {}
        for code in languages.codes():
            stem = UDHR.get(code, languages.get(code).iso639_3)
            if f"udhr2/{stem}.txt" in names_:
                texts[code] = archive.read(f"udhr2/{stem}.txt").decode("utf-8", "replace")
    sizes = {code: int(Letters([text]).sizes()[0]) for code, text in texts.items()}
    for code, size in sizes.items():
        log_ratio = math.log(size / sizes["en"])
        if code != "en" and abs(log_ratio) < math.log(2):
            found[code] = log_ratio
    return found


if __name__ == "__main__":
    main()
