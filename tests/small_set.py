"""Small retrieval sets and translations of them, written for the tests, and the real build run on them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild import run
from dsbuild.builders import build
from dsbuild.builders.build import Built
from dsbuild.translate.engines import close_engines

ROOT = Path(__file__).resolve().parent.parent
LANGS = ("hi", "mr", "ta", "es")

# en, hi, mr, ta, es
_LINES = """\
The river rises in the hills and flows east.|नदी पहाड़ियों से निकलती है और पूर्व की ओर बहती है।|नदी डोंगरांत उगम पावते आणि पूर्वेकडे वाहते.|ஆறு மலைகளில் தோன்றி கிழக்கு நோக்கிப் பாய்கிறது.|El río nace en las colinas y corre hacia el este.
Farmers plant rice when the rain begins.|बारिश शुरू होने पर किसान धान लगाते हैं।|पाऊस सुरू झाल्यावर शेतकरी भाताची लागवड करतात.|மழை தொடங்கும்போது விவசாயிகள் நெல் நடுகிறார்கள்.|Los agricultores plantan arroz cuando empieza la lluvia.
Drink a glass of clean water every morning.|हर सुबह एक गिलास साफ़ पानी पिएँ।|रोज सकाळी एक ग्लास स्वच्छ पाणी प्या.|தினமும் காலையில் ஒரு கோப்பை சுத்தமான தண்ணீர் குடியுங்கள்.|Bebe un vaso de agua limpia cada mañana.
The old market sells fruit, spices and cloth.|पुराने बाज़ार में फल, मसाले और कपड़े बिकते हैं।|जुन्या बाजारात फळे, मसाले आणि कापड विकले जाते.|பழைய சந்தையில் பழங்கள், மசாலாப் பொருட்கள் மற்றும் துணிகள் விற்கப்படுகின்றன.|El mercado antiguo vende fruta, especias y telas.
The train to the coast leaves at 7:30.|तट की ओर जाने वाली रेलगाड़ी 7:30 बजे चलती है।|किनाऱ्याकडे जाणारी गाडी 7:30 वाजता सुटते.|கடற்கரைக்குச் செல்லும் ரயில் 7:30 மணிக்குப் புறப்படுகிறது.|El tren a la costa sale a las 7:30.
A doctor should look at a wound that does not heal.|जो घाव न भरे उसे डॉक्टर को दिखाना चाहिए।|बरी न होणारी जखम डॉक्टरांना दाखवावी.|ஆறாத காயத்தை மருத்துவரிடம் காட்ட வேண்டும்.|Un médico debe mirar una herida que no se cura.
Children walk to school along the lake.|बच्चे झील के किनारे चलकर स्कूल जाते हैं।|मुले तलावाच्या काठाने चालत शाळेत जातात.|குழந்தைகள் ஏரிக்கரை வழியாக நடந்து பள்ளிக்குச் செல்கிறார்கள்.|Los niños caminan a la escuela por la orilla del lago.
Wool keeps the body warm in winter.|ऊन सर्दियों में शरीर को गर्म रखती है।|लोकर हिवाळ्यात शरीर उबदार ठेवते.|கம்பளி குளிர்காலத்தில் உடலைச் சூடாக வைத்திருக்கிறது.|La lana mantiene el cuerpo caliente en invierno.
The café doesn’t open before noon.|कैफ़े दोपहर से पहले नहीं खुलता।|कॅफे दुपारपूर्वी उघडत नाही.|காபிக் கடை மதியத்துக்கு முன் திறக்கப்படுவதில்லை.|El café no abre antes del mediodía.
where does the river flow|नदी कहाँ बहती है|नदी कुठे वाहते|ஆறு எங்கே பாய்கிறது|hacia dónde corre el río
when do farmers plant rice|किसान धान कब लगाते हैं|शेतकरी भाताची लागवड कधी करतात|விவசாயிகள் எப்போது நெல் நடுகிறார்கள்|cuándo plantan arroz los agricultores
what does the old market sell|पुराने बाज़ार में क्या बिकता है|जुन्या बाजारात काय विकले जाते|பழைய சந்தையில் என்ன விற்கப்படுகிறது|qué vende el mercado antiguo
when does the train to the coast leave|तट की रेलगाड़ी कब चलती है|किनाऱ्याची गाडी कधी सुटते|கடற்கரை ரயில் எப்போது புறப்படுகிறது|cuándo sale el tren a la costa
what keeps the body warm|शरीर को क्या गर्म रखता है|शरीर काय उबदार ठेवते|உடலைச் சூடாக வைத்திருப்பது எது|qué mantiene el cuerpo caliente
River|नदी|नदी|ஆறு|Río
Market|बाज़ार|बाजार|சந்தை|Mercado
"""

# Every source text with its translations, in the order of `LANGS`.
LINES: dict[str, tuple[str, ...]] = {line.split("|")[0]: tuple(line.split("|")[1:]) for line in _LINES.splitlines()}
RIVER, RICE, WATER, MARKET, TRAIN, WOUND, SCHOOL, WOOL, CAFE = list(LINES)[:9]
ASK_RIVER, ASK_RICE, ASK_MARKET, ASK_TRAIN, ASK_WOOL = list(LINES)[9:14]

Doc = tuple[str, str, str]  # id, title, text
Qrel = tuple[str, str, int]


def said(text: str, lang: str) -> str:
    """The translation of a source text."""
    return LINES[text][LANGS.index(lang)]


DOCS: tuple[Doc, ...] = (
    ("d1", "River", f"{RIVER} {WOOL}"),
    ("d2", "", f"{RICE}\n\n- {WATER}\n- {WATER}"),
    ("a/b/../d3", "Market", MARKET),
    ("d4", "", f"{TRAIN} {WOUND}"),
    ("d5", "", SCHOOL),
    ("d6", "", CAFE.encode("utf-8").decode("cp1252")),
    ("d7", "", ""),
    ("d8", "River", f"{RIVER}   {WATER}"),
    ("d9", "", WOOL),
)
QUERIES: dict[str, str] = {"q1": ASK_RIVER, "q2": ASK_RICE, "q/3": ASK_MARKET, "q4": ASK_TRAIN, "q5": ASK_WOOL}
QRELS: tuple[Qrel, ...] = (
    ("q1", "d1", 2), ("q1", "d8", 1), ("q1", "d5", 0), ("q2", "d2", 1), ("q/3", "a/b/../d3", 3), ("q4", "d4", 1), ("q5", "d9", 1),
    ("q5", "d1", 1),
)  # fmt: skip


def write_set(
    folder: Path,
    docs: Iterable[Doc] = DOCS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Mapping[str, Iterable[Qrel]] | None = None,
) -> Path:
    """A BEIR folder; `qrels` by split (None: `QRELS` as the split test, {}: no file)."""
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": name, "title": title, "text": text} for name, title, text in docs]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = [{"_id": name, "text": text} for name, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), "utf-8")
    for split, judged in ({"test": QRELS} if qrels is None else qrels).items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{doc}\t{grade}" for query, doc, grade in judged)]
        (folder / f"qrels/{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def write_memory(
    path: Path,
    *,
    missing: Mapping[str, Iterable[str]] | None = None,
    changed: Mapping[tuple[str, str], str] | None = None,
    langs: Sequence[str] = LANGS,
) -> Path:
    """A TSV of all translations; missing: texts that a language lacks; changed: (text, lang) -> another translation."""
    gone, other = {lang: set(texts) for lang, texts in (missing or {}).items()}, changed or {}
    rows = ["\t".join(("en", *langs))]
    for text in LINES:
        cells = ["" if text in gone.get(lang, ()) else other.get((text, lang), said(text, lang)) for lang in langs]
        rows.append("\t".join((text, *cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def options(source: Path, langs: Sequence[str], memory: Path, **more: Any) -> dict[str, Any]:
    """What the command line would hand to `build.compose`; `a__b=c` stands for the key a.b."""
    return {
        "source.src": f"beir:{source}", "source.lang": "en", "langs": list(langs), "engine.name": "memory", "engine.file": str(memory),
        **{key.replace("__", "."): value for key, value in more.items()},
    }  # fmt: skip


def make(
    folder: Path,
    source: Path,
    memory: Path,
    langs: Sequence[str] = ("hi", "ta"),
    settings: Sequence[str] = (),
    *,
    executor: str = "in-process",
    workers: int | None = None,
    **more: Any,
) -> Built:
    """Run the build in this process, as the command does; the release goes to folder/out, the store to folder/store."""
    recipe = build.compose(None, options(source, langs, memory, **more), settings)
    try:
        return build.run_build(recipe, folder / "out", folder / "store", executor, workers, run.Silent())
    finally:
        close_engines()


def command(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "dsbuild", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """The rows of the release's files that match a glob, read with pyarrow alone."""
    import pyarrow.parquet as pq

    return [row for path in sorted(folder.glob(pattern)) for row in pq.ParquetFile(path).read().to_pylist()]


def cli(*arguments: object) -> tuple[int, str, str]:
    """The command in this process: exit code, standard output, standard error."""
    from dsbuild.cli import main

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["dsbuild", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
        close_engines()
    return code, out.getvalue(), err.getvalue()


def translate(folder: Path, source: Path, memory: Path, *more: object, langs: str = "hi,ta") -> list[object]:
    """The arguments of a `translate` command with the release in folder/out and the store in folder/store."""
    return [
        "translate", "--src", f"beir:{source}", "--src-lang", "en", "--langs", langs, "--engine", "memory",
        "--set", f"engine.file={memory}", "--out", folder / "out", "--store", folder / "store", "--workers", 1, *more,
    ]  # fmt: skip
