"""Language identification against datatrove's filter: how much faster, as right, and how often sure and wrong.

Documents: pieces of 1-3 kB of the Universal Declaration of Human Rights, 25 at random places of each file whose language lid.176 knows.
Time is CPU seconds, datatrove's `LanguageFilter` as it is (every label of the whole text) with the same lid.176.ftz read from a
file, in an environment of its own; ours from Python strings to answers; repetitions alternate. Right: the label means the
file's language (datatrove's `zh` is right for either script); `right_full_text` is ours without sampling. Short texts: Tatoeba's in 112 languages.
Without the data (`DSBUILD_LID_DATA`, a folder beside the project) it says "not run".

    python bench/filters.py lid [--quick] [--format json]
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import statistics
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers import NotRun, ask, environment

from dsbuild import languages
from dsbuild.filters import label_model
from dsbuild.filters.language import MODEL, Identified, LanguageId
from dsbuild.text import script_counts

DATA = Path(os.environ.get("DSBUILD_LID_DATA", Path(__file__).parents[2] / "shared" / "data" / "lid"))
PEER = ["datatrove==0.10.1", "fasttext-numpy2-wheel==0.9.2", "fasteners==0.20", "numpy==2.4.6", "regex==2026.11.19"]
PIECES, REPETITIONS, SEED = 25, 5, 20
# Files and test languages under names that the language table does not have, with the codes of lid.176's labels.
NAMES = {"hsb": "hsb", "dsb": "dsb", "bcl": "bcl", "pam": "pam", "nds": "nds", "ido": "io", "ina": "ia", "ile": "ie", "sco": "sco", "roh": "rm",
         "sah": "sah", "tyv": "tyv", "oss": "os", "wln": "wa", "fri": "fy", "pms": "pms", "cbk": "cbk", "gsw": "gsw", "mhr": "mhr", "cor": "kw",
         "gv": "gv", "bar": "bar", "wuu": "wuu", "pes_1": "fa", "pes_2": "fa", "deu_1901": "de", "por_PT": "pt", "por_BR": "pt", "lat_1": "la",
         "ron_1993": "ro", "ell_monotonic": "el", "ell_polytonic": "el", "hat_kreyol": "ht", "hat_popular": "ht", "tgl_tglg": "", "chj": "",
         "hau_NE": "", "hau_NG": ""}  # fmt: skip


def expected(name: str, text: str) -> tuple[str, ...]:
    """The codes that are right for a text of the language that a data set calls `name`."""
    if name in NAMES:
        return (NAMES[name],) if NAMES[name] else ()
    first, _, rest = name.partition("_")
    found = languages.find_all(f"{first}_{rest.title()}" if len(rest) == 4 else first) if len(rest) in (0, 4) else ()
    counts = script_counts(text)
    script = max(counts, key=lambda one: counts[one], default="")
    if first == "cmn":
        return tuple(language.code for language in found) or ("zh-Hans", "zh-Hant")
    return tuple(language.code for language in found if script in language.unicode_scripts)


def pieces(limit: int) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, text and right codes of pieces of 1-3 kB."""
    model, chance, found = label_model.load(str(MODEL)), random.Random(SEED), []
    known = {code for meant in model.meanings for code in meant}
    with zipfile.ZipFile(DATA / "udhr2.zip") as archive:
        for path in sorted(archive.namelist()):
            text, name = archive.read(path).decode("utf-8", "replace"), Path(path).stem
            right = expected(name, text) if path.endswith(".txt") else ()
            if not set(right) & known or len(text) < 3_000:
                continue
            data = text.encode()
            for _ in range(limit):
                size = chance.randint(1_000, 3_000)
                start = chance.randint(0, max(0, len(data) - size))
                piece = data[start : start + size].decode("utf-8", "ignore")
                found.append((name, piece, right))
    return found


