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
    """hq job list before and while the controller takes connections and answers nothing."""
    slurm = Slurm().start()
    world = AllocWorld()
    world.env.update(slurm.env)
    world.env["HQ_AUTOALLOC_REFRESH_INTERVAL_MS"] = "500"
    try:
        world.start_server("--host=127.0.0.1")
        world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=5m", "--cpus=2", "--backlog=3", "--", "--begin=now+1hour")
        world.submit("--array=1-9", "--cpus=2", "true")
        wait_until(lambda: len(world.allocs()) == 3, "allocations")

        def ask(until):
            times = []
            while time.monotonic() < until:
                began = time.monotonic()
                world.hq("job", "list")
                times.append(time.monotonic() - began)
            return times
        before = ask(time.monotonic() + 5)
        slurm.pause_controller()
        while_hung = ask(time.monotonic() + seconds)
        slurm.continue_controller()
        print(f"hang: job list median {statistics.median(before) * 1e3:.2f} ms, worst {max(before) * 1e3:.2f} ms before; median "
              f"{statistics.median(while_hung) * 1e3:.2f} ms, worst {max(while_hung) * 1e3:.2f} ms in {seconds} s without the controller")
    finally:
        world.close()
        slurm.stop()


def kills(count=200, seed=1):
    """kill -9 of hq-allocd, hqd and sbatch on a real Slurm under load, then remove --force."""
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
                names = {"hq-allocd": ("hq-allocd",), "batch command": ("sbatch", "squeue", "scancel")}[victim]
                pids = [pid for pid in world.leftovers() if pathlib.Path(f"/proc/{pid}/comm").exists() and
                        pathlib.Path(f"/proc/{pid}/comm").read_text().strip() in names]
                if not pids:
                    time.sleep(0.002)  # lets somebody else work; the loop looks again
                    continue
                try:
                    os.kill(pids[0], signal.SIGKILL)
                except ProcessLookupError:
                    continue
            done[victim] += 1
        stats = world.wait_job(job, 400)
        names = [job[1] for job in slurm.jobs().values()]
        world.hq("alloc", "remove", "--force", 1)
        wait_until(lambda: not slurm.jobs("live"), "an empty Slurm", 60)
        print(f"kills: seed={seed} {done}; tasks finished {stats['finished']} of 600; {len(names)} allocations, "
              f"{len(names) - len(set(names))} submitted twice; 0 left in squeue")
    finally:
        world.close()
        slurm.stop()


def many(queues=20, backlog=50):
    """One status command for 20 queues x 50 allocations; share of a core of hq-allocd between looks."""
    world = AllocWorld()
    batch = Batch(world)
    world.env["HQ_AUTOALLOC_REFRESH_INTERVAL_MS"] = "5000"
    try:
        world.start_server("--host=127.0.0.1")
        for _ in range(queues):
            world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=1h", "--cpus=1", f"--backlog={backlog}")
        world.submit(f"--array=1-{queues * backlog}", "true")
        wait_until(lambda: len(batch.jobs()) == queues * backlog, "all allocations", 200)
        pid = world.allocd_pid()
        looks, ticks, began = len(batch.calls("squeue")), cpu_ticks(pid), time.monotonic()
        time.sleep(30)
        seconds = time.monotonic() - began
        share = (cpu_ticks(pid) - ticks) / os.sysconf("SC_CLK_TCK") / seconds
        print(f"many: {queues * backlog} allocations, {len(batch.calls('squeue')) - looks} status commands in {seconds:.0f} s at an interval of "
              f"5 s, {share * 100:.2f} % of a core")
    finally:
        world.close()


if __name__ == "__main__":
    for name in sys.argv[1:] or ["latency", "hang", "kills", "many"]:
        {"latency": latency, "hang": hang, "kills": kills, "many": many}[name]()
