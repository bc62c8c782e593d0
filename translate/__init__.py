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

# Models that score given translations (`dsbuild.scoring`): the section `scorer:` of a recipe.
SCORERS = Registry(
    "scorer",
    {
        "ctranslate2": "dsbuild.translate.ct2_scorer:CTranslate2Scorer",
        "mini": "dsbuild.translate.ct2_scorer:MiniScorer",
        "transformers": "dsbuild.translate.transformers_scorer:TransformersScorer",
    },
)