def short_texts() -> list[tuple[str, str, tuple[str, ...]]]:
    """Tatoeba's texts: language, text and right codes."""
    with gzip.open(DATA / "tatoeba112_first60.tsv.gz", "rt", encoding="utf-8", newline="") as handle:
        rows = [(row["lang"], row["text"]) for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [(name, text, expected(name, text)) for name, text in rows]


def few_words(text: str) -> bool:
    """Three words or fewer between spaces; so is a sentence in a script without spaces, however long."""
    return len(text.split()) <= 3


def shares(rows: Sequence[tuple[str, str, tuple[str, ...]]], answers: Sequence[Identified]) -> dict[str, Any]:
    """How many are right, answered, and wrong with a high score."""
    n = max(1, len(rows))
    right = [one.label in row[2] for row, one in zip(rows, answers, strict=True)]
    wrong = [bool(one.label) and not ok for one, ok in zip(answers, right, strict=True)]
    return {
        "texts": len(rows),
        "right": round(sum(right) / n, 4),
        "answered": round(sum(bool(one.label) for one in answers) / n, 4),
        "wrong": round(sum(wrong) / n, 4),
        "wrong_over_085": round(sum(bad and one.score > 0.85 for one, bad in zip(answers, wrong, strict=True)) / n, 4),
        "wrong_over_085_agreed": round(
            sum(bad and one.score > 0.85 and bool(one.agreement) for one, bad in zip(answers, wrong, strict=True)) / n,
            4,
        ),
    }


def run(*, quick: bool) -> dict[str, Any]:
    """Compare CPU time and accuracy; `ratio` is documents per CPU second, ours over datatrove's filter."""
    if not DATA.is_dir():
        return {"ratio": "not run: no data (DSBUILD_LID_DATA)"}
    identify, model = LanguageId(), label_model.load(str(MODEL))
    documents, shorts = pieces(1 if quick else PIECES), short_texts()
    texts = [text for _, text, _ in documents]
    answers = identify.identify(texts)
    few = [row for row in shorts if few_words(row[1])]
    more = [row for row in shorts if not few_words(row[1])]
    found = shares(documents, answers)
    result: dict[str, Any] = {
        "ratio": "not run: a toy size",
        "unit": "documents per CPU second",
        "documents": len(texts),
        "languages": len({right for _, _, right in documents}),
        "kb": round(statistics.mean(len(text.encode()) for text in texts) / 1e3, 2),
        "right": found["right"],
        "right_full_text": shares(documents, LanguageId(sample=10_000).identify(texts))["right"],
        "documents_ours": found,
        "three_words": shares(few, identify.identify([text for _, text, _ in few])),
        "more_words": shares(more, identify.identify([text for _, text, _ in more])),
    }
    result["confidently_wrong_three_words"] = result["three_words"]["wrong"]
    if quick:
        return result
    rates: dict[str, list[float]] = {"ours": [], "peer": [], "evidence": []}
    labels: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), "utf-8")
        try:
            python = environment("datatrove-lid", PEER)
            for _ in range(REPETITIONS):
                told = ask(python, "datatrove_language.py", {"texts": str(path), "model": str(MODEL)})
                rates["peer"].append(told["rate"])
                labels = told["labels"]
                for name in ("ours", "evidence"):
                    started = time.process_time()
                    if name == "ours":
                        identify.identify(texts)
                    else:
                        identify.evidence(texts, "es", rivals=("en",))
                    rates[name].append(len(texts) / (time.process_time() - started))
        except NotRun as why:
            return {**result, "ratio": f"not run: {why}"}
    meant = dict(zip(model.labels, model.meanings, strict=True))
    peer_right = sum(
        bool(set(meant[label]) & set(right)) for label, (_, _, right) in zip(labels, documents, strict=True)
    )
    return {
        **result,
        "ratio": round(statistics.median(one / two for one, two in zip(rates["ours"], rates["peer"], strict=True)), 1),
        "ours": round(statistics.median(rates["ours"])),
        "peer": round(statistics.median(rates["peer"])),
        "ratio_evidence": round(
            statistics.median(one / two for one, two in zip(rates["evidence"], rates["peer"], strict=True)), 1
        ),
        "right_peer": round(peer_right / len(texts), 4),
    }
