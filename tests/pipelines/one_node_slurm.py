"""A Slurm of one node on the loopback interface, in a folder of its own: for tests, by the user who runs them.

Nothing is installed, written elsewhere or left behind. `bin/` holds the commands of Slurm with its configuration, to be
put in front of PATH: jobs inherit PATH, while Slurm's own variables are taken from them on the way.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct")

CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=10
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
SlurmdParameters=config_overrides
MinJobAge=3600
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} CoresPerSocket={cpus} RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here; empty if it can."""
    absent = [name for name in (*DAEMONS, *COMMANDS) if _program(name) is None]
    return f"no {', '.join(absent)} on this machine (apt-get install slurm-wlm munge)" if absent else ""


class OneNodeSlurm:
    """A running Slurm; a context manager.

    Parameters
    ----------
    folder
        New, on a short path: sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> OneNodeSlurm:
        self._write()
        try:
            self._start("munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key",
                        f"--socket={self.folder}/munge.sock", f"--pid-file={self.folder}/munged.pid",
                        f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munge.seed")  # fmt: skip
            self._until(lambda: (self.folder / "munge.sock").exists(), "munged")
            self._start("slurmctld", "-D", "-c", "-f", f"{self.folder}/slurm.conf")
            self._start("slurmd", "-D", "-c", "-f", f"{self.folder}/slurm.conf")
            self._until(lambda: set(self.run("sinfo", "-h", "-o", "%t").split()) == {"idle"}, "slurmd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.started) == len(DAEMONS):
            self.run("scancel", "--user", getpass.getuser())
            for _ in range(100):  # jobs end before their daemon
                if not self.run("squeue", "-h"):
                    break
                time.sleep(0.1)
        for process in reversed(self.started):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, command: str, *arguments: str) -> str:
        """Run a command of Slurm; return what it says."""
        done = subprocess.run([self.bin / command, *arguments], capture_output=True, text=True, timeout=60)
        return done.stdout

    def _write(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host, folder=self.folder, user=getpass.getuser(), ports=_free_ports(2), cpus=os.cpu_count()
            )
        )
        (self.folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/null\n")
        for name in COMMANDS:
            wrapper = self.bin / name
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {_program(name)} "$@"\n')
            wrapper.chmod(0o755)

    def _start(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "SLURM_CONF": f"{self.folder}/slurm.conf"}
        with (self.folder / f"{name}.out").open("wb") as log:
            self.started.append(
                subprocess.Popen([str(_program(name)), *arguments], env=environment, stdout=log, stderr=log)
            )

    def _until(self, ready: object, name: str) -> None:
        for _ in range(150):
            if ready():  # type: ignore[operator]
                return
            time.sleep(0.2)
        logs = "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))
        raise RuntimeError(f"{name} did not come up:\n{logs}")


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
