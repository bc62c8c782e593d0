"""`croissant.json`: the release in Croissant 1.1, with what Croissant RAI asks and where it comes from in PROV-O.

Written from the specification, so that a release needs no library for it; mlcroissant checks it in the tests and in
`dsbuild card check --croissant`. The RAI vocabulary is still 1.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dsbuild.cards.answers import Answers
from dsbuild.cards.column_types import ColumnType, parse
from dsbuild.errors import ReleaseError

CROISSANT = "croissant.json"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

# Terms of the Croissant vocabulary that stand for themselves.
_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "odrl": "http://www.w3.org/ns/odrl/2/", "cc": "http://creativecommons.org/ns#", "dct": "http://purl.org/dc/terms/", "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo", "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"}, "examples": {"@id": "cr:examples", "@type": "@json"}, "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}  # fmt: skip
_TYPES = (("int", "sc:Integer"), ("bool", "sc:Boolean"), ("float", "sc:Float"), ("double", "sc:Float"))
# What a licence asks, as duties and prohibitions of an ODRL offer, in the terms of Creative Commons that ODRL's vocabulary lists.
_DUTIES = {"name the author": "cc:Attribution", "share alike": "cc:ShareAlike"}
_FORBIDDEN = {"no commercial use": "cc:CommercialUse", "no adaptations": "cc:DerivativeWorks"}
# What people say of the terms.
_TERMS_SAID = ("distribution.license", "distribution.third_party")
# Which answers of people say what RAI asks for.
_RAI = {
    "rai:dataUseCases": ("uses.others", "uses.used"),
    "rai:dataBiases": ("uses.effects", "composition.subpopulations"),
    "rai:personalSensitiveInformation": ("composition.identifiable", "composition.sensitive"),
    "rai:dataReleaseMaintenancePlan": ("maintenance.updates",),
    "rai:dataSocialImpact": ("collection.impact",),
    "rai:dataCollectionTimeframe": ("collection.timeframe",),
}


def croissant(
    facts: Mapping[str, Any], answers: Answers, manifest: Mapping[str, Any], sums: Mapping[str, tuple[int, str]]
) -> str:
    """The file's text; `sums` are size and sha256 of each file of a configuration, by path in the release."""
    if absent := sorted(
        path
        for about in manifest["configs"].values()
        for one in about["splits"].values()
        for path in one["files"]
        if path not in sums
    ):
        raise ReleaseError(f"{absent[0]}: its sha256 is not known, so it cannot stand in {CROISSANT}")
    release = facts.get("release") or {}
    rows = facts["licences"]["rows"]
    data = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": facts["name"],
        "description": _description(facts),
        "conformsTo": list(CONFORMS_TO),
        "version": facts["version"],
        "license": rows["url"] or rows["said"],
        "usageInfo": _usage(facts["licences"], answers),
        "url": facts["source"]["url"] or ".",
        "inLanguage": sorted(facts["languages"]),
        "keywords": ["dsbuild", facts["build"]],
        "isLiveDataset": False,
        **({"datePublished": release["date"]} if release.get("date") else {}),
        **({"citeAs": facts["source"]["citation"]} if facts["source"]["citation"] else {}),
        **({"creator": {"@type": "sc:Person", "name": answers["motivation.creators"]}} if "motivation.creators" in answers else {}),
        **_rai(facts, answers),
        **_provenance(facts),
        "distribution": [one for name, about in sorted(manifest["configs"].items()) for one in _files(name, about, sums)],
        "recordSet": [_records(one, manifest) for one in _first_splits(facts)],
    }  # fmt: skip
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _description(facts: Mapping[str, Any]) -> str:
    langs = ", ".join(sorted(facts["languages"]))
    done = {
        "translate": "translated",
        "translate-texts": "translated",
        "filter": "filtered",
        "split": "split",
        "contamination": "checked for overlap",
        "generate": "asked about",
        "mine": "searched for hard negatives",
        "prune": "pruned of easy negatives",
        "judge": "judged by a language model",
        "project": "with its labels carried over",
    }
    return f"{facts['source']['name']}, {done.get(facts['build'], 'worked on')} with dsbuild {facts['dsbuild']}: {facts['rows']} rows in {langs}."


