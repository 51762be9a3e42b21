"""What the scores are called, by the metrics' families and by the network that judged.

Only an extractor whose card says ``inception`` gives FID, KID and IS; any other's scores bear names of their
own, so that no one takes them for Inception's. A score of fewer samples than the full protocol's is labelled
with their number.
"""

from __future__ import annotations

from collections.abc import Iterable

_INCEPTION = {
    "isc": ("inception_score", "inception_score_std"),
    "fid": ("fid",),
    "clean-fid": ("clean_fid",),
    "kid": ("kid", "kid_std"),
    "prc": ("precision", "recall", "density", "coverage"),
    "intra-fid": ("intra_fid",),
}
_OTHER = {
    **_INCEPTION,
    "isc": ("classifier_score", "classifier_score_std"),
    "fid": ("fcd",),
    "clean-fid": ("clean_fcd",),
    "kid": ("kcd", "kcd_std"),
    "intra-fid": ("intra_fcd",),
}


def names_of(family: str, *, inception: bool) -> tuple[str, ...]:
    """The scores of one family: ``fid`` gives fid, or fcd from another network than Inception."""
    return (_INCEPTION if inception else _OTHER)[family]


def score_names(families: Iterable[str], *, inception: bool) -> tuple[str, ...]:
    """The scores of all given families, in the one order that they are always told in."""
    wanted = set(families)
    return tuple(name for family in _INCEPTION if family in wanted for name in names_of(family, inception=inception))


def _label(n: int) -> str:
    return f"_{n // 1000}k" if n % 1000 == 0 else f"_{n}"


def labelled(name: str, n: int) -> str:
    """The name of a score of ``n`` samples: ``fid`` of 5,000 is ``fid_5k``, ``fcd`` of 900 is ``fcd_900``."""
    return name + _label(n)


def unlabelled(name: str, n: int) -> str:
    """The name without its label. Raises ValueError for one that is not of ``n`` samples."""
    if not name.endswith(_label(n)):
        raise ValueError(f"'{name}' is not the name of a score of {n} samples")
    return name.removesuffix(_label(n))
