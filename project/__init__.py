"""Label projection: carry spans from a source text to its translation."""

from __future__ import annotations

from dsbuild.registry import Registry

# `--method NAME`: one class each; options are the arguments of its `__init__`, models (`engine`, `scorer`) are handed in by the builder.
PROJECTORS = Registry(
    "projection method",
    {
        "align": "dsbuild.project.align_projector:AlignProjector",
        "auto": "dsbuild.project.cascade:CascadeProjector",
        "candidates": "dsbuild.project.candidates:CandidateProjector",
        "constrained": "dsbuild.project.constrained:ConstrainedProjector",
        "fuzzy": "dsbuild.project.fuzzy:FuzzyProjector",
        "markers": "dsbuild.project.marker_projector:MarkerProjector",
    },
)
