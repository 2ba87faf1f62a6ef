"""How a task runs and ends: statuses, signals, limits, cancel, what it leaves behind."""
import os
import pathlib
import signal

import pytest

from harness import SAN, is_alive, rss_kb, wait_until


@pytest.mark.parametrize("command, error", [
    (["sh", "-c", "exit 3"], "Program terminated with exit code 3."),
    (["sh", "-c", "exit 255"], "Program terminated with exit code 255."),
    (["sh", "-c", "kill -9 $$"], "Program terminated with exit code -1. Received signal 9 (SIGKILL)."),
    (["sh", "-c", "kill -SEGV $$"], "Program terminated with exit code -1. Received signal 11 (SIGSEGV)."),
])
def test_ends(cluster, command, error):
    job = cluster.submit(*command)
    assert cluster.wait_job(job)["failed"] == 1
    task = cluster.task(job)
    assert task["error"] == error and task["worker"] == 1 and task["finished_at"] >= task["started_at"]


def test_program_not_found(cluster):
    job = cluster.submit("no-such-program", "x y")
    cluster.wait_job(job)
    error = cluster.task(job)["error"]
    assert error.startswith('Cannot execute "no-such-program x y": No such file or directory (os error 2)')
    assert "The program that you have tried to execute (`no-such-program`) was not found." in error


def test_hint_for_a_file_that_is_there(cluster):
    cluster.script("prog", "true\n")
    job = cluster.submit("prog")
    cluster.wait_job(job)
    assert "maybe you have meant `./prog` instead?" in cluster.task(job)["error"]


def test_no_permission(cluster):
    (cluster.work / "plain.sh").write_text("true\n")
    job = cluster.submit("--directives=off", "./plain.sh")
    cluster.wait_job(job)
    error = cluster.task(job)["error"]
    assert "Permission denied (os error 13)" in error
    assert "The script that you have tried to execute (`./plain.sh`) is not executable." in error


def test_text_without_shebang_is_run_by_the_shell(cluster):
    path = cluster.work / "plain"
    path.write_text("echo from sh\n")
    path.chmod(0o755)
    job = cluster.submit("--wait", "./plain")
    assert cluster.read(f"job-{job}/0.stdout") == "from sh\n"


def test_path_of_the_task_counts(cluster):
    (cluster.work / "bin").mkdir()
    cluster.script("bin/only-here", "echo found\n")
    job = cluster.submit(f"--env=PATH={cluster.work}/bin:/usr/bin:/bin", "--wait", "only-here")
    assert cluster.read(f"job-{job}/0.stdout") == "found\n"


def test_process_environment(cluster):
    """Own session, /dev/null for stdin, nothing of the daemon's open."""
    job = cluster.submit("--wait", "sh", "-c", "ps -o sid= -p $$ | tr -d ' '; echo $$; readlink /proc/self/fd/0; ls /proc/$$/fd | wc -l")
    sid, pid, stdin, fds = cluster.read(f"job-{job}/0.stdout").split()
    assert sid == pid and stdin == "/dev/null" and int(fds) <= 4


def test_descriptor_limit_is_the_users(server):
    server.start_worker(preexec_fn=None)
    job = server.submit("--wait", "sh", "-c", "ulimit -Sn; ulimit -Hn")
    import resource
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert server.read(f"job-{job}/0.stdout").split()[0] in (str(soft), "unlimited")


def test_cancel_a_polite_task(cluster):
    job = cluster.submit("sh", "-c", "trap 'echo bye; exit 0' INT; echo up; while :; do sleep 0.02; done")
    out = cluster.work / f"job-{job}" / "0.stdout"
    wait_until(lambda: out.exists() and out.read_text() == "up\n", "the task to be up")
    canceled = cluster.hq("job", "cancel", job, "--reason", "enough")
    assert f"INFO Job {job} canceled (1 tasks canceled, 0 tasks already finished)" in canceled.err
    assert cluster.task(job)["state"] == "canceled"
    wait_until(lambda: out.read_text() == "up\nbye\n", "its last words")
    assert cluster.jobs()[job]["cancel_reason"] == "enough"
    assert cluster.task(job)["state"] == "canceled"


def test_cancel_escalates_to_the_whole_tree(cluster):
    """SIGINT is ignored by all of them; SIGKILL reaches the leader, its child and a child that left the group."""
    job = cluster.submit("sh", "-c", "trap '' INT; sleep 1000 & echo $!; setsid sleep 1001 & echo $!; echo $$; wait; sleep 1002")
    out = cluster.work / f"job-{job}" / "0.stdout"
    pids = wait_until(lambda: out.exists() and out.read_text().count("\n") == 3 and [int(pid) for pid in out.read_text().split()],
                      "three pids")
    assert all(is_alive(pid) for pid in pids)
    cluster.hq("job", "cancel", job)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of the tree", timeout=10)
    after = cluster.submit("--wait", "--cpus=2", "true")  # its cpus are free again
    assert cluster.stats(after)["finished"] == 1


