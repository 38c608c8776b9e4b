"""Which version of Footfall this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """As in `footfall --version`; "unknown" where it runs from a source tree that is not installed."""
    try:
        return version("footfall")
    except PackageNotFoundError:
        return "unknown"
