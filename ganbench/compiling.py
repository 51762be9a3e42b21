"""torch.compile for a training step: G and D as compiled functions, with CUDA graphs where there is CUDA."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.flops import twin_of
from ganbench.stepper import Stepper, time_in_turn
from ganbench.together import compute_apart
from ganbench.train_step import Trainer

TRIAL_PAIRS = 5
"""Of blocks of steps, in :func:`faster_compiled`."""
WORTH = 1.03
"""How many times as fast compiled steps must be in the trial: less is noise."""


class CompileError(GanbenchError):
    """The networks could not be compiled."""


def compile_networks(trainer: Trainer) -> float:
    """Compile both networks in place and make them ready for their first step; returns the seconds that took.

    The weights, their names and the moving average stay as they are. Raises CompileError.
    """
    started = time.perf_counter()
    mode = "reduce-overhead" if trainer.device.type == "cuda" else "default"
    for network in (trainer.generator, trainer.discriminator):
        compute_apart(network)
        network.compile(mode=mode, dynamic=False)
    before: Any = copy.deepcopy(trainer.state())
    try:
        trainer.step(0, 0.0)
    except RuntimeError as error:  # of which every error of torch's compiler is one
        reason = str(error).strip().partition("\n")[0]
        raise CompileError(f"the networks could not be compiled ({reason}): use --no-compile") from error
    trainer.load(before)
    return time.perf_counter() - started


def faster_compiled(trainer: Trainer, say: Callable[[str], None]) -> bool:
    """Whether steps are faster compiled, by a short trial on copies of the trainer."""
    eager, compiled = twin_of(trainer), twin_of(trainer)
    try:
        compile_networks(compiled)
        seconds = time_in_turn([Stepper(eager), Stepper(compiled)], TRIAL_PAIRS)
    except (CompileError, RuntimeError) as error:
        say(f"not compiled: {str(error).strip().partition(chr(10))[0]}")
        return False
    ratio = statistics.median(plain / ours for plain, ours in zip(*seconds, strict=True))
    worth = bool(ratio >= WORTH)
    say(f"compiled steps are {ratio:.2f} times as fast in a trial: {'compiled' if worth else 'not compiled'}")
    return worth
