"""A conversation as the text that a model was trained on: by the chat template of its own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsbuild.chat_protocol import as_text, without_system
from dsbuild.errors import EngineError
from dsbuild.language_model import Message

# What ends a turn in the templates of known families, where it is not the model's own end of text.
_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|END_OF_TURN_TOKEN|>")


class ChatTemplate:
    """The template in a model's folder (`chat_template.jinja`, or in `tokenizer_config.json`), run in a sandbox; without one, plain text.

    Messages must hold no border of the template: `prompts.as_data` sees to it.
    """

    def __init__(self, folder: Path) -> None:
        self._config = json_of(folder / "tokenizer_config.json")
        beside = folder / "chat_template.jinja"
        written: Any = beside.read_text("utf-8") if beside.is_file() else self._config.get("chat_template")
        if isinstance(written, list):
            named = {one.get("name"): one.get("template") for one in written}
            written = named.get("default") or next(iter(named.values()), "")
        self._written: str = written or ""
        self._folder = folder
        self._template: Any = None

    def __bool__(self) -> bool:
        return bool(self._written)

    @property
    def turn_ends(self) -> tuple[str, ...]:
        """The tokens of the template that end an answer."""
        return tuple(token for token in _TURN_ENDS if token in self._written)

    def token(self, name: str) -> str:
        """A special token of the tokenizer, such as `bos_token`; "" for none."""
        said = self._config.get(name) or ""
        return str(said.get("content", "")) if isinstance(said, dict) else str(said)

    def setting(self, name: str) -> Any:
        """A setting of the tokenizer, None where it says nothing."""
        return self._config.get(name)

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation, and the beginning of the answer. A template that knows no system message gets it within the first question."""
        if not self._written:
            return as_text(messages)
        from jinja2 import TemplateError

        try:
            return self._filled(messages)
        except TemplateError:
            try:
                return self._filled(without_system(messages))
            except TemplateError as error:
                raise EngineError(f"{self._folder}: the chat template cannot be filled ({error})") from None

    def _filled(self, messages: Sequence[Message]) -> str:
        if self._template is None:
            from jinja2.sandbox import ImmutableSandboxedEnvironment

            room = ImmutableSandboxedEnvironment(
                trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
            )
            room.globals["raise_exception"] = _refuse
            room.filters["tojson"] = _tojson
            self._template = room.from_string(self._written)
        said = [{"role": one.role, "content": one.text} for one in messages]
        tokens = {name: self.token(name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
        return str(self._template.render(messages=said, add_generation_prompt=True, **tokens))


def _refuse(why: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(why)


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def json_of(path: Path) -> dict[str, Any]:
    """A file of settings, {} where there is none; `EngineError` for one that is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: cannot be read as JSON ({error})") from None
    return found if isinstance(found, dict) else {}