def test_time_limit_kills_the_tree(cluster):
    job = cluster.submit("--time-limit=1s", "sh", "-c", "trap '' INT; sleep 1000 & echo $!; wait; sleep 1001")
    assert cluster.wait_job(job)["failed"] == 1
    assert cluster.task(job)["error"] == "Time limit reached"
    child = int(cluster.read(f"job-{job}/0.stdout"))
    wait_until(lambda: not is_alive(child), "the child's end")


def test_background_children_end_with_the_task(cluster):
    job = cluster.submit("--wait", "sh", "-c", "sleep 1000 & echo $!")
    child = int(cluster.read(f"job-{job}/0.stdout"))
    assert cluster.stats(job)["finished"] == 1
    wait_until(lambda: not is_alive(child), "the child's end")


# How a process can leave its task behind: as the shell writes it, each prints its pid first.
LEAVING = {
    "a daemon that forked twice": "(setsid sh -c 'echo $$; exec sleep 1000' &)",
    "a group of its own": "set -m; sh -c 'echo $$; exec sleep 1000' &",
    "signals ignored": "sh -c 'trap \"\" INT TERM HUP QUIT; echo $$; sleep 1000; sleep 1000' &",
    "its output closed": "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1 </dev/null' &",
}


def first_pid(path):
    def read():
        words = path.read_text().split() if path.exists() else []
        return int(words[0]) if words else None
    return wait_until(read, "the pid of who leaves")


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("end", ["exit", "cancel", "time limit"])
def test_nobody_outlives_the_task(cluster, how, end):
    """Whatever of the task is left dies with it, however it ends, and its cpus are free again."""
    options = ["--time-limit=1s"] if end == "time limit" else []
    # the task ends by itself only when the other has said its pid
    wait = "while [ ! -s $PIDS ]; do sleep 0.02; done" if end == "exit" else "sleep 1000"
    pids = cluster.work / "pids"
    job = cluster.submit(f"--env=PIDS={pids}", *options, "bash", "-c", f"exec 3>&1 >$PIDS; {LEAVING[how]}\n {wait}")
    pid = first_pid(pids)
    if end == "cancel":
        cluster.hq("job", "cancel", job)
    cluster.wait_job(job)
    wait_until(lambda: not is_alive(pid), f"the end of {how}", timeout=10)
    assert cluster.stats(job)[{"exit": "finished", "cancel": "canceled", "time limit": "failed"}[end]] == 1
    after = cluster.submit("--wait", "--cpus=2", "true")
    assert cluster.stats(after)["finished"] == 1


@pytest.fixture
def delegated_group():
    """A control group (v2) of our own, marked as systemd marks those that it gives away."""
    with open("/proc/self/mounts", encoding="ascii") as file:
        tops = [words[1] for words in map(str.split, file) if words[2] == "cgroup2"]
    group = pathlib.Path(tops[0] if tops else "/nonexistent") / f"hq-e2e-{os.getpid()}"
    try:
        group.mkdir()
        os.setxattr(group, "user.delegate", b"1")
    except OSError as no:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group can be made here: {no}")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "an empty control group")
    for below in sorted(group.rglob("*"), reverse=True):
        if below.is_dir():
            below.rmdir()
    group.rmdir()


