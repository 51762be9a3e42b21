"""Clusters of one machine: Ray's with several nodes, and Slurm's with its own controller."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
KillWait=1
SlurmdParameters=config_overrides
NodeName=localhost CPUs=2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES State=UP
"""
"""Without accounting, cgroups and MPI; a requeued job waits for as long as a credential holds."""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _path_of(daemon: str) -> str:
    found = shutil.which(daemon, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"no {daemon}: apt-get install slurm-wlm munge")
    return found


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[None]:
    """A controller and a node with two cores on loopback; skips, with the reason, where they do not start."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    paths = {name: _path_of(name) for name in ("munged", "slurmctld", "slurmd")}
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(
        SLURM_CONF.format(folder=folder, user=getpass.getuser(), controller=_free_port(), node=_free_port())
    )
    files = {"key-file": key, **{f"{what}-file": folder / f"munge.{what}" for what in ("pid", "log", "seed")}}
    munge = [f"--{option}={path}" for option, path in files.items()]
    commands = [
        [paths["munged"], "--foreground", "--force", f"--socket={folder}/munge.sock", *munge],
        [paths["slurmctld"], "-D", "-f", str(conf)],
        [paths["slurmd"], "-D", "-N", "localhost", "-f", str(conf)],
    ]
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("SLURM_CONF", str(conf))
        for command in commands:
            stack.enter_context(_daemon(command, folder))
        _wait_for_an_idle_node(folder)
        yield
        subprocess.run(["scancel", "--me", "--signal=KILL"], check=False)
        subprocess.run(["scancel", "--me"], check=False)


@contextlib.contextmanager
def _daemon(command: list[str], folder: Path) -> Iterator[None]:
    name = Path(command[0]).name
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        if name == "munged":  # the others ask it as soon as they start
            deadline = time.monotonic() + 30
            while not (folder / "munge.sock").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for_an_idle_node(folder: Path) -> None:
    deadline, told = time.monotonic() + 60, ""
    while told != "idle":
        if time.monotonic() > deadline:
            logs = [f"{path.name}: {path.read_text()[-300:]}" for path in sorted(folder.glob("*.out"))]
            pytest.skip(f"Slurm does not start here, its node is {told or 'absent'}: {' '.join(logs)}")
        time.sleep(0.1)
        asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
        told = asked.stdout.strip()


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[RayNodes]:
    """A head without cores and two nodes with one each, which have nothing but their own temporary folder."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for name in ("one", "other"):
            (folder / name).mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TMPDIR", str(folder / name))
                cluster.add_node(num_cpus=1)
        yield RayNodes(cluster)
    finally:
        cluster.shutdown()


class RayNodes:
    """The nodes of a Ray cluster on this machine."""

    def __init__(self, cluster: Any) -> None:
        self.address: str = cluster.address

    def kill_node_of(self, pid: int) -> None:
        """SIGKILL to the raylet on whose node a run is: its grandparent."""
        os.kill(_parent(_parent(pid)), signal.SIGKILL)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
