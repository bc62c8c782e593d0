"""What the wheel holds is what the tree holds."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_of_the_tree_is_in_the_table() -> None:
    found = [*ROOT.glob("*/__init__.py"), *ROOT.glob("*/*/__init__.py")]
    folders = {path.parent.relative_to(ROOT) for path in found}
    rooms = {
        folder
        for folder in folders
        if folder.parts[0] in ("dsbuild", "builders", "translate", "project", "filters", "cards")
    }
    tree = {folder.as_posix() for folder in rooms if folder.parts[0] != "dsbuild" or len(folder.parts) == 1}
    table = CONFIG["tool"]["setuptools"]["package-dir"]
    assert set(table.values()) == tree
    assert set(table) == set(CONFIG["tool"]["setuptools"]["packages"])


def test_links_point_at_the_rooms() -> None:
    for room in ("builders", "translate", "project", "filters", "cards"):
        link = ROOT / "dsbuild" / room
        assert link.resolve() == ROOT / room
        assert not link.readlink().is_absolute()


def test_every_data_file_is_packaged() -> None:
    data = CONFIG["tool"]["setuptools"]["package-data"]
    for package, folder in CONFIG["tool"]["setuptools"]["package-dir"].items():
        patterns = data.get(package, [])
        for path in (ROOT / folder).iterdir():
            if (
                path.is_file()
                and path.suffix not in (".py", ".pyc")
                and not path.is_symlink()
                and path.name != ".gitignore"
            ):
                assert any(path.match(pattern) for pattern in patterns), (
                    f"{path.relative_to(ROOT)} is in no package-data pattern"
                )


def test_files_stay_small_enough_to_read() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for folder in CONFIG["tool"]["setuptools"]["package-dir"].values()
        for path in (ROOT / folder).glob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    ]
    assert not long


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = "pyarrow numpy duckdb datasets ctranslate2 torch transformers fasttext numba pandas pydantic huggingface_hub".split()
    code = f"import sys, dsbuild.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_listing_engines_loads_no_model_library() -> None:
    code = (
        "import sys; from dsbuild.builders.installation import kinds, listing\n"
        "for kind in kinds(): assert listing(kind['name'])\n"
        "print([name for name in ('ctranslate2', 'torch', 'transformers', 'fasttext', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
