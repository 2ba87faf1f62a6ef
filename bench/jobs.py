"""Rows of large jobs: entries, lists, details, followers, cancel, graphs."""
import subprocess
import threading

from lab import cpu_seconds, memory_kb
from table import middle, row, timed

MEGABYTE = 1000 * 1000
QUIET = ("--stdout=none", "--stderr=none")


class Jobs:
    def __init__(self, lab, scale):
        self.lab, self.scale = lab, scale

    def n(self, count):
        return max(count // self.scale, 1)

    def lines(self):
        """One task a line of a file of 24 MB."""
        lab, count = self.lab, self.n(1000000)
        text = lab.shm / "lines"
        text.write_text("".join(f"{line:07d} abcdefghijklmno\n" for line in range(count)), encoding="ascii")
        size = text.stat().st_size
        lab.start_server()
        lab.hq("server", "info")
        before = memory_kb(lab.server.pid)
        cpu = cpu_seconds(lab.server.pid)
        used = lab.measure("submit", "--each-line", text, *QUIET, "/bin/true")
        row(f"hq submit --each-line of {count:,} lines, {size / MEGABYTE:.0f} MB, the whole command", used.seconds, "s", reach=1, least=False,
            note=f"reference 1.8; CPU of hq {used.cpu:.2f}, of hqd {cpu_seconds(lab.server.pid) - cpu:.2f}")
        row("  hqd grows by, times the file", (memory_kb(lab.server.pid) - before) * 1024 / size, reach=2, least=False, note="reference 16")
        row("  hqd's peak above before, times the file", (memory_kb(lab.server.pid, "VmHWM") - before) * 1024 / size)
        row("  hq's peak", used.peak_kb / 1024, "MB")
        text.unlink()
        lab.end_all()

    def _info(self, state):
        lab = self.lab
        counts = lab.job_counts(1)
        assert (counts["running"] + counts["waiting"] > 0) == (state == "while it runs"), counts
        row(f"hq job info of {self.n(1000000):,} tasks, table, {state}", lab.each_ms(30, lab.bin / "hq", "job", "info", "1"), "ms", reach=10,
            least=False, note="reference 544 idle, 8,000 running; the whole process")
        first = middle([lab.first_output("--output-mode=json", "job", "info", "1") for _ in range(5)]) * 1000
        row("  JSON, until the job stands there (its tasks follow)", first, "ms", reach=10, least=False)

    def huge(self):
        """A million tasks: detail, list of tasks, followers, cancel."""
        lab, count = self.lab, self.n(1000000)
        lab.start_server()
        lab.submit(f"--array=1-{count}", *QUIET, "/bin/true")
        thin = lab.start_thin(16, 64, pause_ms=300)
        self._info("while it runs")
        self._followers()
        lab.end(thin)
        thin = lab.start_thin(16, 64)
        lab.hq("job", "wait", "1")
        lab.end(thin)
        self._info("all finished")
        self._task_list()
        lab.submit(f"--array=1-{count}", *QUIET, "/bin/true")
        thin = lab.start_thin(4, 64, pause_ms=50)
        lab.until_true(lambda: lab.job_counts(2)["finished"] > 0)
        used = lab.measure("job", "cancel", "2")
        counts = lab.job_counts(2)
        assert counts["canceled"] > 0 and counts["canceled"] + counts["finished"] == count, counts
        row(f"hq job cancel of {count:,} tasks while they run, whole process", used.seconds * 1000, "ms", reach=100, least=False,
            note=f"reference 1,014; {counts['canceled']:,} canceled")
        lab.end(thin)
        lab.end_all()

    def _followers(self):
        """CPU of clients that follow, over a stretch in which tasks end all the time."""
        lab = self.lab
        before = lab.job_counts(1)["finished"]
        window = 10 / self.scale
        for what, spent in (("wait", lab.follow_cpu(window, "job", "wait", "1")), ("progress", lab.follow_cpu(window, "job", "progress", "1"))):
            row(f"  hq job {what} meanwhile, on a terminal", spent * 100, "% of a core", reach=1, least=False)
        after = lab.job_counts(1)
        assert after["running"] + after["waiting"] > 0, "the job ended before it was measured"
        row("  tasks that ended meanwhile", (after["finished"] - before) / (2 * window), "tasks/s")

    def _task_list(self):
        lab, count = self.lab, self.n(1000000)
        usual = [lab.measure("job", "list").seconds for _ in range(50)]
        beside, lists = [], []
        over = threading.Event()

        def loop():
            while not over.is_set():
                beside.append(lab.measure("job", "list").seconds)

        other = threading.Thread(target=loop)
        other.start()
        try:
            for _ in range(3):
                cpu = cpu_seconds(lab.server.pid)
                lists.append((lab.measure("--output-mode=json", "task", "list", "1"), cpu_seconds(lab.server.pid) - cpu))
        finally:
            over.set()
            other.join()
        used, hqd_cpu = min(lists, key=lambda pair: pair[0].seconds)
        row(f"hq task list of {count:,} tasks in JSON", used.seconds, "s", reach=1.5, least=False,
            note=f"reference 2.4; CPU of hq {used.cpu:.2f}, of hqd {hqd_cpu:.2f}, job list in a loop beside it")
        row("  hq's peak", used.peak_kb / 1024, "MB", reach=64, least=False, note="reference 968")
        row("  hq job list beside it, longest, above its usual time", (max(beside) - middle(usual)) * 1000, "ms", reach=20, least=False,
            note=f"usual {middle(usual) * 1000:.1f}, alone at most {max(usual) * 1000:.1f}; {len(beside)} lists")

    def graph(self):
        lab, count = self.lab, self.n(100000)
        text = lab.shm / "graph.toml"
        with open(text, "w", encoding="ascii") as file:
            for task in range(count):
                deps = f"deps = [{', '.join(str(task - back) for back in (4, 3, 2, 1))}]\n" if task >= 4 else ""
                file.write(f'[[task]]\nid = {task}\ncommand = ["/bin/true"]\nstdout = "none"\nstderr = "none"\n{deps}')
        lab.start_server()
        lab.hq("server", "info")
        before, cpu = memory_kb(lab.server.pid), cpu_seconds(lab.server.pid)
        used = lab.measure("job", "submit-file", text)
        grown = (memory_kb(lab.server.pid) - before) * 1024
        edges = 4 * (count - 4)
        row(f"hq job submit-file, {count:,} tasks, {edges:,} edges", used.seconds, "s", reach=1, least=False,
            note=f"CPU of hq {used.cpu:.2f}, of hqd {cpu_seconds(lab.server.pid) - cpu:.2f}; hq's peak {used.peak_kb / 1024:.0f} MB")
        row("  hqd grows by, of 64 bytes a task and 8 an edge", grown / (64 * count + 8 * edges), reach=1, least=False,
            note=f"{grown / MEGABYTE:.1f} MB")
        thin = lab.start_thin(4, 16)
        row("  all of it done by thin workers", timed(lambda: lab.hq("job", "wait", "1")), "s")
        counts = lab.job_counts(1)
        assert counts["finished"] == count, counts
        lab.end(thin)
        text.unlink()
        lab.end_all()


class Streams:
    """Rows of streamed output."""

    def __init__(self, lab, scale):
        self.lab, self.scale = lab, scale
        self.job = 0  # submitted last

    def n(self, count):
        return max(count // self.scale, 1)

    def _seconds(self, count, *options, program=("/bin/echo", "hello")):
        lab = self.lab

        def whole():
            self.job = lab.submit(f"--array=1-{count}", *options, *program, cwd=lab.shm)
            lab.hq("job", "wait", self.job)

        spent = timed(whole)
        counts = lab.job_counts(self.job)
        assert counts["finished"] == count, counts
        return spent

    def _clear(self):
        subprocess.run(["sh", "-c", "rm -rf job-* out"], cwd=self.lab.shm, check=True)

    def stream(self):
        self._short()
        self._large()

    def _short(self):
        """Limit, discarded and streamed in turns, so that a neighbour of this machine disturbs all three."""
        lab, count = self.lab, self.n(4000)
        lab.start_server()
        worker = lab.start_worker("--cpus=2", "--detect-resources=none")
        echo = ("/bin/echo", "hello")
        to_limit, to_none, rates, cpus = [], [], [], []
        for _ in range(5):
            before = lab.spawn_rate("-p", 2, "-n", count // 2, program=echo)
            none_before = count / 2 / self._seconds(count // 2, *QUIET)
            cpu = cpu_seconds(worker.pid)
            rate = count / self._seconds(count, "--stream=out")
            cpus.append((cpu_seconds(worker.pid) - cpu) / count * 1e6)
            streamed = self.job
            none_after = count / 2 / self._seconds(count // 2, *QUIET)
            after = lab.spawn_rate("-p", 2, "-n", count // 2, program=echo)
            to_limit.append(rate / ((before + after) / 2))
            to_none.append(rate / ((none_before + none_after) / 2))
            rates.append(rate)
        got = lab.hq("output-log", "out", "cat", streamed, "stdout", cwd=lab.shm)
        assert got == "hello\n" * count
        row(f"{5 * count:,} x /bin/echo streamed, in five arrays", middle(rates), "tasks/s")
        row("  ratio to the spawn limit, in turns", middle(to_limit), reach=0.8, note=f"reference 0.27; {min(to_limit):.2f} to {max(to_limit):.2f}")
        row("  ratio to the rate with output discarded, in turns", middle(to_none), reach=0.95,
            note=f"{min(to_none):.2f} to {max(to_none):.2f}")
        row("  hq-workerd's CPU per task", middle(cpus), "us")
        self._clear()
        lab.end_all()

    def _large(self):
        """The bytes pass a pipe, are summed, and land in one file."""
        lab, size = self.lab, self.n(1000 * MEGABYTE)
        lab.start_server()
        worker = lab.start_worker("--cpus=2", "--detect-resources=none")
        subprocess.run(["sh", "-c", f"head -c {size} /dev/urandom >data"], cwd=lab.shm, check=True)
        ratios, piped, rates = [], [], []

        def shell(script):
            return timed(lambda: subprocess.run(["sh", "-c", script], cwd=lab.shm, check=True))

        for _ in range(5):
            shell("cat data >file; rm file")  # memory that the machine has lent before: the first use of it costs far more
            cat = shell("cat data >file")
            shell("rm file")
            pipe = shell("cat data | cat >file")
            shell("rm file")
            mine = self._seconds(1, "--stream=out", program=("cat", "data"))
            shell("rm -r out")
            ratios.append(cat / mine)
            piped.append(pipe / mine)
            rates.append(size / mine / MEGABYTE)
        row(f"a task streams {size / MEGABYTE:,.0f} MB through its stdout to tmpfs", middle(rates), "MB/s")
        row("  ratio to `cat data | cat >file`, in turns", middle(piped), reach=0.8, note=f"{min(piped):.2f} to {max(piped):.2f}")
        row("  ratio to `cat data >file` without a pipe, in turns", middle(ratios), note=f"{min(ratios):.2f} to {max(ratios):.2f}")
        (lab.shm / "data").unlink()
        # On the disk: far more than the memory could hold back for long.
        self._seconds(1, f"--stream={lab.root}/out", program=("head", "-c", "8M", "/dev/zero"))
        before, size = memory_kb(worker.pid), self.n(10000 * MEGABYTE)
        spent = self._seconds(1, f"--stream={lab.root}/out", program=("head", "-c", size, "/dev/zero"))
        row(f"a stream of {size / MEGABYTE:,.0f} MB: hq-workerd grows by", (memory_kb(worker.pid) - before) / 1024, "MB", reach=1, least=False,
            note=f"{size / spent / MEGABYTE:,.0f} MB/s, to the disk")
        used = lab.measure("output-log", lab.root / "out", "cat", self.job, "stdout")
        row("  hq output-log cat of it: hq's peak", used.peak_kb / 1024, "MB", reach=64, least=False, note=f"{size / used.seconds / MEGABYTE:,.0f} MB/s")
        lab.end_all()

    def slow(self):
        """Where creating a file takes 2 ms, one after the other in a directory, as on a shared filesystem; the smallest program."""
        lab, count, program = self.lab, self.n(2000), (self.lab.tools / "empty", "hello")
        lab.start_server()
        worker = lab.start_worker("--cpus=2", "--detect-resources=none", preload=lab.tools / "slow_create.so")
        ratios, files = [], []
        for _ in range(5):
            apart = self._seconds(count // 4, program=program) / (count // 4)
            assert apart > 0.004, "files were created faster than the shim lets them"
            together = self._seconds(count, "--stream=out", program=program) / count
            ratios.append(apart / together)
            files.append(1 / apart)
        row("a task that prints, where creating a file costs 2 ms: two files each", middle(files), "tasks/s")
        row("  streamed, ratio in turns", middle(ratios), reach=5, note=f"{min(ratios):.2f} to {max(ratios):.2f}")
        self._clear()
        lab.end(worker)
        lab.end_all()
