"""Install a wheel in a new environment outside the checkout and use it: what users get is the wheel, not the tree."""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

wheel = Path(sys.argv[1]).resolve()
names = zipfile.ZipFile(wheel).namelist()
tops = {name.split("/")[0] for name in names}
assert all(top == "dsbuild" or top.startswith("dsbuild-") for top in tops), f"stray top-level names: {tops}"
root = Path(__file__).resolve().parent.parent
for room in ("dsbuild", "builders", "translate", "project", "filters", "cards"):
    for path in (root / room).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            needed = path.relative_to(root / "dsbuild" if room == "dsbuild" else root).as_posix()
            assert f"dsbuild/{needed}" in names, f"the wheel lacks {needed}"
with tempfile.TemporaryDirectory() as folder:
    venv.create(folder, with_pip=True)
    python = Path(folder) / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True, cwd=folder
    )
    packages = "import dsbuild, dsbuild.builders, dsbuild.translate, dsbuild.project, dsbuild.filters, dsbuild.cards"
    subprocess.run([python, "-c", packages], check=True, cwd=folder)
    without_torch = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
    subprocess.run([python, "-c", without_torch], check=True, cwd=folder)
    dsbuild = Path(folder) / "bin" / "dsbuild"
    subprocess.run([dsbuild, "list", "engines"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    sample = ["--src", "msmarco-sample", "--langs", "hi", "--engine", "mini", "--limit", "20", "--out", "out"]
    subprocess.run([dsbuild, "translate", *sample], check=True, cwd=folder, stdout=subprocess.DEVNULL)
print(f"{wheel.name}: installs, imports and runs without torch")
