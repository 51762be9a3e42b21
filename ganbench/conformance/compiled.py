"""The check under torch.compile."""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from pathlib import Path

import torch

from ganbench.conformance.cases import Subject, agree, call, twice
from ganbench.conformance.report import Broken, Check, Skipped, expecting


def no_compiler() -> str | None:
    """Why torch.compile cannot work on this machine's CPU; None where it should."""
    candidates = (os.environ.get("CXX", "g++"), "g++", "clang++")
    if not any(shutil.which(name) for name in candidates):
        return "no C++ compiler (g++ or clang++)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "no Python.h: install the interpreter's development headers"
    return None


def _compiles(subject: Subject) -> None:
    """One small case: compiling takes seconds."""
    if reason := no_compiler():
        raise Skipped(reason)
    case = subject.usable[0] if subject.usable else subject.largest
    module, copied, inputs = twice(case, False)
    expected = call(module, inputs)
    with warnings.catch_warnings(), expecting(f"a compiled forward and backward pass at {case.label}"):
        warnings.simplefilter("ignore")  # of what the compiler thinks of the machine
        leaf = inputs[0].detach().requires_grad_()
        try:
            out = call(torch.compile(copied), (leaf, *inputs[1:]))
            out.sum().backward()  # type: ignore[no-untyped-call]
        finally:
            torch.compiler.reset()
    if not agree(out, expected):
        raise Broken(
            f"the output of the module that is not compiled, at {case.label}",
            f"a difference of {(out - expected).abs().max():.3g}",
            "control flow on the values of a tensor, or state that is changed in forward",
        )


COMPILES: Check[Subject] = Check("torch.compile", _compiles)
