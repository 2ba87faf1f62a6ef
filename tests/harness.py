"""Real daemons in a private directory: start, ask, wait for conditions, collect logs, leave nothing behind."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("HQ_TEST_BIN", REPO / "build" / "bin"))
TOOLS = pathlib.Path(os.environ.get("HQ_TEST_TOOLS", REPO / "build" / "bench"))
SAN = os.environ.get("HQ_TEST_SAN", "")
SLOW = 4 if SAN else 1  # sanitizers: everything takes longer, so do waits (never what is asserted)
STATES_ENDED = ("finished", "failed", "canceled", "aborted")


def wait_until(condition, what, timeout=20.0, every=0.02):
    """Ask until the answer is true and return it; the pause only keeps the machine free for those who work."""
    end = time.monotonic() + timeout * SLOW
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout * SLOW:.0f} s for: {what}")
        time.sleep(every)


def is_alive(pid):
    """False also for a zombie: it runs no more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_asleep(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "S"


def has_socket(pid):
    """Connected, or about to be."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
                return True
        except FileNotFoundError:
            pass
    return False


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError(f"no memory of process {pid}")


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Daemon:
    """A process in the background with its output in files."""

    def __init__(self, name, argv, env, cwd, log_dir, **popen):
        self.name = name
        self.out_path = log_dir / f"{name}.out"
        self.err_path = log_dir / f"{name}.err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True, **popen)
        self.pid = self.process.pid

    def out(self):
        return self.out_path.read_text(errors="replace")

    def err(self):
        return self.err_path.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=20.0):
        return self.process.wait(timeout * SLOW)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait_for_err(self, text, timeout=20.0):
        wait_until(lambda: text in self.err() or not self.running(), f"'{text}' in the log of {self.name}", timeout)
        assert text in self.err(), f"{self.name} ended before it logged '{text}':\n{self.err()}"

    def wait_for_out(self, text, timeout=20.0):
        wait_until(lambda: text in self.out() or not self.running(), f"'{text}' in the output of {self.name}", timeout)
        assert text in self.out(), f"{self.name} ended before it printed '{text}':\n{self.out()}\n{self.err()}"


class Result:
    def __init__(self, args, done):
        self.args, self.status = args, done.returncode
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return f"{self.args} -> {self.status}\n--- stdout\n{self.out}--- stderr\n{self.err}"

    def json(self):
        return json.loads(self.out)


class World:
    """One private home with its server directory, working directory and daemons."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="hqt-"))
        self.home, self.work, self.logs = self.root / "home", self.root / "work", self.root / "logs"
        self.tmp = self.root / "tmp"
        for directory in (self.home, self.work, self.logs, self.tmp):
            directory.mkdir()
        self.server_dir = self.home / ".hq-server"
        self.bin = BIN
        self.env = {"HOME": str(self.home), "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
                    "TZ": "UTC", "TMPDIR": str(self.tmp), "HQ_TEST_ROOT": str(self.root)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.daemons = []

    # ---- commands
    def hq(self, *args, check=True, timeout=30.0, stdin=b"", env=None, cwd=None):
        """Run hq to its end. `check`: the exit status must be 0."""
        argv = [str(self.bin / "hq"), *map(str, args)]
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd or self.work,
                              env={**self.env, **(env or {})}, timeout=timeout * SLOW)
        result = Result(args, done)
        if check:
            assert result.status == 0, repr(result)
        return result

    def json(self, *args, **more):
        return self.hq("--output-mode=json", *args, **more).json()

    def quiet(self, *args, **more):
        return self.hq("--output-mode=quiet", *args, **more).out

    def submit(self, *args, **more):
        """The id of the new job."""
        return int(self.quiet("submit", *args, **more).split()[-1])

    # ---- daemons
    def daemon(self, name, argv, env=None, cwd=None, **popen):
        daemon = Daemon(f"{len(self.daemons):02d}-{name}", [str(word) for word in argv], {**self.env, **(env or {})},
                        cwd or self.work, self.logs, **popen)
        self.daemons.append(daemon)
        return daemon

    def spawn_hq(self, *args, **more):
        """hq in the background: for commands that wait."""
        return self.daemon("hq-" + str(args[0]), [self.bin / "hq", *args], **more)

    def start_server(self, *args, wait=True, **more):
        server = self.daemon("server", [self.bin / "hq", "server", "start", *args], **more)
        if wait:
            server.wait_for_out("Journal path")
            wait_until(lambda: server.out().count("+--") >= 2, "the end of the server's table")
        return server

    def start_worker(self, *args, wait=True, name="worker", **more):
        """A worker of two cpus unless told otherwise; returns when it has registered."""
        if not any(str(arg).startswith("--cpus") for arg in args):
            args = ("--cpus=2", *args)
        worker = self.daemon(name, [self.bin / "hq", "worker", "start", *args], **more)
        if wait:
            worker.wait_for_out("Manager Job ID")
        return worker

    def stop_all(self):
        for daemon in self.daemons:
            if daemon.running():
                daemon.process.kill()
        for daemon in self.daemons:
            daemon.process.wait()
        for _ in range(100):
            pids = self.leftovers()
            if not pids:
                break
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)

    def leftovers(self):
        """Processes that carry this world's mark in their environment: daemons, tasks, orphans."""
        mark = f"HQ_TEST_ROOT={self.root}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read().split(b"\0") and is_alive(int(entry)):
                        found.append(int(entry))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found

    def close(self):
        self.stop_all()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- questions
    def instance_dir(self):
        return (self.server_dir / "hq-current").resolve()

    def access(self):
        return json.loads((self.instance_dir() / "access.json").read_text())

    def jobs(self):
        return {job["id"]: job for job in self.json("job", "list", "--all")}

    def stats(self, job):
        return self.jobs()[job]["task_stats"]

    def ended(self, job):
        stats = self.stats(job)
        return stats["waiting"] == 0 and stats["running"] == 0

    def tasks(self, job, *args):
        return {task["id"]: task for task in self.json("task", "list", job, *args)[str(job)]}

    def task(self, job, task=0):
        return self.tasks(job)[task]

    def wait_job(self, job, timeout=30.0):
        """Until no task of the job waits or runs; its counters."""
        self.hq("job", "wait", job, timeout=timeout)
        return self.stats(job)

    def wait_task(self, job, task, state, timeout=20.0):
        wait_until(lambda: self.task(job, task)["state"] == state, f"task {job}@{task} {state}", timeout)

    def workers(self):
        return {worker["id"]: worker for worker in self.json("worker", "list", "--all")}

    def running_workers(self):
        return [worker for worker, info in self.workers().items() if info["ended"] is None]

    def script(self, name, text):
        """An executable shell script in the working directory."""
        path = self.work / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def read(self, name):
        return (self.work / name).read_text(errors="surrogateescape")
