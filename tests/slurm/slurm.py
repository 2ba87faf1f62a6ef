"""A private Slurm of four nodes on this machine: munged, slurmctld and four slurmd, no service of the system touched."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import wait_until

NODES = 4
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun", "sinfo")

CONF = """
ClusterName=hqtest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
SlurmctldPort={ctl_port}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
PlugStackConfig={root}/plugstack.conf
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
ReturnToService=2
JobCompType=jobcomp/filetxt
JobCompLoc={root}/jobcomp.log
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=2
InactiveLimit=0
MinJobAge={min_job_age}
SlurmctldTimeout=30
SlurmdTimeout=300
MessageTimeout=10
{nodes}
PartitionName=main Nodes=n[1-{count}] Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=short Nodes=n[1-{count}] MaxTime=2 State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Slurm:
    """start() to stop(); `env` makes its commands find it."""

    def __init__(self, cpus=4, min_job_age=300):
        missing = [name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
        assert not missing, f"Slurm is not complete, run make deps: {missing}"
        assert os.geteuid() == 0, "slurmctld and slurmd of the test run as root"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="hqslurm-"))
        self.processes = {}
        ports = free_ports(NODES + 1)
        host = socket.gethostname().split(".")[0]
        nodes = "\n".join(f"NodeName=n{i + 1} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[i + 1]} CPUs={cpus} "
                          f"RealMemory=1000 State=UNKNOWN" for i in range(NODES))
        for name in ("state", *(f"spool-n{i + 1}" for i in range(NODES))):
            (self.root / name).mkdir()
        (self.root / "plugstack.conf").write_text("")
        (self.root / "slurm.conf").write_text(CONF.format(root=self.root, host=host, ctl_port=ports[0], nodes=nodes,
                                                          count=NODES, min_job_age=min_job_age))
        (self.root / "munge.key").write_bytes(os.urandom(128))
        (self.root / "munge.key").chmod(0o400)
        self.root.chmod(0o755)
        self.env = {"SLURM_CONF": str(self.root / "slurm.conf")}

    def _spawn(self, name, argv):
        log = open(self.root / f"{name}.out", "ab")
        self.processes[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env={**os.environ, **self.env}, start_new_session=True)
        log.close()

    def start(self):
        root = self.root
        self._spawn("munged", ["munged", "--foreground", "--force", f"--socket={root}/munge.socket", f"--key-file={root}/munge.key",
                               f"--pid-file={root}/munged.pid", f"--seed-file={root}/munged.seed",
                               f"--log-file={root}/munged.log"])
        wait_until(lambda: (root / "munge.socket").exists(), "munged")
        self.start_controller()
        for i in range(NODES):
            self._spawn(f"slurmd{i + 1}", ["slurmd", "-D", "-f", f"{root}/slurm.conf", "-N", f"n{i + 1}"])
        wait_until(lambda: self.run("sinfo", "-h", "-t", "idle", "-p", "main", "-o", "%D").strip() == str(NODES),
                   f"four idle nodes\n{self.logs()}", 30)
        return self

    def start_controller(self, clean=True):
        self._spawn("slurmctld", ["slurmctld", "-D", *(["-i"] if clean else []), "-f", f"{self.root}/slurm.conf"])

    def stop_controller(self):
        self.processes["slurmctld"].kill()
        self.processes["slurmctld"].wait()

    def pause_controller(self):
        """It takes connections and answers nothing."""
        self.processes["slurmctld"].send_signal(signal.SIGSTOP)

    def continue_controller(self):
        self.processes["slurmctld"].send_signal(signal.SIGCONT)

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                         for path in sorted(self.root.glob("*.log")))

    def run(self, *argv, check=False):
        done = subprocess.run(argv, env={**os.environ, **self.env, "LC_ALL": "C"}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        if check:
            assert done.returncode == 0, (argv, done)
        return done.stdout.decode()

    def jobs(self, states="all"):
        """id -> (state, name, nodes) of all jobs; with "live" those that wait or run."""
        found = {}
        for line in self.run("squeue", "-h", "-t", "all", "-o", "%i|%T|%j|%D").splitlines():
            number, state, name, nodes = line.split("|")
            is_live = state in ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED")
            if states == "all" or is_live:
                found[number] = (state, name, int(nodes))
        return found

    def live(self):
        return {number: job for number, job in self.jobs("live").items() if job[0] != "COMPLETING"}

    def stop(self):
        for name, process in reversed(list(self.processes.items())):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        mark = f"SLURM_CONF={self.root}/slurm.conf".encode()
        for _ in range(100):  # slurmstepd and what they run
            left = 0
            for entry in os.listdir("/proc"):
                try:
                    if entry.isdigit() and int(entry) != os.getpid() and mark in open(f"/proc/{entry}/environ", "rb").read().split(b"\0"):
                        os.kill(int(entry), signal.SIGKILL)
                        left += 1
                except (FileNotFoundError, PermissionError, ProcessLookupError):
                    continue
            if left == 0:
                break
            time.sleep(0.02)
        shutil.rmtree(self.root, ignore_errors=True)
