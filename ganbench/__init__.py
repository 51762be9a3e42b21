"""A pluggable benchmark harness for generative adversarial networks.

Plug-ins import :mod:`ganbench.api`; everything else is the harness's own.
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Look the version up when asked: importlib.metadata costs more than the rest of the import."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ganbench")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
