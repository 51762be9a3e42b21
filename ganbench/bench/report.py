"""What ``ganbench bench`` says of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ganbench.bench.measure import measure_form, quartiles
from ganbench.bench.peaks import peak_flops
from ganbench.bench.subject import own_trainer, plain_trainer
from ganbench.compiling import compile_networks
from ganbench.environment import device_name
from ganbench.errors import UsageError
from ganbench.flops import count_step
from ganbench.precision import check_precision
from ganbench.registry import Entry
from ganbench.spec import RunSpec
from ganbench.stepper import Stepper, time_in_turn


def bench(
    spec: RunSpec,
    entries: Mapping[str, Entry],
    device: torch.device,
    *,
    compiled: bool,
    against_plain: bool,
    pairs: int,
) -> dict[str, Any]:
    """Measure the training step of a spec, and the plain form of it where that is asked for.

    Raises UsageError where the device lacks the precision, or for a spec of several ranks.
    """
    if spec.world > 1:
        raise UsageError("bench times the step of one process: leave out --gpus")
    check_precision(spec.precision, device)
    own = own_trainer(spec, entries, device)
    flops = count_step(own)
    compile_seconds = compile_networks(own) if compiled else None
    steppers = [Stepper(own)]
    if against_plain:
        steppers.append(Stepper(plain_trainer(spec, entries, device)))
    seconds = time_in_turn(steppers, pairs)
    images = spec.n_dis * spec.batch
    forms = [
        measure_form(stepper, taken).describe(images, flops) for stepper, taken in zip(steppers, seconds, strict=True)
    ]
    peak = peak_flops(device_name(device), spec.precision)
    report: dict[str, Any] = {
        "model": spec.model,
        "resolution": spec.resolution,
        "batch": spec.batch,
        "n_dis": spec.n_dis,
        "precision": spec.precision,
        "compiled": compiled,
        "compile_seconds": compile_seconds,
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "flops_per_step": flops,
        **forms[0],
        "share_of_peak": None if peak is None else forms[0]["flops_per_second"] / peak,
        "pairs": pairs,
    }
    if against_plain:
        low, median, high = quartiles([plain / ours for ours, plain in zip(*seconds, strict=True)])
        report |= {"ratio": median, "ratio_spread": [low, high], "plain": forms[1]}
    return report
