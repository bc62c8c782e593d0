"""Translation: segments, protected items, engines, memory. Engines are loaded when they are asked for."""

from __future__ import annotations

from dsbuild.registry import Registry

ENGINES = Registry(
    "engine",
    {
        "apertium": "dsbuild.translate.apertium:ApertiumEngine",
        "ctranslate2": "dsbuild.translate.ctranslate2:CTranslate2Engine",
        "llm": "dsbuild.translate.llm:LLMEngine",
        "memory": "dsbuild.translate.memory:MemoryEngine",
        "mini": "dsbuild.translate.mini_engine:MiniEngine",
    },
)
