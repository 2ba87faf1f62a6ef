"""Rows of tasks of several ranks: start to end against mpirun of the same library, rates, fences, memory."""
import os
import pathlib
import shutil
import subprocess
import sys

from lab import memory_kb, run
from table import middle, row, timed

LIBRARIES = ("openmpi", "mpich")
QUIET = ("--stdout=none", "--stderr=none")
RANKS = 4
SOURCES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "mpi"
# A rank that joins the others by hand: what is measured is hq, no library.
JOIN = """#!/bin/bash
ask() { echo "cmd=$*" >&$PMI_FD; IFS= read -r answer <&$PMI_FD; }
ask init pmi_version=1 pmi_subversion=1
ask barrier_in
"""


class Mpi:
    def __init__(self, lab, scale):
        self.lab, self.scale = lab, scale
        self.root_env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def n(self, count):
        return max(count // self.scale, 1)

    def program(self, library, name):
        """A program of the tests, compiled with one library; None: it is not installed."""
        compiler, mpirun = shutil.which(f"mpicc.{library}"), shutil.which(f"mpirun.{library}")
        if compiler is None or mpirun is None:
            row(f"{library}: not installed", "-")
            return None, None
        made = self.lab.root / f"{name}.{library}"
        if not made.exists():
            run([compiler, "-D_GNU_SOURCE", "-O1", "-o", made, SOURCES / "programs" / f"{name}.c"])
        return made, [mpirun] + (["--oversubscribe"] if library == "openmpi" and os.cpu_count() < RANKS else [])

    def in_turns(self, native, other, rounds=7):
        """Middle seconds of both and middle ratio, taken in turns so that a neighbour disturbs both."""
        native(), other()  # files and pages are warm
        seen = [(timed(native), timed(other)) for _ in range(rounds)]
        ratio = middle([a / b for a, b in seen])
        return middle([a for a, _ in seen]), middle([b for _, b in seen]), ratio, f"{rounds} rounds: {min(a / b for a, b in seen):.2f} to {max(a / b for a, b in seen):.2f}"

    def compare(self, what, native, other):
        mine, theirs, ratio, note = self.in_turns(native, other)
        row(what, mine * 1000, "ms", note=f"mpirun {theirs * 1000:.0f}")
        row("  ratio to mpirun", ratio, reach=0.9, least=False, note=note)

    def ranks(self):
        """Start, allreduce, end: one node, then many tasks one after the other."""
        lab = self.lab
        lab.start_server()
        lab.start_worker(f"--cpus={RANKS}", "--detect-resources=none")
        for library in LIBRARIES:
            program, mpirun = self.program(library, "allreduce")
            if program is None:
                continue
            alone = {**lab.env, **self.root_env}
            options = ("--mpi", f"--ranks={RANKS}", *QUIET, program)

            def other(argv=(*mpirun, "-n", RANKS, program), env=alone):
                run(argv, env=env, cwd=lab.root)

            self.compare(f"{library}: {RANKS} ranks on one node, hq submit --wait --mpi", lambda: lab.hq("submit", "--wait", *options), other)
            count = self.n(100)
            native = count / timed(lambda: lab.hq("submit", "--wait", f"--array=1-{count}", *options))
            loop = count / timed(lambda: [other() for _ in range(count)])
            row(f"{library}: {count} consecutive tasks of {RANKS} ranks", native, "tasks/s", note=f"a loop over mpirun {loop:.2f}")
            row("  ratio to the loop", native / loop, reach=3, note="one task at a time on both sides")
        lab.end_all()

    def hosts(self):
        """2 x 2 ranks on two hosts: network namespaces, mpirun by hq's remote start."""
        os.environ.setdefault("HQ_TEST_BIN", str(self.lab.bin))
        sys.path[:0] = [str(SOURCES), str(SOURCES.parent)]
        from hosts import Hosts, refusal  # noqa: E402, needs the lines above
        why = refusal()
        if why is not None:
            row("2 x 2 ranks on two hosts", "-", note=why)
            return
        hosts = Hosts()
        try:
            self._two_hosts(hosts)
        finally:
            self.lab.end_all()
            hosts.close()

    def _two_hosts(self, hosts):
        lab = self.lab
        lab.count += 1
        lab.env["HQ_SERVER_DIR"] = str(lab.root / f"s{lab.count}")
        lab.server = lab.spawn(hosts.inside("login", [lab.bin / "hq", "server", "start", f"--host={hosts.addresses['login']}"]))
        lab.until(lab.server, "Journal path")
        for name in ("n1", "n2"):
            worker = lab.spawn(hosts.inside(name, [lab.bin / "hq", "worker", "start", "--cpus=2", "--detect-resources=none"]))
            lab.until(worker, "Manager Job ID")
        for library in LIBRARIES:
            program, mpirun = self.program(library, "allreduce")
            if program is None:
                continue
            env = [word for key, value in self.root_env.items() for word in ("--env", f"{key}={value}")]
            self.compare(f"{library}: 2 x 2 ranks on two hosts, hq submit --wait --nodes=2 --mpi",
                         lambda: lab.hq("submit", "--wait", "--nodes=2", "--mpi", "--ranks-per-node=2", *QUIET, program),
                         lambda: lab.hq("submit", "--wait", "--nodes=2", *env, *QUIET, *mpirun, "-n", RANKS, program))

    def fence(self):
        """The code of hq-stepd under a virtual clock."""
        for gbit, link in ((0, "1 ms links"), (10, "1 ms links of 10 Gbit/s")):
            virtual, cpu, messages, megabytes = (float(word) for word in run([self.lab.tools / "fence", 512, 1024, 1000, gbit]).split())
            row(f"fence of 512 nodes, 1 KB each, {link}", virtual, "ms", reach=25, least=False,
                note=f"{messages:.0f} messages, {megabytes:.0f} MB, {cpu:.0f} ms of CPU on all nodes; nothing goes to hqd")

    def _stepd_of(self, worker, ranks):
        """The hq-stepd of a worker once all its ranks live."""
        children = pathlib.Path("/proc")

        def pids_below(pid):
            return [int(entry) for task in (children / str(pid) / "task").iterdir() for entry in (task / "children").read_text().split()]

        def found():
            steps = [pid for pid in pids_below(worker.pid) if (children / str(pid) / "comm").read_text().strip() == "hq-stepd"]
            return steps if steps and len(pids_below(steps[0])) >= ranks else None

        self.lab.until_true(lambda: found() is not None)
        return found()[0]

    def memory(self):
        """hq-stepd that hosts many ranks; hq-workerd over many tasks."""
        lab, ranks = self.lab, 64
        lab.start_server()
        worker = lab.start_worker("--cpus=2", "--detect-resources=none")
        done = lab.root / "done"
        sleeper, quick = lab.root / "sleeper.sh", lab.root / "quick.sh"
        sleeper.write_text(JOIN + f"while ! test -e {done}; do sleep 0.1; done\nask finalize\n")
        quick.write_text(JOIN + "ask finalize\n")
        for file in (sleeper, quick):
            file.chmod(0o755)
        options = ("--mpi", f"--ranks={ranks}", "--oversubscribe", "--cpus=2", *QUIET)
        lab.submit(*options, sleeper)
        stepd = self._stepd_of(worker, ranks)
        row(f"hq-stepd with {ranks} ranks that speak PMI-1, PMIx offered", memory_kb(stepd) / 1024, "MB", reach=16, least=False,
            note=f"private {memory_kb(stepd, 'RssAnon') / 1024:.1f}")
        done.touch()
        lab.hq("job", "wait", "all")
        for library in LIBRARIES[:1]:
            program, _ = self.program(library, "hello")
            if program is None:
                continue
            job = lab.submit("--mpi", f"--ranks={ranks}", "--oversubscribe", "--cpus=2", *QUIET, program)
            stepd = self._stepd_of(worker, ranks)
            peak = 0
            while os.path.exists(f"/proc/{stepd}/status") and (now := memory_kb(stepd)):
                peak = max(peak, now)
            lab.hq("job", "wait", job)
            assert lab.job_counts(job)["finished"] == 1, lab.hq("job", "info", job)
            row(f"  with {ranks} ranks of Open MPI, peak", peak / 1024, "MB", reach=16, least=False)
        count = self.n(1000)
        lab.hq("submit", "--wait", f"--array=1-{self.n(100)}", "--mpi", "--ranks=2", *QUIET, quick)
        before = memory_kb(worker.pid, "RssAnon")
        spent = timed(lambda: lab.hq("submit", "--wait", f"--array=1-{count}", "--mpi", "--ranks=2", *QUIET, quick))
        row(f"hq-workerd grows over {count:,} tasks of 2 ranks by", memory_kb(worker.pid, "RssAnon") - before, "KB", reach=256, least=False,
            note=f"{count / spent:.1f} tasks/s")
        lab.end_all()
