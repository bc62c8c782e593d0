"""The data card: README.md with the Hub's metadata and a body whose numbers all come from the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from dsbuild.cards import licences
from dsbuild.recipe import to_yaml

if TYPE_CHECKING:
    from dsbuild.release import Written

# Hub licence ids of the licences that sources and models come with; others become `other` with their name.
_HUB_LICENSES = {
    "apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-2.0", "cc-by-3.0", "cc-by-sa-3.0", "cc0-1.0",
    "gpl-3.0", "unknown",
}  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
          (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip

_TEMPLATES = {
    "translate": "card.md.jinja", "translate-texts": "card.md.jinja", "filter": "filtered.md.jinja", "split": "split.md.jinja", "contamination": "contamination.md.jinja",
    "mine": "retrieval.md.jinja", "prune": "retrieval.md.jinja", "generate": "retrieval.md.jinja", "project": "projected.md.jinja",
}  # fmt: skip
_ORIGINS = {"machine": "machine translations", "human": "human translations"}


def render_card(manifest: Mapping[str, Any], written: Sequence[Written]) -> dict[str, str]:
    """The text files of a release by name: README.md and recipe.yaml.

    The metadata block is built with `datasets` and `huggingface_hub`, so that it is valid for the Hub and
    `load_dataset` finds every configuration and split.
    """
    from huggingface_hub import DatasetCard

    data = _metadata(manifest, written)
    body = render_body(manifest, _sizes(written))
    card = DatasetCard(f"---\n{data.to_yaml()}\n---\n{body}")
    return {"README.md": str(card).rstrip("\n") + "\n", "recipe.yaml": to_yaml(manifest["recipe"])}


def render_body(manifest: Mapping[str, Any], sizes: Sequence[Mapping[str, Any]]) -> str:
    """The README below its metadata; sizes: config, split, rows and size_bytes of each split."""
    template = _environment().get_template(_TEMPLATES[manifest["recipe"]["build"]])
    body: str = template.render(m=manifest, sizes=sizes, license=row_license(manifest), origins=origins(manifest))
    return body


def row_license(manifest: Mapping[str, Any]) -> str:
    """The licence that the release's rows carry: the user's word, else what follows from the licences of its texts."""
    texts = licences.of_texts(manifest["source"], manifest["engines"])
    return licences.of_rows(texts, manifest["recipe"].get("release", {}).get("license"))


def origins(manifest: Mapping[str, Any]) -> list[str]:
    """What the translations are, by whom their engines say that they were made; in the order of the engines."""
    said = (
        _ORIGINS.get(engine["origin"], "translations of unstated origin") for engine in manifest["engines"].values()
    )
    return list(dict.fromkeys(said))


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.files("dsbuild.cards").joinpath(name).read_text("utf-8")),
        autoescape=False, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = cell
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment


def cell(value: object) -> str:
    """A value as the text of a Markdown table cell: one line, nothing in it is Markdown or HTML."""
    text = " ".join(str(value).split())
    # An underscore inside a word is plain text; everything else that could begin markup becomes a character reference.
    return re.sub(r"[\\`*\[\]<>|#{}&~]|(?<![^\W_])_|_(?![^\W_])", lambda found: f"&#{ord(found.group())};", text)


def stated(manifest: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """What the metadata says of the whole release: language, license (with license_name where the Hub has no id for it), size_categories."""
    license_name = row_license(manifest)
    known = license_name.lower() in _HUB_LICENSES
    codes = [
        part
        for lang in manifest["languages"]
        for part in ([_hub_language(lang)] if manifest["engines"] else lang.split("-"))
    ]
    return {
        "language": [code for code in dict.fromkeys(codes) if code.islower() and code not in ("und", "mul")],
        "license": license_name.lower() if known else "other",
        **({} if known else {"license_name": license_name}),
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>1T")],
    }


def _hub_language(code: str) -> str:
    """The Hub takes ISO 639 codes: the language part of BCP-47 is one."""
    return code.split("-")[0]


def _sizes(written: Sequence[Written]) -> list[dict[str, Any]]:
    rows = []
    for one in written:
        if one.part.config:
            size = sum(facts.size_bytes for facts in one.files.values())
            rows.append(
                {"config": one.part.config, "split": one.part.split, "rows": one.part.n_rows, "size_bytes": size}
            )
    return rows


def _metadata(manifest: Mapping[str, Any], written: Sequence[Written]) -> Any:
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from datasets.splits import SplitDict, SplitInfo
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    total = sum(one.part.n_rows for one in written if one.part.config)
    translated = bool(manifest["engines"])
    said = stated(manifest, total)
    data = DatasetCardData(
        language=said["language"],
        license=said["license"],
        pretty_name=manifest["recipe"].get("release", {}).get("pretty_name") or manifest["name"],
        size_categories=said["size_categories"],
        task_categories=["text-retrieval"] if {one.part.table for one in written} & {"corpus", "qrels"} else None,
        multilinguality=["translation"] if translated else None,
        language_creators=[*(["machine-generated"] if _ORIGINS["machine"] in origins(manifest) else []), "found"],
        annotations_creators=["found"],
        source_datasets=["extended"],
        tags=["dsbuild", "text"],
    )
    if "license_name" in said:
        # A field of the Hub's metadata that the class has no argument for.
        vars(data)["license_name"] = said["license_name"]
    infos: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    for one in written:
        name = one.part.config
        if not name:
            continue
        info = infos.setdefault(
            name,
            DatasetInfo(
                features=Features.from_arrow_schema(one.part.schema),
                config_name=name,
                splits=SplitDict(),
                download_size=0,
                dataset_size=0,
            ),
        )
        info.splits.add(SplitInfo(one.part.split, num_bytes=one.nbytes, num_examples=one.part.n_rows))
        info.download_size += sum(facts.size_bytes for facts in one.files.values())
        info.dataset_size += one.nbytes
        configs.setdefault(name, {"data_files": []})["data_files"].append(
            {"split": one.part.split, "path": f"{one.part.folder}/{one.part.split}-*.parquet"}
        )
    DatasetInfosDict(infos).to_dataset_card_data(data)
    MetadataConfigs(configs).to_dataset_card_data(data)
    return data
