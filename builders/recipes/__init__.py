"""The named recipes: YAML files beside this one."""

from __future__ import annotations

from pathlib import Path

from dsbuild.errors import RecipeError, UnknownName

_FOLDER = Path(__file__).parent


def named() -> dict[str, str]:
    """Every named recipe with what it makes (the comment on its first line)."""
    return {path.stem: path.read_text("utf-8").splitlines()[0].lstrip("# ") for path in sorted(_FOLDER.glob("*.yaml"))}


def find(recipe: Path) -> Path:
    """A recipe file, or the file of a named recipe."""
    if recipe.is_file():
        return recipe
    if recipe.suffix in (".yaml", ".yml") or len(recipe.parts) > 1:
        raise RecipeError(f"{recipe}: no such file")
    path = _FOLDER / f"{recipe.name}.yaml"
    if not path.is_file():
        raise UnknownName("recipe file or named recipe", str(recipe), named())
    return path
