"""`python -m dsbuild`."""

from dsbuild.cli import main

main()