def _usage(terms: Mapping[str, Any], answers: Answers) -> list[dict[str, Any]]:
    """The terms of the rows as Croissant 1.1 has use conditions; those of sources and models, and what people say, are told beside them."""
    found = [_offer(terms["rows"])]
    found += [_told(f"Licence of the source {name}", one) for name, one in terms["sources"].items()]
    found += [_told(f"Terms of the model {name}", one) for name, one in terms["models"].items()]
    if said := [answers[key] for key in _TERMS_SAID if key in answers]:
        found.append(
            {"@type": "CreativeWork", "name": "What its makers say of the terms", "description": "\n\n".join(said)}
        )
    return found


def _told(what: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    asks = "; ".join(terms["asks"]) or ("asks nothing" if terms["id"] else "what it asks is not known")
    return {
        "@type": "CreativeWork", "name": f"{what}: {terms['said']}", "description": " - ".join(part for part in (asks, terms.get("note")) if part),
        **({"url": terms["url"]} if terms["url"] else {}),
    }  # fmt: skip


def _offer(rows: Mapping[str, Any]) -> dict[str, Any]:
    """An ODRL offer only where the licence is a known one: of others nobody read more than the words."""
    told = _told("Licence of the rows", rows)
    if not rows["id"]:
        return told
    duties = [_rule("odrl:Duty", _DUTIES[one]) for one in rows["asks"] if one in _DUTIES]
    forbidden = [_rule("odrl:Prohibition", _FORBIDDEN[one]) for one in rows["asks"] if one in _FORBIDDEN]
    permission = {**_rule("odrl:Permission", "odrl:use"), **({"odrl:duty": duties} if duties else {})}
    return {
        **told, "@type": ["CreativeWork", "odrl:Offer"], "odrl:permission": permission,
        **({"odrl:prohibition": forbidden} if forbidden else {}),
    }  # fmt: skip


def _rule(kind: str, action: str) -> dict[str, Any]:
    return {"@type": kind, "odrl:action": {"@id": action}}


# What follows from who wrote the texts, by a word of `origins`.
_LIMITS = {
    "translated": "Texts are translations: scores on them differ from scores on native text.",
    "generated": "Texts were generated and no person read them: scores on them differ from scores on what people write.",
}


def _rai(facts: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
    """Computed statements, and what people said; a question without an answer has no entry."""
    counted = [
        f"{lang}: {number} texts {origin}"
        for lang, counts in facts["origins"].items()
        for origin, number in counts.items()
    ]
    found: dict[str, Any] = {
        "rai:dataCollection": "; ".join(counted) or "no texts",
        "rai:dataPreprocessingProtocol": [
            f"{stage['node']} (version {stage['version']}): {stage['counts']['n_in']} rows in, {stage['counts']['kept']} kept, "
            f"{stage['counts']['dropped']} dropped, {stage['counts']['failed']} failed"
            for stage in facts["stages"]
        ],
    }
    if facts["engines"]:
        found["rai:machineAnnotationTools"] = [
            f"{name} ({engine['license'] or 'terms unknown'}), fingerprint {engine['fingerprint']}"
            for name, engine in facts["engines"].items()
        ]
    if said := [
        _LIMITS[origin]
        for origin in _LIMITS
        if any(origin in one for counts in facts["origins"].values() for one in counts)
    ]:
        found["rai:dataLimitations"] = " ".join(said)
    if "uses.unfit" in answers:
        found["rai:dataLimitations"] = " ".join([found.get("rai:dataLimitations", ""), answers["uses.unfit"]]).strip()
    for name, keys in _RAI.items():
        if said := [answers[key] for key in keys if key in answers]:
            found[name] = "\n\n".join(said)
    return found


def _provenance(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the set was derived from, what made it, and who."""
    source = facts["source"]
    revision = f"@{source['revision']}" if source["revision"] else ""
    derived = [
        {
            "@type": "prov:Entity",
            "@id": f"urn:dsbuild:source:{source['name']}{revision}",
            "prov:label": source["name"],
            "sc:license": source["license"] or "unknown",
            "prov:value": [f"{file['name']} sha256:{file['sha256']}" for file in source["files"]],
        }
    ]
    if before := (facts.get("release") or {}).get("previous"):
        derived.append(
            {
                "@type": "prov:Entity",
                "@id": f"urn:dsbuild:release:{facts['name']}:{before['version']}",
                "prov:label": f"{facts['name']} {before['version']}, manifest sha256:{before['manifest_sha256']}",
            }
        )
    agents = [
        {
            "@type": "prov:SoftwareAgent",
            "@id": f"urn:dsbuild:software:{facts['dsbuild']}",
            "prov:label": f"dsbuild {facts['dsbuild']}",
        }
    ]
    agents += [
        {"@type": "prov:SoftwareAgent", "@id": f"urn:dsbuild:engine:{engine['fingerprint']}", "prov:label": name}
        for name, engine in facts["engines"].items()
    ]
    activity = {
        "@type": "prov:Activity",
        "@id": f"urn:dsbuild:build:{facts['name']}:{facts['version']}",
        "prov:label": " -> ".join(stage["node"] for stage in facts["stages"]),
        "prov:wasAssociatedWith": [{"@id": agent["@id"]} for agent in agents],
    }
    return {"prov:wasDerivedFrom": derived, "prov:wasGeneratedBy": activity, "prov:wasAttributedTo": agents}


def _files(config: str, about: Mapping[str, Any], sums: Mapping[str, tuple[int, str]]) -> list[dict[str, Any]]:
    """Each file with its digest, and the set of them that records are read from: by name, in the folder of `croissant.json`."""
    paths = sorted(path for one in about["splits"].values() for path in one["files"])
    objects = [
        {
            "@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "contentSize": f"{sums[path][0]} B",
            "encodingFormat": "application/x-parquet", "sha256": sums[path][1],
        }
        for path in paths
    ]  # fmt: skip
    together = {
        "@type": "cr:FileSet", "@id": f"{config}-files", "name": f"{config}-files", "encodingFormat": "application/x-parquet",
        "includes": f"{config}/*.parquet",
    }  # fmt: skip
    return [*objects, together]


def _first_splits(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One split of each configuration: all have the same columns."""
    return list({one["config"]: one for one in reversed(facts["splits"])}.values())[::-1]


def _records(one: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    config = one["config"]
    splits = manifest["configs"][config]["splits"]
    said = ", ".join(f"{split} ({about['rows']} rows)" for split, about in sorted(splits.items()))
    source = {"fileSet": {"@id": f"{config}-files"}}
    return {
        "@type": "cr:RecordSet", "@id": config, "name": config, "description": f"{one['table']} in {one['lang']}; splits: {said}.",
        "field": [
            _field(f"{config}/{name}", name, parse(kind), {**source, "extract": {"column": name}}) for name, kind in one["columns"]
        ],
    }  # fmt: skip


def _field(at: str, name: str, kind: ColumnType, source: Mapping[str, Any]) -> dict[str, Any]:
    """A column: of a list an array without a bound, of structs a field of fields, each by its path in the column's values."""
    held = kind.items or kind
    field: dict[str, Any] = {"@type": "cr:Field", "@id": at, "name": name}
    if kind.items is not None:
        field |= {"isArray": True, "arrayShape": "-1"}
    if not held.parts:
        return {**field, "dataType": _data_type(held.plain), "source": source}
    parts = [
        _field(f"{at}/{part}", part, inner, {**source, "transform": {"jsonPath": part}}) for part, inner in held.parts
    ]
    return {**field, "subField": parts}


def _data_type(kind: str) -> str:
    return next((found for part, found in _TYPES if kind.startswith(part) or kind.startswith(f"u{part}")), "sc:Text")
