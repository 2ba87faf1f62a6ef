#!/usr/bin/env python3
"""Measure the figures of the suite in one run and print one table; with --write also a report.

usage: run.py --build BUILD [--only GROUP,...] [--write FILE] [--short]
Groups: spawn files others submit million start core list rate idle lines huge graph stream slow
        fleet pace gang flat
        ranks hosts fence memory
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

from jobs import Jobs, Streams
from lab import Lab, cpu_seconds, machine, memory_kb, run
from mpi import Mpi
from table import ROWS, row, timed
from workers import Workers


class Bench:
    def __init__(self, lab, scale):
        self.lab, self.scale = lab, scale
        self.limit = self.limit_files = None

    def n(self, count):
        return max(count // self.scale, 1)

    def fleet_seconds(self, count, *options, cwd=None):
        """One array of /bin/true on the running server and worker: submit to the last final record."""
        job = None

        def whole():
            nonlocal job
            job = str(self.lab.submit(f"--array=1-{count}", *options, "/bin/true", cwd=cwd))
            self.lab.hq("job", "wait", job)

        spent = timed(whole)
        finished = self.lab.hq("job", "task-ids", job, "--filter=finished").strip()
        assert finished == f"1-{count}", finished[:100]
        return spent

    def rounds(self, count, limit, mine):
        """Limit and hq in turns, so that a neighbour of this machine disturbs both: (limit, hq, ratio), middle of five ratios."""
        seen = []
        for _ in range(5):
            before, rate, after = limit(count // 2), count / mine(count), limit(count // 2)
            seen.append((rate / ((before + after) / 2), (before + after) / 2, rate))
        ratio, bare, rate = sorted(seen)[2]
        return bare, rate, ratio, f"five rounds: {min(seen)[0]:.2f} to {max(seen)[0]:.2f}"

    def spawn(self):
        count = self.n(100000)
        lab = self.lab
        for threads in (1, 2, 4):
            row(f"spawn limit, {threads} launcher threads", lab.spawn_rate("-p", threads, "-n", count // 10), "tasks/s")
        quiet = ("--stdout=none", "--stderr=none")
        lab.start_server()
        lab.start_worker("--cpus=2", "--detect-resources=none")
        before = lab.spawn_rate("-p", 2, "-n", count // 4)
        cpu = cpu_seconds(lab.server.pid)
        whole = count / self.fleet_seconds(count, *quiet)
        cpu = (cpu_seconds(lab.server.pid) - cpu) / count * 1e6
        after = lab.spawn_rate("-p", 2, "-n", count // 4)
        row(f"hq, one array of {count:,} x /bin/true, output discarded", whole, "tasks/s")
        row("  ratio to the spawn limit with 2 threads before and after", whole / ((before + after) / 2), reach=0.85,
            note=f"reference 0.29; limit {before:.0f}, {after:.0f}")
        row("  hqd's CPU per task", cpu, "us")
        self.limit, rate, ratio, note = self.rounds(count // 10, lambda n: lab.spawn_rate("-p", 2, "-n", n),
                                                    lambda n: self.fleet_seconds(n, *quiet))
        row(f"  the same in turns, arrays of {count // 10:,}", rate, "tasks/s", note=f"limit {self.limit:.0f}")
        row("  ratio in turns", ratio, reach=0.85, note=note)
        lab.end_all()

    def files(self):
        count = self.n(20000)
        lab = self.lab

        def limit(n):
            rate = lab.spawn_rate("-p", 2, "-n", n, "-o", lab.shm / "limit")
            shutil.rmtree(lab.shm / "limit")
            return rate

        def mine(n):
            spent = self.fleet_seconds(n, cwd=lab.shm)
            (made,) = lab.shm.glob("job-*")
            assert len(os.listdir(made)) == 2 * n
            shutil.rmtree(made)
            return spent

        lab.start_server()
        lab.start_worker("--cpus=2", "--detect-resources=none")
        bare, rate, ratio, note = self.rounds(count // 5, limit, mine)
        row("spawn limit with both files on tmpfs", bare, "tasks/s")
        row(f"hq, {count:,} x /bin/true in five arrays, both files on tmpfs", rate, "tasks/s")
        row("  ratio to the spawn limit with files, in turns", ratio, reach=0.80, note=f"reference 0.31; {note}")
        lab.end_all()

    def others(self):
        limit = self.limit or self.lab.spawn_rate("-p", 2, "-n", self.n(20000))
        count = self.n(20000)
        spent = timed(lambda: run(["sh", "-c", f"seq {count} | xargs -P2 -n1 /bin/true"]))
        row(f"xargs -P2 -n1 /bin/true, {count:,}", count / spent, "tasks/s")
        row("  ratio to the spawn limit", count / spent / limit, note="reference 0.67")
        if shutil.which("parallel"):
            count = self.n(4000)
            spent = timed(lambda: run(["sh", "-c", f"seq {count} | parallel --will-cite -j2 /bin/true"]))
            row(f"GNU parallel -j2 /bin/true, {count:,}", count / spent, "tasks/s")
            row("  ratio to the spawn limit", count / spent / limit)
        else:
            row("GNU parallel", "not installed")
        self.wheel(limit)

    def wheel(self, limit):
        """The published package in a throw-away environment."""
        place = self.lab.root / "venv"
        made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True, check=False)
        got = made.returncode == 0 and subprocess.run([str(place / "bin" / "pip"), "install", "-q", "hyperqueue"], capture_output=True,
                                                      check=False, timeout=300)
        if not got or got.returncode != 0:
            row("published hyperqueue wheel, LocalCluster", "not to be had here")
            return
        count = self.n(10000)
        script = ("import sys, time\nfrom hyperqueue import Job, LocalCluster\nfrom hyperqueue.cluster import WorkerConfig\n"
                  "n = int(sys.argv[1])\nwith LocalCluster() as cluster:\n    cluster.start_worker(WorkerConfig(cores=2))\n"
                  "    client = cluster.client()\n    job = Job()\n    for i in range(n):\n"
                  "        job.program(['/bin/true'], stdout=None, stderr=None)\n    begin = time.monotonic()\n"
                  "    client.wait_for_jobs([client.submit(job)])\n    print(time.monotonic() - begin)\n")
        done = subprocess.run([str(place / "bin" / "python"), "-c", script, str(count)], capture_output=True, text=True, check=False,
                              timeout=300, cwd=self.lab.root)
        if done.returncode != 0:
            row("published hyperqueue wheel, LocalCluster", "failed", note=done.stderr.strip().split("\n")[-1][:60])
            return
        rate = count / float(done.stdout.split()[-1])
        row(f"published hyperqueue wheel, LocalCluster, {count:,}", rate, "tasks/s")
        row("  ratio to the spawn limit", rate / limit)

    def submit(self):
        """Memory and time of one large array, finished by workers that start nothing."""
        count = self.n(1000000)
        lab = self.lab
        lab.start_server()
        lab.hq("server", "info")
        before = memory_kb(lab.server.pid)
        options = ("submit", f"--array=1-{count}", "--stdout=none", "--stderr=none", "/bin/true")
        first = timed(lambda: lab.hq(*options)) * 1000
        after = memory_kb(lab.server.pid)
        row(f"hq submit of {count:,} tasks, the whole command", first, "ms", reach=50, least=False, note="reference 1,250")
        row("  hqd resident before", before / 1024, "MB")
        row("  hqd grows by", (after - before) / 1024, "MB", reach=1, least=False, note="reference 348")
        thin = lab.start_thin()
        lab.hq("job", "wait", "1")
        row("  hqd resident with all finished", memory_kb(lab.server.pid) / 1024, "MB", reach=48, least=False, note="reference 336")
        row("  hqd peak", memory_kb(lab.server.pid, "VmHWM") / 1024, "MB", note="reference 620")
        lab.end(thin)
        lab.end_all()

    def million(self):
        """hqd alone: real protocol, journal on, tasks that take no time."""
        count = self.n(1000000)
        lab = self.lab
        lab.start_server()
        thin = lab.start_thin(16, 64)
        journal, cpu, thin_cpu = lab.journal_bytes(), cpu_seconds(lab.server.pid), cpu_seconds(thin.pid)
        spent = timed(lambda: lab.hq("submit", "--wait", f"--array=1-{count}", "--stdout=none", "--stderr=none", "/bin/true"))
        cpu, thin_cpu = cpu_seconds(lab.server.pid) - cpu, cpu_seconds(thin.pid) - thin_cpu
        journal = lab.journal_bytes() - journal
        row(f"{count:,} instant tasks, 16 thin workers x 64 slots", count / spent, "tasks/s", reach=250000,
            note="reference 26,000; best case: thin workers end whole ranges at one moment")
        row("  hqd's CPU per task", cpu / count * 1e6, "us", reach=2, least=False, note=f"reference 7.7; thin workers {thin_cpu / count * 1e6:.2f}")
        row("  journal per task", journal / count, "bytes", reach=4, least=False, note="reference 36")
        lab.end(thin)
        self.million_dir = lab.server_dir
        os.kill(lab.server.pid, 9)
        lab.end_all()

    def start(self):
        """From the journal of the million; the run before it was killed, so it resumes."""
        if not hasattr(self, "million_dir"):
            self.million()
        lab = self.lab
        series = []
        for _ in range(3):
            series.append(lab.start_server(directory=self.million_dir))
            counts = lab.hq("job", "task-ids", "1", "--filter=finished").strip()
            assert counts == f"1-{self.n(1000000)}", counts[:100]
            os.kill(lab.server.pid, 9)
            lab.end_all()
        row(f"start of hqd from a journal with {self.n(1000000):,} finished tasks", sorted(series)[1], "s", reach=0.3, least=False,
            note="reference about 1.8")

    def core(self):
        """The state machine alone, in the simulator."""
        program = self.lab.build / "sim" / "sim"
        if not program.exists():
            row("core in the simulator", "not built")
            return
        figures = dict(re.findall(r"^(\w+) ([\d.e+]+) ", run([program, "--bench"]), re.M))
        for workers in (10, 100, 1000):
            largest = workers == 1000
            row(f"core in the simulator, {workers:,} workers", float(figures[f"core_tasks_{workers}_workers"]), "tasks/s",
                reach=1000000 if largest else None)
        row("  one scheduling pass, 1,000 workers, 20 classes", float(figures["core_pass_1000x20"]) / 1e6, "ms", reach=1, least=False)
        for workers in (125, 250, 500):
            row(f"    of which {workers} changed", float(figures[f"core_pass_changed_{workers}"]) / 1e6, "ms", note="linear in changed workers")
        for tasks in (5000000, 20000000):
            row(f"    all changed, {tasks:,} tasks", float(figures[f"core_pass_tasks_{tasks}"]) / 1e6, "ms", note="flat in tasks")
        flow = dict(re.findall(r"^(\w+) ([\d.e+]+) ", run([self.lab.build / "sim" / "cluster", "flow"]), re.M))
        row("fractional GPUs, policies and variants mixed, core and simulated workers", float(flow["flow_mixed_requests"]), "tasks/s", reach=300000)
        row("simulated 64 workers x 128 cores, tasks of 0.1 s, 1 ms round trip", float(flow["flow_utilisation_100ms"]), "of ideal", reach=0.99)
        row("  tasks of 10 ms", float(flow["flow_utilisation_10ms"]), "of ideal", reach=0.95)
        for length in ("1ms", "10ms", "100ms", "1s"):
            row(f"  tail of an array, tasks of {length}, in parts of one queue without latency", float(flow[f"flow_tail_{length}_mean"]), "",
                note=f"worst of ten {flow[f'flow_tail_{length}_worst']}")

    def list(self):
        """Whole processes, less an empty static program."""
        lab = self.lab
        lab.start_server()
        empty = lab.each_ms(300, lab.tools / "empty")
        row("an empty static program", empty, "ms")
        have = 0
        for jobs, reach_ipc, reach_tcp in ((1, 2, 4), (1000, None, None), (10000, 15, None)):
            jobs = jobs if jobs == 1 else self.n(jobs)
            run(["sh", "-c", f"seq {jobs - have} | xargs -P2 -n1 {lab.bin}/hq submit --cpus=1 true"], env=lab.env, cwd=lab.root)
            have = jobs
            repeat = 200 if jobs == 1 else 50
            for way, reach, options in (("ipc", reach_ipc, []), ("TCP, fresh session", reach_tcp, ["--server-dir", lab.tcp_dir()])):
                spent = lab.each_ms(repeat, lab.bin / "hq", *options, "job", "list") - empty
                row(f"hq job list, {jobs:,} jobs, {way}, above the empty program", spent, "ms", reach=reach, least=False,
                    note={1: "reference 2.9", 10000: "reference 41"}.get(jobs, "") if way == "ipc" else "")
        lab.end_all()

    def rate(self):
        lab = self.lab
        lab.start_server()
        count = self.n(4000)
        cpu = cpu_seconds(lab.server.pid)
        spent = timed(lambda: run(["sh", "-c", f"seq {count} | xargs -P2 -n1 {lab.bin}/hq submit --stdout=none --stderr=none true"],
                                  env=lab.env, cwd=lab.root))
        cpu = cpu_seconds(lab.server.pid) - cpu
        assert len(lab.hq("--output-mode=quiet", "job", "list").splitlines()) == count
        row(f"hq submit by xargs -P2, {count:,}, each on disk", count / spent, "/s", reach=1000, note="reference 396, not on disk")
        empty = timed(lambda: run(["sh", "-c", f"seq {count} | xargs -P2 -n1 {lab.tools}/empty"]))
        row("  hqd's CPU per submit", cpu / count * 1e6, "us")
        row("  xargs -P2 of the empty program", count / empty, "/s")
        lab.end_all()

    def idle(self):
        lab = self.lab
        lab.start_server()
        workers = [lab.start_worker("--cpus=4", "--detect-resources=none") for _ in range(10)]
        window = 60 // self.scale
        pids = [lab.server.pid] + [worker.pid for worker in workers]
        before, begin = [cpu_seconds(pid) for pid in pids], time.monotonic()
        time.sleep(window)  # the thing measured is a stretch of time
        spent = time.monotonic() - begin
        used = [cpu_seconds(pid) - old for pid, old in zip(pids, before)]
        row("idle hqd with 10 idle workers", used[0] / spent * 100, "% of a core", reach=0.05, least=False)
        row("an idle worker (mean of 10)", sum(used[1:]) / 10 / spent * 100, "% of a core", reach=0.03, least=False)
        row("  hqd resident", memory_kb(pids[0]) / 1024, "MB")
        row("  a worker resident", sum(memory_kb(pid) for pid in pids[1:]) / 10 / 1024, "MB")
        lab.end_all()


GROUPS = {"spawn": Bench, "files": Bench, "others": Bench, "submit": Bench, "million": Bench, "start": Bench, "core": Bench, "list": Bench,
          "rate": Bench, "idle": Bench, "lines": Jobs, "huge": Jobs, "graph": Jobs, "stream": Streams, "slow": Streams,
          "fleet": Workers, "pace": Workers, "gang": Workers, "flat": Workers,
          "ranks": Mpi, "hosts": Mpi, "fence": Mpi, "memory": Mpi}


def report(build, command):
    lines = ["# Figures", "", "Written by `make bench`; all rows of one run, one after the other; `load before` says what else ran. `reference` is what the",
             "release 0.26.2 of the program that users come from needs on a machine like this one. Rows marked NO miss their goal.", ""]
    lines += ["| machine | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in machine(build)]
    lines += ["", f"Command: `{command}`", "", "| what | measured | goal | met | note |", "|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(cell.replace("  ", "&nbsp; ") if not index else cell for index, cell in enumerate(cells)) + " |" for cells in ROWS]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--write")
    parser.add_argument("--short", action="store_true", help="a tenth of everything: to try the bench itself")
    args = parser.parse_args()
    wanted = args.only.split(",")
    unknown = set(wanted) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    lab = Lab(args.build)
    try:
        benches = {kind: kind(lab, 10 if args.short else 1) for kind in (Bench, Jobs, Streams, Workers, Mpi)}
        for group, kind in GROUPS.items():
            if group in wanted:
                getattr(benches[kind], group)()
    finally:
        lab.close()
    if args.write:
        with open(args.write, "w", encoding="utf-8") as file:
            file.write(report(args.build, "make bench"))
    missed = [cells[0].strip() for cells in ROWS if cells[3] == "NO"]
    print(f"{len(ROWS)} rows, {len(missed)} goals missed" + (": " + "; ".join(missed) if missed else ""))


if __name__ == "__main__":
    main()
