"""Rows of workers: a thousand of them, tasks of 20 ms, a gang behind a stream, memory over many tasks."""
import time

from lab import cpu_seconds, memory_kb
from table import middle, row

QUIET = ("--stdout=none", "--stderr=none")


class Workers:
    def __init__(self, lab, scale):
        self.lab, self.scale = lab, scale

    def n(self, count):
        return max(count // self.scale, 1)

    def fleet(self):
        """A thousand connections that register, keep alive and take turns as real workers do."""
        lab, count = self.lab, self.n(1000)
        lab.start_server()
        lab.hq("server", "info")
        before, begin = memory_kb(lab.server.pid), time.monotonic()
        thin = lab.start_thin(count, 4)
        row(f"{count:,} thin workers, until all are registered", time.monotonic() - begin, "s", reach=30, least=False)
        listed = lab.hq("--output-mode=quiet", "worker", "list").split("\n")
        assert sum("RUNNING" in line for line in listed) == count, len(listed)
        window = 20 // min(self.scale, 4)
        cpu, begin = cpu_seconds(lab.server.pid), time.monotonic()
        time.sleep(window)  # the thing measured is a stretch of time: more than two heartbeats
        used = (cpu_seconds(lab.server.pid) - cpu) / (time.monotonic() - begin) * 100
        row("  each in hqd", (memory_kb(lab.server.pid) - before) / count, "kB", reach=24, least=False)
        row("  idle hqd", used, "% of a core", reach=5, least=False)
        lab.end(thin)
        lab.end_all()

    def pace(self):
        """Tasks of 20 ms, two at a time, in turns with the bare loop doing the same."""
        lab, count = self.lab, self.n(1000)
        task = ("/bin/sleep", "0.02")
        lab.start_server()
        lab.start_worker("--cpus=2", "--detect-resources=none")
        seen = []
        for _ in range(5):
            before = lab.spawn_rate("-p", 2, "-n", count // 2, program=task)
            begin = time.monotonic()
            lab.hq("job", "wait", lab.submit(f"--array=1-{count}", *QUIET, *task))
            mine = count / (time.monotonic() - begin)
            after = lab.spawn_rate("-p", 2, "-n", count // 2, program=task)
            seen.append((mine * 2 / (before + after), mine, (before + after) / 2))
        ratio, mine, bare = middle(seen)
        row(f"{count:,} tasks of 20 ms on two cores", mine, "tasks/s", note=f"limit {bare:.1f}")
        row("  ratio to the limit running the same two at a time", ratio, reach=0.97,
            note=f"five rounds in turns: {min(seen)[0]:.3f} to {max(seen)[0]:.3f}")
        lab.end_all()

    def gang(self):
        """Three nodes at once for a task that comes when all are busy and always will be."""
        lab = self.lab
        lab.start_server()
        for _ in range(3):
            lab.start_worker("--cpus=1", "--detect-resources=none")
        stream = lab.submit("--array=1-100000", *QUIET, "sleep", "0.1")
        lab.until_true(lambda: lab.job_counts(stream)["finished"] >= 20)
        seen = []
        for _ in range(max(20 // self.scale, 5)):
            begin = time.time()
            gang = lab.submit("--nodes=3", "sh", "-c", "date +%s.%N")
            lab.hq("job", "wait", gang)
            seen.append(float((lab.root / f"job-{gang}" / "0.stdout").read_text(encoding="ascii")) - begin)
            done = lab.job_counts(stream)["finished"]
            lab.until_true(lambda: lab.job_counts(stream)["finished"] > done + 3)  # the stream has all three again
        row(f"a 3-node task behind a stream of 0.1 s tasks on 3 workers starts after, worst of {len(seen)}", max(seen), "s", reach=0.5,
            least=False, note=f"reference: not within 30; middle {middle(seen):.2f}")
        lab.end_all()

    def flat(self):
        """What a worker remembers of tasks that are over: nothing."""
        lab, first, more = self.lab, self.n(10000), self.n(100000)
        lab.start_server()
        worker = lab.start_worker("--cpus=2", "--detect-resources=none")
        lab.hq("submit", "--wait", f"--array=1-{first}", *QUIET, lab.tools / "empty")
        before = memory_kb(worker.pid)
        lab.hq("submit", "--wait", f"--array=1-{more}", *QUIET, lab.tools / "empty")
        row(f"a worker grows by, {more:,} tasks after {first:,}", memory_kb(worker.pid) - before, "kB", reach=256, least=False,
            note=f"from {before}")
        lab.end_all()