def test_control_group_of_a_task(delegated_group, server):
    """Where a group is delegated, nobody gets away: not even who hides the key while other tasks run."""
    command = f"echo $$ >{delegated_group}/cgroup.procs; exec hq worker start --cpus=2"
    worker = server.daemon("worker", ["sh", "-c", command])
    worker.wait_for_out("Manager Job ID")
    gate = server.work / "gate"
    other = server.submit("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    server.wait_task(other, 0, "running")
    pids = server.work / "pids"
    script = f"(env -i setsid sh -c 'echo $$ >{pids}; exec sleep 1000' &); while [ ! -s {pids} ]; do sleep 0.02; done"
    job = server.submit("--wait", "sh", "-c", f"cat /proc/self/cgroup; {script}")
    pid = first_pid(pids)
    assert f"0::/{delegated_group.name}/hq-worker-{worker.pid}/" in server.read(f"job-{job}/0.stdout")
    wait_until(lambda: not is_alive(pid), "the end of the hidden daemon")
    assert server.stats(other)["running"] == 1  # another task's leaf is not touched
    gate.touch()
    server.wait_job(other)
    worker.signal(signal.SIGINT)
    assert worker.wait() == 0
    assert not [entry for entry in delegated_group.iterdir() if entry.is_dir()]  # no leaf is left behind


@pytest.mark.parametrize("stream", [False, True])
def test_child_holds_the_output_open(cluster, stream):
    """The task is over when its own process is, whoever still has its stdout and stderr; what it wrote is complete."""
    options = ["--stream=log"] if stream else []
    job = cluster.submit(*options, "sh", "-c", "env -i setsid sleep 1000 & echo out; echo err >&2; exit 0")
    assert cluster.wait_job(job, timeout=10)["finished"] == 1
    if stream:
        shown = [cluster.hq("output-log", "log", "cat", job, channel).out for channel in ("stdout", "stderr")]
    else:
        shown = [cluster.read(f"job-{job}/0.{channel}") for channel in ("stdout", "stderr")]
    assert shown == ["out\n", "err\n"]


def test_child_floods_the_stream_of_its_ended_task(cluster):
    """Somebody who got away writes as fast as the pipe takes it: the task ends all the same."""
    job = cluster.submit("--stream=log", "sh", "-c", "env -i setsid sh -c 'exec yes' & echo $!; exit 0")
    assert cluster.wait_job(job, timeout=10)["finished"] == 1
    after = cluster.submit("--wait", "--cpus=2", "true")
    assert cluster.stats(after)["finished"] == 1


def test_more_output_than_a_pipe_holds(cluster):
    """Both pipes full at once, megabytes of each: all of it arrives, and nobody waits for the other."""
    script = "(head -c 8000000 /dev/zero | tr '\\0' e >&2) & head -c 8000000 /dev/zero | tr '\\0' o; wait"
    job = cluster.submit("--stream=log", "sh", "-c", script)
    assert cluster.wait_job(job)["finished"] == 1
    for channel in ("stdout", "stderr"):
        assert cluster.hq("output-log", "log", "cat", job, channel).out == channel[3] * 8000000


def test_stdin_that_nobody_reads(cluster):
    """More than a pipe holds, and the task ends without a look at it."""
    job = cluster.submit("--stdin", "true", stdin=b"x" * 3000000)
    assert cluster.wait_job(job)["finished"] == 1
    job = cluster.submit("--stdin", "wc", "-c", stdin=b"x" * 3000000)
    assert cluster.wait_job(job)["finished"] == 1
    assert cluster.read(f"job-{job}/0.stdout").strip() == "3000000"


def test_cancel_frees_what_waits(server):
    server.start_worker("--cpus=1")
    first = server.submit("sleep", "1000")
    second = server.submit("--array=1-1000", "true")
    third = server.submit("true")
    server.wait_task(first, 0, "running")
    server.hq("job", "cancel", second)
    server.hq("job", "cancel", first)
    assert server.wait_job(third)["finished"] == 1
    assert server.stats(second)["canceled"] == 1000


def test_task_is_told_apart_from_its_shell_job(cluster):
    """The worker reaps orphans without taking them for tasks."""
    job = cluster.submit("--array=1-20", "--wait", "sh", "-c", "(sh -c 'exit 9' &) ; exit 0")
    assert cluster.stats(job)["finished"] == 20
    assert cluster.worker.running()


def test_unreadable_directory(cluster):
    """A directory that cannot be created: the task says what and where."""
    (cluster.work / "file").write_text("")
    job = cluster.submit("--cwd=file/sub", "true")
    cluster.wait_job(job)
    error = cluster.task(job)["error"]
    assert "file/sub" in error and ("Could not create working directory:" in error or "Cannot create stdout directory at" in error)
    job = cluster.submit("--stdout=file/sub/out", "true")
    cluster.wait_job(job)
    assert "Cannot create stdout directory at" in cluster.task(job)["error"]
    job = cluster.submit("--stderr=file/sub/out", "true")
    cluster.wait_job(job)
    assert "Cannot create stderr directory at" in cluster.task(job)["error"]
    (cluster.work / "dir").mkdir()
    job = cluster.submit("--stdout=dir", "true")
    cluster.wait_job(job)
    assert "Creating stream file failed:" in cluster.task(job)["error"]
    assert cluster.worker.running()


def test_many_small_tasks_leave_no_descriptor_behind(cluster):
    cluster.submit("--array=1-50", "--wait", "true")
    before = len(os.listdir(f"/proc/{cluster.worker.pid}/fd"))
    cluster.submit("--array=1-500", "--wait", "true")
    wait_until(lambda: len(os.listdir(f"/proc/{cluster.worker.pid}/fd")) <= before, "descriptors back to where they were")


def test_worker_remembers_nothing_of_tasks_that_are_over(cluster):
    cluster.submit("--array=1-1000", "--wait", "--stdout=none", "--stderr=none", "true")
    before = rss_kb(cluster.worker.pid)
    cluster.submit("--array=1-4000", "--wait", "--stdout=none", "--stderr=none", "true")
    if not SAN:  # they keep freed memory for a while
        assert rss_kb(cluster.worker.pid) - before < 256  # 64 bytes a task


def test_worker_survives_signals_meant_for_others(cluster):
    cluster.worker.signal(signal.SIGPIPE)
    cluster.worker.signal(signal.SIGCHLD)
    job = cluster.submit("--wait", "true")
    assert cluster.stats(job)["finished"] == 1
