"""dsbuild: build and curate multilingual training and evaluation sets."""

__version__ = "0.1.0"

__all__ = ["__version__"]
