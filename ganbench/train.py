"""The training loop: steps until the budget is spent, with scores, checkpoints and records on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ganbench import ranks
from ganbench.budget import Counters
from ganbench.checkpoint import KEPT, Checkpoints, CheckpointWriter, snapshot
from ganbench.errors import INTERRUPTED, GanbenchError
from ganbench.evaluate.evaluator import Evaluation, Evaluator
from ganbench.evaluate.names import labelled
from ganbench.flops import count_step
from ganbench.lease import told
from ganbench.progress import Progress, Status
from ganbench.samples import write_grid
from ganbench.store import JSONLines, RunFolder, UnwrittenLines
from ganbench.train_step import Trainer

LOG_EVERY = 20
"""Steps between two rows of losses; only then is a loss read from the device."""
CHECKPOINT_SECONDS = 30.0
"""At most this much training is lost by a kill."""


class Interrupted(GanbenchError):
    """The run was told to stop; it has a checkpoint of its last step."""

    exit_code = INTERRUPTED
    alike = True


class StopFlag:
    """Set by the first SIGINT, SIGTERM or SIGHUP (unless nohup has it ignored); a second SIGINT ends at once."""

    def __init__(self) -> None:
        self.requested = False
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Catch the signals inside the block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        kinds = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            kinds.append(signal.SIGHUP)
        before = {kind: signal.signal(kind, self._request) for kind in kinds}
        try:
            yield self
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)

    def _request(self, which: int, _: object) -> None:
        self.requested = True
        if which == signal.SIGHUP:  # writing to a terminal that is gone is an error, and would end the run unsaved
            with Path(os.devnull).open("wb") as nowhere:
                for terminal in self._terminals:
                    os.dup2(nowhere.fileno(), terminal)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class TrainingRun:
    """One run from its checkpoint, or from nothing, to the end of its budget.

    All its ranks go through it together; rank 0 alone reads and writes the folder.
    """

    def __init__(
        self,
        trainer: Trainer,
        evaluator: Evaluator,
        folder: RunFolder,
        progress: Progress,
        compiled: bool | None = False,
    ) -> None:
        """``compiled`` None: a trial decides on CUDA, elsewhere not compiled. A run that goes on stays what it was."""
        self.spec = trainer.spec
        self.trainer, self.evaluator, self.folder, self.progress = trainer, evaluator, folder, progress
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.counters = Counters()
        self.best: dict[str, Any] = {}
        """Step and selection score of the best evaluation so far."""
        self.untrained: dict[str, Any] = {}
        """Scores and facts of the evaluation before the first step."""
        self.evaluation_seconds = 0.0
        self.checkpoint_seconds = 0.0
        """For which training stood still while its state was copied or an earlier one still being written."""
        self.compiled = compiled
        self.compile_seconds = 0.0
        """This process's, the trial among them."""
        self.flops_per_step = count_step(trainer) * ranks.world()
        self._records, self._writer = ExitStack(), CheckpointWriter()
        self._poison = torch.zeros((), device=trainer.device)
        self._score = ""
        self._saved_at = time.monotonic()

    @property
    def step(self) -> int:
        """Steps done."""
        return self.counters.g_steps

    def _resume(self) -> None:
        """Restore the newest whole checkpoint; else begin anew."""
        state = ranks.by_first(self._newest)
        if not ranks.leads():
            self._record_in(UnwrittenLines(), UnwrittenLines())
        if state is None:
            first = self._evaluate()
            self.untrained = {"scores": first.values, "facts": first.facts()}
            return
        self.trainer.load(state["trainer"])
        self.counters = Counters(**state["counters"])
        self.best, self.untrained = state["best"], state["untrained"]
        self.evaluation_seconds = state["evaluation_seconds"]
        self.checkpoint_seconds = state.get("checkpoint_seconds", 0.0)
        self.compiled = state.get("compiled", False)
        self.trainer.batches.waited_seconds = state["data_wait_seconds"]

    def _newest(self) -> dict[str, Any] | None:
        """The newest undamaged checkpoint whose records are still there, with these opened behind what it knows.

        Those that are passed over go: they would be kept for newer than the ones that are made from now on.
        """
        self.folder.sweep()
        for path in reversed(self.checkpoints.paths("step")):
            state = self.checkpoints.load(path)
            if state is None:
                self.progress.say(f"checkpoint {told(path)} is damaged (its sha256 differs): using the one before it")
                self.checkpoints.discard(path)
                continue
            metrics = JSONLines(self.folder.metrics, state["metrics"]["size"])
            if metrics.sync() != state["metrics"]["sha256"]:
                metrics.close()
                self.progress.say(f"{told(self.folder.metrics)} lacks rows that {path.name} knows: going further back")
                self.checkpoints.discard(path)
                continue
            self._record_in(metrics, JSONLines(self.folder.timing, state["timing"]))
            self.progress.say(f"going on from step {state['counters']['g_steps']} ({told(path)})")
            return state
        self._record_in(JSONLines(self.folder.metrics, 0), JSONLines(self.folder.timing, 0))
        return None

    def _compile(self) -> None:
        """Bring the step into the form that the run has, or takes on now."""
        if self.compiled is None and self.trainer.device.type != "cuda":
            self.compiled = False
        if self.compiled is False:
            return
        from ganbench.compiling import compile_networks, faster_compiled

        started = time.perf_counter()
        if self.compiled is None:
            self.compiled = ranks.by_first(lambda: faster_compiled(self.trainer, self.progress.say))
        if self.compiled:
            compile_networks(self.trainer)
        self.compile_seconds = time.perf_counter() - started

    def _record_in(self, metrics: JSONLines, timing: JSONLines) -> None:
        self.metrics, self.timing = metrics, timing
        for file in (metrics, timing):
            self._records.callback(file.close)

    def _checkpoint(self) -> None:
        """Save all, unless a loss was not finite: then the next look at the losses ends the run.

        Training goes on while a copy of its state is written.
        """
        if self._diverged():
            return
        self._saved_at = started = time.monotonic()
        if not ranks.leads():
            return
        metrics_sha256 = self.metrics.sync()
        self.timing.sync()
        state = {
            "trainer": self.trainer.state(),
            "counters": asdict(self.counters),
            "compiled": self.compiled,
            "best": self.best,
            "untrained": self.untrained,
            "evaluation_seconds": self.evaluation_seconds,
            "checkpoint_seconds": self.checkpoint_seconds,
            "data_wait_seconds": self.trainer.batches.waited_seconds,
            "metrics": {"sha256": metrics_sha256, "size": self.metrics.size},
            "timing": self.timing.size,
        }
        self._writer.submit(partial(self._write, self.step, snapshot(state)))
        self.checkpoint_seconds += time.monotonic() - started

    def _write(self, step: int, state: dict[str, Any]) -> None:
        self.checkpoints.save("step", step, state)
        self.checkpoints.prune("step", KEPT)
        self.checkpoints.prune("best", 1)

    def _evaluate(self) -> Evaluation:
        """Score the selection samples; keep the generator if it is the best so far; draw the grid."""
        started = time.perf_counter()
        sampler, primary = self.trainer.sampler, self.evaluator.primary
        evaluation = self.evaluator.score_samples(sampler, "select")
        if ranks.leads():
            write_grid(self.folder.samples / f"step-{self.step:09d}.png", sampler, self.spec, self.trainer.device)
        score = evaluation.values[primary]
        if not self.best or score < self.best["score"]:
            self.best = {"step": self.step, "score": score}
            if ranks.leads():
                best = {"generator": snapshot(sampler.state_dict())}
                self._writer.submit(partial(self.checkpoints.save, "best", self.step, best))
        seconds = time.perf_counter() - started
        self.evaluation_seconds += seconds
        count = evaluation.scores.n
        told = {"samples": "select", "n": count, "protocol_id": evaluation.protocol_id}
        self.metrics.append(
            {"event": "scores", "step": self.step, **told, "scores": evaluation.labelled(), **self._spent_so_far()}
        )
        self._log_timing("scores", seconds=seconds)
        self._score = f"{labelled(primary, count)} {score:.2f}"
        return evaluation

    def _spent_so_far(self) -> dict[str, int]:
        """The counters that the spec determines, for a row: so a curve can be cut at equal cost."""
        return {k: v for k, v in asdict(self.counters).items() if k != "train_seconds"}

    def _log_timing(self, event: str, **measured: float) -> None:
        self.timing.append(
            {
                "event": event,
                "step": self.step,
                "train_seconds": self.counters.train_seconds,
                "evaluation_seconds": self.evaluation_seconds,
                **measured,
            }
        )

    def _advance(self, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One step, with its counters."""
        spec, started = self.spec, time.perf_counter()
        loss_d, loss_g = self.trainer.step(self.step, share)
        self._poison += (loss_d + loss_g) * 0  # NaN once any loss was not finite; no transfer needed
        self.counters.g_steps += 1
        self.counters.d_steps += spec.n_dis
        self.counters.real_images += spec.n_dis * spec.batch
        self.counters.fake_images += spec.n_dis * spec.batch + spec.batch_g
        self.counters.flops += self.flops_per_step
        if self._log_due():
            loss_g.item()  # waits for the device, so that the time is the work's
        (seconds,) = ranks.most(time.perf_counter() - started)
        self.counters.train_seconds += seconds
        return loss_d, loss_g

    def _spent(self) -> bool:
        return self.spec.budget.spent(self.counters) >= 1

    def _log_due(self) -> bool:
        return self.step % LOG_EVERY == 0 or self._spent()

    def _log(self, loss_d: torch.Tensor, loss_g: torch.Tensor) -> None:
        losses = {"loss_d": ranks.mean(loss_d), "loss_g": ranks.mean(loss_g)}
        self.metrics.append({"event": "losses", "step": self.step, **losses, **self._spent_so_far()})
        self._log_timing("losses")
        share = self.spec.budget.spent(self.counters)
        seconds = self.counters.train_seconds
        left = (seconds + self.evaluation_seconds) * max(0.0, 1 / share - 1)
        speed = self.counters.real_images / seconds
        self.progress.update(
            Status(self.step, share, **losses, images_per_second=speed, seconds_left=left, score=self._score)
        )

    def _diverged(self) -> bool:
        (diverged,) = ranks.most(not bool(torch.isfinite(self._poison)) or not self.trainer.finite())
        return bool(diverged)

    def execute(self) -> str:
        """Train to the end of the budget; returns 'finished' or 'diverged'.

        Raises Interrupted after a checkpoint when a signal asks to stop.
        """
        budget, every = self.spec.budget, self.spec.evaluation.every
        status = "finished"
        with self._records, self._writer, StopFlag().listening() as stop:
            self._resume()
            self._compile()
            self.trainer.share()
            while (share := budget.spent(self.counters)) < 1:
                stopping, unsaved_seconds = ranks.most(stop.requested, time.monotonic() - self._saved_at)
                if stopping:
                    self._checkpoint()
                    raise Interrupted(
                        f"interrupted at step {self.step}, {share:.0%} of {budget}: the same command goes on from there"
                    )
                self.folder.lease.check()
                evaluations = int(every.spent(self.counters))
                losses = self._advance(share)
                score_due = int(every.spent(self.counters)) > evaluations or self._spent()
                if self._log_due():
                    self._log(*losses)
                if (score_due or self._log_due()) and self._diverged():
                    status = "diverged"
                    break
                if score_due:
                    self._evaluate()
                    self._checkpoint()
                elif unsaved_seconds > CHECKPOINT_SECONDS:
                    self._checkpoint()
            self.metrics.sync()
            self.timing.sync()
        return status
