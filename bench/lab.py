"""What the measurements share: a private server, thin workers, clocks of processes, the machine's description."""
import collections
import json
import os
import pathlib
import platform
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time

LOAD_BEFORE = os.getloadavg()[0]
Used = collections.namedtuple("Used", "seconds cpu peak_kb")  # of a whole process


def cpu_seconds(pid):
    """CPU time of all threads, to the nanosecond where the kernel tells."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / 1e9


def memory_kb(pid, key="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


def run(argv, **more):
    """A command that must succeed; its output."""
    more.setdefault("check", True)
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, **more).stdout


class Lab:
    """One private server directory with the programs of a build."""

    def __init__(self, build):
        self.build = pathlib.Path(build)
        self.bin, self.tools = self.build / "bin", self.build / "bench"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="hq-bench-"))
        fast = pathlib.Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else self.root
        self.shm = pathlib.Path(tempfile.mkdtemp(prefix="hq-bench-", dir=fast))
        self.env = {**os.environ, "HOME": str(self.root)}
        for name in ("HQ_SERVER_DIR", "HQ_OUTPUT_MODE", "HQ_DEBUG"):
            self.env.pop(name, None)
        self.running, self.server_dir, self.server, self.count = [], None, None, 0

    def spawn(self, argv, cwd=None, **env):
        process = subprocess.Popen([str(word) for word in argv], env={**self.env, **env}, cwd=cwd or self.root, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        self.running.append(process)
        return process

    @staticmethod
    def until(process, word):
        """Reads lines until one has the word: a condition, not a time."""
        for line in process.stdout:
            if word in line:
                return
        raise RuntimeError(f"{process.args} ended before it said '{word}'")

    def start_server(self, *args, directory=None):
        """A fresh server (or one in a directory that is there); the seconds until it serves."""
        self.count += 1
        self.server_dir = directory or self.root / f"s{self.count}"
        self.env["HQ_SERVER_DIR"] = str(self.server_dir)
        begin = time.monotonic()
        self.server = self.spawn([self.bin / "hq", "server", "start", "--host=127.0.0.1", *args])
        self.until(self.server, "Journal path")
        return time.monotonic() - begin

    def start_worker(self, *args, preload=None):
        worker = self.spawn([self.bin / "hq", "worker", "start", *args], **({"LD_PRELOAD": str(preload)} if preload else {}))
        self.until(worker, "Manager Job ID")
        return worker

    def start_thin(self, workers=16, slots=64, pause_ms=0):
        thin = self.spawn([self.tools / "thin_worker", "-d", self.server_dir, "-w", workers, "-s", slots, "-p", pause_ms])
        self.until(thin, "ready")
        self.hq("worker", "wait", workers)
        return thin

    def hq(self, *args, cwd=None):
        return run([self.bin / "hq", *args], env=self.env, cwd=cwd or self.root)

    def submit(self, *args, cwd=None):
        return int(self.hq("--output-mode=quiet", "submit", *args, cwd=cwd).split()[-1])

    def measure(self, *args):
        """One run of hq that must succeed: wall time, CPU, peak memory."""
        self.count += 1
        file = self.root / f"used{self.count}"
        subprocess.run([str(word) for word in (self.tools / "used", file, self.bin / "hq", *args)], env=self.env, cwd=self.root, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds, cpu, peak_kb = file.read_text(encoding="ascii").split()
        file.unlink()
        return Used(float(seconds), float(cpu), int(peak_kb))

    def first_output(self, *args):
        """Seconds until hq prints something; the rest is not waited for."""
        begin = time.monotonic()
        with subprocess.Popen([str(self.bin / "hq"), *map(str, args)], env=self.env, cwd=self.root, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            got = os.read(process.stdout.fileno(), 1)
            spent = time.monotonic() - begin
            process.kill()
        assert got, args
        return spent

    def follow_cpu(self, window, *args):
        """CPU of an hq that follows something on a terminal of 100 columns, as a share of a core, over `window` seconds."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.bin / "hq", [str(self.bin / "hq"), *map(str, args)], {**self.env, "COLUMNS": "100"})
        try:
            os.set_blocking(terminal, False)
            begin, end = time.monotonic(), time.monotonic() + window
            while time.monotonic() < end:
                if select.select([terminal], [], [], max(end - time.monotonic(), 0))[0]:
                    os.read(terminal, 65536)
            spent = time.monotonic() - begin
            return cpu_seconds(pid) / spent
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)

    def job_counts(self, job):
        """Tasks of a job by state, in lower case."""
        (listed,) = [info for info in json.loads(self.hq("--output-mode=json", "job", "list", "--all")) if info["id"] == int(job)]
        return {state.lower(): count for state, count in listed["task_stats"].items()}

    @staticmethod
    def until_true(condition):
        end = time.monotonic() + 60
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError("waited for a minute")

    def journal_bytes(self):
        """Of the default journal: all its segments."""
        return sum(path.stat().st_size for path in (self.server_dir / "hq-current").resolve().iterdir() if path.name.startswith("journal"))

    def tcp_dir(self):
        """Only the access file, as another host sees it: no socket beside it."""
        directory = self.root / f"tcp{self.count}"
        if not directory.exists():
            directory.mkdir()
            shutil.copy((self.server_dir / "hq-current").resolve() / "access.json", directory / "access.json")
        return directory

    def end(self, process, number=signal.SIGINT):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)
        return process.stdout.read()

    def end_all(self):
        for process in reversed(self.running[:]):
            self.end(process, signal.SIGINT)

    def close(self):
        self.end_all()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.shm, ignore_errors=True)

    def spawn_rate(self, *options, program=("/bin/true",), env=None):
        """Tasks per second of the bare loop."""
        line = run([self.tools / "spawn_limit", *options, *program], env=env or self.env, cwd=self.root)
        return float(line.rsplit("per_second=", 1)[1])

    def each_ms(self, count, *program):
        """Wall time of one run of a whole program, in ms: the middle of three series."""
        series = []
        for _ in range(3):
            argv = [str(word) for word in (self.tools / "spawn_limit", "-p", 1, "-n", count, *program)]
            begin = time.monotonic()
            subprocess.run(argv, env=self.env, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            series.append((time.monotonic() - begin) / count * 1000)
        return sorted(series)[1]


def machine(build):
    """Rows (name, value) of what all this was measured on."""
    def first(path, key):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith(key):
                        return line.split(":" if ":" in line else "=", 1)[1].strip().strip('"')
        except FileNotFoundError:
            pass
        return "unknown"

    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    version = subprocess.run([str(pathlib.Path(build) / "bin" / "hq"), "--version"], capture_output=True, text=True, check=False).stdout.strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return [("processor", first("/proc/cpuinfo", "model name")), ("cores", str(len(os.sched_getaffinity(0)))),
            ("memory", first("/proc/meminfo", "MemTotal")), ("system", first("/etc/os-release", "PRETTY_NAME")),
            ("kernel", platform.release()), ("compiler", compiler), ("version", f"{version}, commit {commit}"),
            ("load before", f"{LOAD_BEFORE:.1f} (what else ran; above 0.5 the rows with real processes and wall time suffer)"),
            ("measured", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))]
