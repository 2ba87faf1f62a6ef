"""Figures of automatic allocation: HQ_TEST_BIN=build/bin python3 tests/slurm/figures.py [latency] [hang] [kills] [many]"""
import os
import pathlib
import random
import signal
import statistics
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent)]

from harness import cpu_ticks, wait_until  # noqa: E402
from conftest import AllocWorld  # noqa: E402
from slurm import Slurm  # noqa: E402
from standin import Batch  # noqa: E402


def latency(rounds=7):
    """hq submit without a worker -> first task runs, beside sbatch of an empty job -> it runs, on the same Slurm."""
    slurm = Slurm().start()
    ours, theirs = [], []
    try:
        for _ in range(rounds):
            mark = slurm.root / "mark"
            mark.unlink(missing_ok=True)
            script = slurm.root / "empty.sh"
            script.write_text(f"#!/bin/bash\n#SBATCH --output=/dev/null\n: >{mark}\n")
            began = time.monotonic()
            slurm.run("sbatch", str(script), check=True)
            wait_until(mark.exists, "the empty job", every=0.005)
            theirs.append(time.monotonic() - began)
            world = AllocWorld()
            world.env.update(slurm.env)
            world.start_server("--host=127.0.0.1")
            world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=5m", "--cpus=2", "--detect-resources=none")
            wait_until(world.allocd_pid, "hq-allocd")
            began = time.monotonic()
            world.submit("sh", "-c", ": >here; exec tail -f /dev/null")
            wait_until((world.work / "here").exists, "the task", every=0.005)
            ours.append(time.monotonic() - began)
            world.hq("server", "stop")
            world.close()
            wait_until(lambda: not slurm.jobs("live"), "an empty Slurm", 40)
    finally:
        slurm.stop()
    print(f"latency: submit to task {statistics.median(ours):.3f} s, sbatch to job {statistics.median(theirs):.3f} s, "
          f"difference {statistics.median(ours) - statistics.median(theirs):.3f} s (medians of {rounds})")


def hang(seconds=120):
    """hq job list before and while the controller takes connections and answers nothing, in pairs with a server that has no queue."""
    slurm = Slurm().start()
    world, other = AllocWorld(), AllocWorld()
    world.env.update(slurm.env)
    world.env["HQ_AUTOALLOC_REFRESH_INTERVAL_MS"] = "500"
    try:
        for one in (world, other):
            one.start_server("--host=127.0.0.1")
            one.submit("--array=1-9", "--cpus=2", "true")
        world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=5m", "--cpus=2", "--backlog=3", "--", "--begin=now+1hour")
        wait_until(lambda: len(world.allocs()) == 3, "allocations")

        def ask(until):
            pairs = []
            while time.monotonic() < until:
                pair = []
                for one in (world, other):
                    began = time.monotonic()
                    one.hq("job", "list")
                    pair.append((time.monotonic() - began) * 1e3)
                pairs.append(pair)
            return pairs

        def text(pairs):
            ours, theirs = zip(*pairs)
            ratio = statistics.median(a / b for a, b in pairs)
            return f"{statistics.median(ours):.2f} ms, worst {max(ours):.1f} ms, {ratio:.3f} of a server without queues (worst {max(theirs):.1f} ms)"
        before = ask(time.monotonic() + 20)
        slurm.pause_controller()
        while_hung = ask(time.monotonic() + seconds)
        slurm.continue_controller()
        print(f"hang: job list, medians of {len(before)} and {len(while_hung)} pairs: before {text(before)}; in {seconds} s without the "
              f"controller {text(while_hung)}")
    finally:
        world.close()
        other.close()
        slurm.stop()


COMMANDS = {"hq-allocd": ("hq-allocd",), "batch command": ("sbatch", "squeue", "scancel")}


def kill_one(world, names):
    """Of the world's processes, the first with one of these names."""
    for pid in world.comms(*names):
        try:
            os.kill(pid, signal.SIGKILL)
            return True
        except ProcessLookupError:
            continue
    return False


def kills(count=200, seed=1):
    """kill -9 of hq-allocd, hqd and batch commands on a real Slurm under load, then remove --force."""
    slurm = Slurm().start()
    world = AllocWorld()
    world.env.update(slurm.env)
    world.env.update({"HQ_AUTOALLOC_REFRESH_INTERVAL_MS": "500", "HQ_AUTOALLOC_LOOKUP_GAP_MS": "1000"})
    chance = random.Random(seed)
    try:
        server = world.start_server("--host=127.0.0.1")
        world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=20s", "--cpus=2", "--backlog=2", "--max-worker-count=4",
                 "--detect-resources=none", "--on-server-lost=reconnect", "--idle-timeout=5s")
        job = world.submit("--array=1-600", "--crash-limit=unlimited", "sleep", "0.3")
        done = {"hq-allocd": 0, "hqd": 0, "batch command": 0}
        while sum(done.values()) < count:
            victim = chance.choice(list(done))
            if victim == "hqd":
                server.kill()
                server = world.start_server("--host=127.0.0.1")
            else:
                wait_until(lambda: kill_one(world, COMMANDS[victim]), victim, 60, every=0.002)
            done[victim] += 1
        stats = world.wait_job(job, 400)
        world.hq("alloc", "remove", "--force", 1)
        wait_until(lambda: not slurm.jobs("live"), "an empty Slurm", 60)
        names = [job[1] for job in slurm.jobs().values()]
        twice = len(names) - len(set(names))
        print(f"kills: seed={seed} {done}; tasks finished {stats['finished']} of 600; {len(names)} allocations, {twice} submitted twice; "
              f"{len(slurm.jobs('live'))} left in squeue")
        assert stats["finished"] == 600 and twice == 0
    finally:
        world.close()
        slurm.stop()


def many(queues=20, backlog=50, looks=6):
    """Status commands for 20 queues x 50 allocations, half of them PBS; share of a core of hq-allocd over some looks."""
    world = AllocWorld()
    batch = Batch(world)
    world.env["HQ_AUTOALLOC_REFRESH_INTERVAL_MS"] = "5000"
    tools = {"slurm": "squeue", "pbs": "qstat"}
    try:
        world.start_server("--host=127.0.0.1")
        for i in range(queues):
            world.hq("alloc", "add", ("slurm", "pbs")[i % 2], "--no-dry-run", "--time-limit=1h", "--cpus=1", f"--backlog={backlog}")
        world.submit(f"--array=1-{queues * backlog}", "true")
        wait_until(lambda: len(batch.jobs()) == queues * backlog, "all allocations", 300)

        def count(tool):
            return len(batch.calls(tool))
        settled = count("qstat")
        wait_until(lambda: count("qstat") > settled, "a look after the last submission", 60)
        pid = world.allocd_pid()
        before = {tool: count(tool) for tool in tools.values()}
        ticks, began = cpu_ticks(pid), time.monotonic()
        wait_until(lambda: count("qstat") >= before["qstat"] + looks, f"{looks} looks", 120, every=0.5)
        seconds = time.monotonic() - began
        share = (cpu_ticks(pid) - ticks) / os.sysconf("SC_CLK_TCK") / seconds
        print(f"many: {queues * backlog} allocations, in {seconds:.0f} s at an interval of 5 s "
              f"{', '.join(f'{count(tool) - before[tool]} {tool}' for tool in tools.values())}, {share * 100:.2f} % of a core")
    finally:
        world.close()


if __name__ == "__main__":
    for name in sys.argv[1:] or ["latency", "hang", "kills", "many"]:
        {"latency": latency, "hang": hang, "kills": kills, "many": many}[name]()
