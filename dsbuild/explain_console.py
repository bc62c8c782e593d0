"""What people see of one row's story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from dsbuild.console import new_console


def print_explain(found: Mapping[str, Any]) -> None:
    """Per language and table: the row, where it came from, and every stage that left something on it."""
    console = new_console()
    for entry in found["rows"]:
        where = f" (split {entry['split']})" if entry["split"] else ""
        head = f"{entry['lang']}-{entry['table']} {found['id']}: {entry['fate']}{where}"
        console.print(Text(head), style="bold", highlight=False)
        told = {name for stage in entry["stages"] for name in stage.get("scores", ())}
        lines = [f"{name}: {value}" for name, value in entry["row"].items() if name not in told]
        if entry["source"] is not None:
            lines += [
                f"source {name}: {entry['source'][name]}" for name in ("title", "text") if entry["source"].get(name)
            ]
        if parent := entry["parent"]:
            lines.append(f"made from {parent['config']} {parent['doc_id']}: {parent['text']}")
        for stage in entry["stages"]:
            lines += _stage(stage, entry["segments"])
        lines += _ending(entry)
        for line in lines:
            console.print(Text(f"  {line}"), highlight=False)


def _stage(stage: Mapping[str, Any], segments: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    if stage["stage"] == "translate":
        model = stage["model"]
        lines.append(f"model: {model['engine']} {model['digest']}, rung {model['rung']}")
        lines += [f"{name}: {value}" for name, value in model["fingerprint"].items()]
        lines += [f"prompt | {line}" for line in (model.get("prompt") or "").splitlines()]
        for one in segments:
            lines += [f"[{one['field']} {one['segment']}] {one['source']}", f"  -> {one['translation']}"]
    elif stage["stage"] == "mend":
        lines += [f"{name} came as: {text}" for name, text in stage.get("input", {}).items()]
    elif stage["stage"] in ("identify", "apply_splits"):
        lines += [f"{name}: {value}" for name, value in stage.get("output", {}).items()]
    scores = stage.get("scores", {})
    lines += [f"{name}: {_value(value)}" for name, value in scores.items() if value not in (None, "")]
    if silent := [name for name, value in scores.items() if value is None]:
        lines.append(f"says nothing: {', '.join(silent)}")
    verdicts = [
        f"{one['stage']}: {one['outcome']} by {one['rule']}{_comparison(one)}{_detail(one)}"
        for one in stage.get("verdicts", ())
        if one["rule"] != "mojibake"
    ]
    if not lines and not verdicts:
        return []
    version = "" if stage["version"] is None else f" (version {stage['version']}, keys {stage['keys'][:12]})"
    return [
        f"{stage['node'] or stage['stage']}{version}",
        *(f"  {line}" for line in lines),
        *(f"  {line}" for line in verdicts),
    ]


def _span(one: Mapping[str, Any]) -> str:
    sure = "" if one["confidence"] is None else f" {one['confidence']:.3f}"
    why = f" ({one['reason']})" if one["reason"] else ""
    return f"{one['span_id']} {one['label']} {one['src_text']!r} -> {one['tgt_text']!r}: {one['outcome']}{why} by {one['method']}{sure}"


def _ending(entry: Mapping[str, Any]) -> list[str]:
    lines = [f"span {_span(one)}" for one in entry["spans"]]
    lines += [
        f"evidence: {one['set']} {one['item']}: {one['kind']} of {_value(one['coverage'])} in {one['field']} at {one['start']}-{one['end']}"
        for one in entry["evidence"]
    ]
    if entry["absorbed"]:
        lines.append(f"stands for its duplicates {', '.join(entry['absorbed'])}")
    judged = entry["judgements"]
    if judged.get("kept") or judged.get("lost"):
        lines.append(f"judgements: {judged['kept']:,} kept, {judged['lost']:,} lost or merged")
        lines += [
            f"  {one['query_id']} {one['doc_id']}: {one['outcome']} by {one['rule']}" for one in judged["lost_rows"]
        ]
    return lines


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _comparison(verdict: Mapping[str, Any]) -> str:
    if verdict["threshold"] is None:
        return ""
    return (
        f" ({_value(verdict['value'])} {verdict['op']} {_value(verdict['threshold'])}, {verdict['threshold_source']})"
    )


def _detail(verdict: Mapping[str, Any]) -> str:
    return f": {verdict['detail']}" if verdict["detail"] else ""
