"""What this installation has: names that recipes may use, known models, and whether packages and tools are there."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Any

from dsbuild import languages
from dsbuild.errors import UnknownName
from dsbuild.registry import Registry

_KINDS = {
    "engines": "what translates: --engine of translate and project",
    "sources": "what is read: --src KIND:PATH",
    "filters": "what scores and drops rows: --set filters=[…] of filter",
    "retrievers": "first stages: --retriever of mine, prune, evaluate and generate judge",
    "rules": "how negatives are chosen: --rule of mine and evaluate negatives",
    "views": "layouts of other libraries: --to of export",
    "methods": "how labels are carried: --method of project",
    "labelled": "formats of labelled sets: --src and --write of project",
    "styles": "how queries, questions and pairs are asked for: --style of generate",
    "models": "kinds of language models: --engine of generate (models of translation: dsbuild models list)",
    "recipes": "named recipes: dsbuild run NAME, --recipe NAME",
    "languages": "codes: --langs, --lang",
}


def kinds() -> list[dict[str, str]]:
    """The kinds of names that `listing` knows, with where they are used."""
    return [{"name": name, "about": about} for name, about in _KINDS.items()]


def listing(kind: str) -> list[dict[str, str]]:
    """The names of one kind with what each is; nothing behind a name is imported, its docstring is read."""
    from dsbuild.builders import EXPORTS, LABELLED, RETRIEVERS, RULES, SOURCES, TASKS, recipes
    from dsbuild.filters import ABOUT, FILTERS
    from dsbuild.llm import LANGUAGE_MODELS
    from dsbuild.project import PROJECTORS
    from dsbuild.translate import ENGINES

    registries: dict[str, Registry] = {
        "engines": ENGINES, "sources": SOURCES, "filters": FILTERS, "retrievers": RETRIEVERS, "rules": RULES,
        "views": EXPORTS, "methods": PROJECTORS, "labelled": LABELLED, "styles": TASKS, "models": LANGUAGE_MODELS,
    }  # fmt: skip
    if kind == "languages":
        return [
            {"name": code, "about": f"{languages.get(code).name} ({languages.get(code).script})"}
            for code in languages.codes()
        ]
    if kind == "recipes":
        return [{"name": name, "about": about} for name, about in recipes.named().items()]
    if kind not in registries:
        raise UnknownName("kind of names", kind, _KINDS)
    registry = registries[kind]
    if kind == "styles":
        return _styles()
    if kind == "filters":
        return [{"name": name, "about": ABOUT.get(name) or _about(registry.target(name))} for name in registry.names()]
    return [{"name": name, "about": _about(registry.target(name))} for name in registry.names()]


def _styles() -> list[dict[str, str]]:
    """The styles that a command can name: what only comes before another step is none of them."""
    from dsbuild.builders import TASKS
    from dsbuild.builders.generation import salient

    found = {name: _about(TASKS.target(name)) for name in TASKS.names() if not name.startswith("steps/")}
    for name, style in salient.STYLES.items():
        about = _about(f"{style.__module__}:{style.__name__}")
        found[f"queries/{name}"] = f"Without a model: {about[:1].lower()}{about[1:]}"
    return [{"name": name, "about": about} for name, about in sorted(found.items())]


def _about(target: str) -> str:
    """The first paragraph of the docstring behind "module:Object", read from the source: importing it would load Arrow and more."""
    module, _, name = target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    return ""


def model_list(folder: str) -> list[dict[str, Any]]:
    """The known models and the stored ones, with where they are."""
    from dsbuild.translate import models

    here = {one.id: one for one in models.stored(folder)}
    rows: list[dict[str, Any]] = [
        {
            "name": one.id, "family": one.family, "license": one.license, "size_gb": one.size_gb,
            "languages": one.languages if isinstance(one.languages, str) else ", ".join(one.languages),
            "here": str(here[one.id].path) if one.id in here else "",
        }
        for one in models.known()
    ]  # fmt: skip
    listed = {row["name"] for row in rows}
    rows += [
        {"name": one.id, "family": one.family, "license": one.license, "size_gb": round(one.size_bytes / 1e9, 2),
         "languages": "", "here": str(one.path)}
        for one in here.values() if one.id not in listed
    ]  # fmt: skip
    return [
        {
            "name": "mini",
            "family": "m2m100",
            "license": "CC-BY-SA-3.0",
            "size_gb": 0.01,
            "languages": "en -> hi, mr, ta",
            "here": "in the package",
        },
        *rows,
    ]


def model_card(name: str, folder: str) -> dict[str, Any]:
    """Facts of one model; for the shipped one its card."""
    if name == "mini":
        from dsbuild.translate.mini_engine import card

        return {"id": "mini", "card": card()}
    from dsbuild.translate import models

    found = models.show(name, folder)
    return {**found.facts, **({"to do": found.todo} if found.todo else {})}


def doctor() -> list[dict[str, str]]:
    """What of this installation works: packages, extras, tools, devices."""
    rows = [{"what": "python", "state": "ok", "detail": platform.python_version()}]
    for module in ("ctranslate2", "sentencepiece", "fasttext", "duckdb", "datasets"):
        found = importlib.util.find_spec(module) is not None
        rows.append(
            {
                "what": module,
                "state": "ok" if found else "missing",
                "detail": "" if found else "pip install --force-reinstall dsbuild",
            }
        )
    for module, extra, use in (
        ("transformers", "convert", "dsbuild models convert"), ("datatrove", "scale", "--executor datatrove"),
        ("ir_datasets", "irds", "--src irds:ID"), ("mlcroissant", "release", "dsbuild card check --croissant"),
    ):  # fmt: skip
        found = importlib.util.find_spec(module) is not None
        rows.append(
            {
                "what": module,
                "state": "ok" if found else "not installed",
                "detail": use if found else f"for {use}: pip install 'dsbuild[{extra}]'",
            }
        )
    apertium = shutil.which("apertium")
    detail = "engine apertium" if apertium else "for engine apertium: apt-get install apertium apertium-eng-spa"
    rows.append({"what": "apertium", "state": "ok" if apertium else "not installed", "detail": detail})
    gpus = 0
    # A doctor that needs the patient well is no use: a broken CTranslate2 is told of above.
    with contextlib.suppress(ImportError):
        import ctranslate2

        gpus = ctranslate2.get_cuda_device_count()
    rows.append(
        {
            "what": "cuda",
            "state": "ok" if gpus else "none",
            "detail": f"{gpus} device(s)" if gpus else "models run on the CPU",
        }
    )
    return rows
