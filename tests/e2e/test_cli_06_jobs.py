"""Section 6 of the command line beside test_jobs.py: every message of the job commands, in all output modes, with its exit status."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios

import pytest

from harness import wait_until

EMPTY_TASKS = "+---------+-------+--------+----------+-------+\n| Task ID | State | Worker | Makespan | Error |\n"


def log_lines(result):
    """(level, text) of each log line; anything else on stderr fails."""
    found = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (ERROR|WARN|INFO) (.*)", line) for line in result.err.splitlines()]
    assert all(found), result
    return [(match[1], match[2]) for match in found]


ACTIONS = [["job", "cancel", "9"], ["job", "close", "9"], ["job", "forget", "9"], ["job", "wait", "9"], ["worker", "stop", "9"], ["job", "cancel", "all"],
           ["job", "close", "last"], ["job", "progress", "all"], ["job", "wait", "all"]]


@pytest.mark.parametrize("command", ACTIONS, ids=" ".join)
def test_actions_answer_by_log_lines_alone(server, command):
    """Nothing on stdout, `{}` in JSON, and the lines are not silenced by quiet mode."""
    plain, quiet, as_json = (server.hq(f"--output-mode={mode}", *command) for mode in ("cli", "quiet", "json"))
    assert plain.out == quiet.out == "" and as_json.out == "{}\n"
    assert log_lines(plain) == log_lines(quiet) == log_lines(as_json)


@pytest.mark.parametrize("command, line", [
    (["job", "info", "9"], ("ERROR", "Job 9 not found")),
    (["job", "cancel", "9"], ("ERROR", "Canceling job 9 failed; job not found")),
    (["job", "cancel", "all"], ("INFO", "There is nothing to cancel")),
    (["job", "close", "9"], ("ERROR", "Closing job 9 failed; job not found")),
    (["job", "close", "all"], ("INFO", "There is nothing to close")),
    (["job", "forget", "9"], ("INFO", "0 jobs were forgotten, 1 were ignored due to wrong state or invalid ID")),
    (["job", "wait", "9"], ("ERROR", "Job 9 not found")),
    (["job", "cat", "9", "stdout"], ("ERROR", "Job 9 was not found")),
    (["job", "cat", "last", "stdout"], ("ERROR", "No jobs were found")),
    (["job", "progress", "9"], ("WARN", "There are no jobs to wait for")),
    (["task", "list", "9"], ("WARN", "Job 9 not found")),
    (["task", "info", "9", "0"], ("ERROR", "Cannot find job 9")),
    (["worker", "info", "9"], ("ERROR", "Worker 9 not found")),
    (["worker", "stop", "9"], ("ERROR", "Stopping worker 9 failed; worker not found")),
])
def test_unknown_ids_are_told_and_no_error(server, command, line):
    """Scripts loop over ids: the status stays 0, and there is always a line (`job wait` said nothing)."""
    assert log_lines(server.hq(*command))[-1] == line


def test_task_info_of_the_last_job_when_there_is_none(server):
    """The reference crashed."""
    assert log_lines(server.hq("task", "info", "last", "0")) == [("ERROR", "No jobs were found")]


def test_list_shows_open_jobs_whatever_their_state(cluster):
    cluster.hq("job", "open", "--name=box")
    cluster.submit("--job=1", "false")
    wait_until(lambda: cluster.ended(1), "its task's end")
    cluster.submit("--wait", "true")
    assert cluster.quiet("job", "list") == "1 FAILED\n"
    assert cluster.quiet("job", "list", "--filter=finished") == "2 FINISHED\n"
    shown = cluster.hq("job", "list").out
    assert "| *1 | box " in shown and shown.endswith("* = Open jobs\nThere are 2 jobs in total. Use `--all` to display all jobs.\n")
    cluster.hq("job", "close", "1")
    assert cluster.quiet("job", "list") == ""


def test_one_job_in_total(cluster):
    cluster.submit("--wait", "true")
    assert cluster.hq("job", "list").out.endswith("There is 1 job in total. Use `--all` to display all jobs.\n")
    assert "in total" not in cluster.hq("job", "list", "--all").out


def test_verbose_has_no_effect_beyond_tables(server):
    server.submit("--cpus=64", "true")
    server.hq("job", "cancel", "1", "--reason=why")
    for mode in ("json", "quiet"):
        assert server.hq(f"--output-mode={mode}", "job", "list", "--all").out == server.hq(f"--output-mode={mode}", "job", "list", "--all", "--verbose").out
    assert server.json("job", "list", "--all")[0]["cancel_reason"] == "why"


def test_names_are_cut_between_characters(server):
    """24 bytes and 23 bytes, but never half a character (the reference crashed)."""
    server.submit("--name=" + "ž" * 60, "true")
    cell = re.search(r"\| ([^|]*ž[^|]*) \|", server.hq("job", "list").out)[1].strip()
    assert cell == "ž" * 12 + "..." + "ž" * 11


def test_summary_counts_open_jobs_last(server):
    """The reference counted them in no row."""
    server.hq("job", "open")
    server.submit("--cpus=64", "true")
    rows = re.findall(r"^\| (\w+) +\| +(\d+) \|$", server.hq("job", "summary").out, re.M)
    assert rows == [("RUNNING", "0"), ("WAITING", "1"), ("FINISHED", "0"), ("FAILED", "0"), ("ABORTED", "0"), ("CANCELED", "0"), ("OPENED", "1")]
    assert server.quiet("job", "summary") == "".join(f"{name} {count}\n" for name, count in rows)
    assert server.json("job", "summary") == {name.capitalize(): int(count) for name, count in rows}
    server.hq("job", "close", "1")
    assert "OPENED" not in server.hq("job", "summary").out and "Opened" not in server.json("job", "summary")


def test_cancel_keeps_the_first_reason(server):
    """A later cancel without a reason does not erase it, and one that hits nothing changes nothing."""
    server.hq("job", "open")
    server.submit("--job=1", "--cpus=64", "true")
    server.hq("job", "cancel", "1", "--reason=first")
    server.submit("--job=1", "--cpus=64", "true")
    server.hq("job", "cancel", "1")
    assert server.jobs()[1]["cancel_reason"] == "first" and server.jobs()[1]["is_open"]
    nothing = server.hq("job", "cancel", "1", "--reason=late")
    assert "ERROR Canceling job 1 failed; all tasks are already finished" in nothing.err
    assert server.jobs()[1]["cancel_reason"] == "first"
    server.submit("--job=1", "--cpus=64", "true")
    server.hq("job", "cancel", "1", "--reason=second")
    assert server.jobs()[1]["cancel_reason"] == "second"


def test_cancel_counts(cluster):
    job = cluster.submit("--array=0-9", "--max-fails=100", "sh", "-c", "[ $HQ_TASK_ID -lt 4 ] || exec sleep 1000")
    wait_until(lambda: cluster.stats(job)["finished"] == 4, "four of them finished")
    assert f"INFO Job {job} canceled (6 tasks canceled, 4 tasks already finished)" in cluster.hq("job", "cancel", job).err


def test_close(server):
    server.hq("job", "open")
    assert log_lines(server.hq("job", "close", "1")) == [("INFO", "Job 1 closed")]
    assert log_lines(server.hq("job", "close", "1")) == [("ERROR", "Closing job 1 failed; job is already closed")]
    assert server.quiet("job", "list", "--all") == "1 FINISHED\n"  # a closed job without tasks is finished


def test_forget_only_what_has_ended(cluster):
    cluster.submit("--wait", "true")
    cluster.submit("--cpus=64", "true")
    cluster.hq("job", "open")
    text = log_lines(cluster.hq("job", "forget", "all"))
    assert text == [("INFO", "1 job were forgotten, 2 were ignored due to wrong state or invalid ID")]
    assert sorted(cluster.jobs()) == [2, 3]
    cluster.hq("job", "cancel", "2")
    assert "0 jobs were forgotten" in cluster.hq("job", "forget", "2", "--filter=failed").err
    assert "1 job were forgotten" in cluster.hq("job", "forget", "2", "--status=canceled,failed").err  # spelling of the manual
    for command in (["job", "info", "1"], ["job", "cancel", "1"], ["task", "list", "1"]):
        assert "not found" in cluster.hq(*command).err


def test_cat_says_what_is_missing(cluster):
    job = cluster.submit("--array=0-3", "--stdout=o-%{TASK_ID}", "--stderr=none", "--wait", "sh", "-c", "printf $HQ_TASK_ID")
    (cluster.work / "o-2").unlink()
    shown = cluster.hq("job", "cat", job, "--tasks=3,0,2,77", "--print-task-header", "stdout")
    assert shown.out == f"# Job {job}, task 0\n0# Job {job}, task 2\n# Job {job}, task 3\n3"  # ascending
    assert f"WARN Task 77 of job {job} not found" in shown.err
    assert re.search(r"WARN File at `[^`]*/o-2` cannot be opened: ", shown.err)
    assert "WARN Task 0 has no `stderr` stream associated with it" in cluster.hq("job", "cat", job, "stderr").err
    none = cluster.hq("job", "cat", job, "--task-status=failed", "stdout")
    assert none.out == "" and f"WARN No tasks were selected for job {job}, there is nothing to print" in none.err
    both = cluster.hq("job", "cat", job, "--tasks=1", "--task-status=finished", "--output-mode=quiet", "stdout")
    assert both.out == "1"


def test_task_ids_in_three_modes(cluster):
    job = cluster.submit("--array=1-3,5,8-9", "sh", "-c", "[ $HQ_TASK_ID -gt 2 ]")
    cluster.wait_job(job)
    assert cluster.hq("job", "task-ids", job).out == "1-3,5,8-9\n"
    assert cluster.quiet("job", "task-ids", job, "--filter=failed") == "1-2\n"  # the reference printed nothing
    assert cluster.json("job", "task-ids", "all") == {"1": [1, 2, 3, 5, 8, 9]}
    again = cluster.hq("job", "task-ids", "1,9", "--output-mode=json", check=False)
    assert again.status == 1 and again.json() == {"error": "Error: Job Id not found"} and again.err == ""


def test_info_of_an_open_job_with_several_submits(cluster):
    cluster.hq("job", "open", "--max-fails=7")
    assert re.search(r"^\| Tasks +\| 0 +\|$", cluster.hq("job", "info", "1").out, re.M)
    cluster.submit("--job=1", "--env=HQ_X=1", "--env=A=2", "true")
    one = cluster.hq("job", "info", "1").out
    assert "| Session              | open " in one and "| Environment          | A=2 " in one and "HQ_X" not in one
    cluster.submit("--job=1", "--array=5-9:2", "true")
    two = cluster.hq("job", "info", "1").out
    labels = [label for label in re.findall(r"^\| (.*?) +\|", two, re.M) if label]
    assert labels == ["ID", "Name", "State", "Cancel Reason", "Session", "Tasks", "Workers", "Submission date", "Makespan"]
    info = cluster.json("job", "info", "1")[0]
    assert info["max_fails"] == 7 and [sorted(submit) for submit in info["submits"]] == [["array"], ["array"]]
    assert info["submits"][0]["array"]["program"]["env"] == {"A": "2", "HQ_X": "1"}


def test_long_arguments_are_counted_not_shown(server):
    job = server.submit("prog", "x" * 257, "y" * 256, *["z"] * 200)
    shown = server.hq("job", "info", job).out
    assert "| <257 bytes> " in shown and "y" * 80 in shown and shown.count("| z ") == 125
    assert len(server.json("job", "info", job)[0]["submits"][0]["array"]["program"]["args"]) == 128


def test_quiet_says_nothing(server):
    job = server.submit("true")
    for command in (["job", "info", job], ["task", "info", job, "0"], ["task", "explain", job, "0"], ["server", "info"], ["alloc", "list"]):
        assert server.quiet(*command) == "", command


def test_task_list_of_what_is_not_there(server):
    job = server.submit("--array=1-2", "true")
    unknown = server.hq("task", "list", job, "--tasks=2,7")
    assert [task["id"] for task in server.json("task", "list", job, "--tasks=2,7")[str(job)]] == [2]
    assert "WARN Task 7" in unknown.err  # the reference said nothing
    assert server.hq("task", "list", job, "--task-status=failed").out.startswith(EMPTY_TASKS)
    assert server.quiet("task", "list", "all") == f"{job}.1 WAITING\n{job}.2 WAITING\n"  # the reference printed nothing


def test_long_error_messages_are_cut(cluster):
    job = cluster.submit("--task-dir", "sh", "-c", 'head -c 300 /dev/zero | tr "\\0" e >"$HQ_ERROR_FILENAME"; exit 1')
    cluster.wait_job(job)
    shown = cluster.hq("task", "info", job, "0")
    assert f"| Error        | {'e' * 237}... |" in shown.out
    assert "INFO An error message(s) was truncated. Use -v to display the full error(s)." in shown.err
    assert "e" * 300 in cluster.hq("task", "info", job, "0", "-v").out
    assert "| " + "e" * 16 + "... |" in cluster.hq("task", "list", job).out


def test_progress_line(server):
    """Not a terminal: a line per change; the reference wrote control characters, and no newline at the end."""
    job = server.submit("--array=0-9", "sh", "-c", "[ $HQ_TASK_ID -gt 2 ]")
    follower = server.spawn_hq("job", "progress", job)
    follower.wait_for_err("INFO Waiting for 1 job with 10 tasks")
    follower.wait_for_out("0/1 jobs, 0/10 tasks")
    server.start_worker()
    assert follower.wait() == 0
    lines = follower.out().splitlines()
    assert lines[0] == "[" + "." * 40 + "] 0/1 jobs, 0/10 tasks "
    assert lines[-1] == "[" + "#" * 40 + "] 1/1 jobs, 10/10 tasks 7 FINISHED 3 FAILED" and follower.out().endswith("\n")
    assert len(lines) == len(set(lines)) and "\x1b" not in follower.out()
    assert all(re.fullmatch(r"\[[#.]{40}\] \d/1 jobs, \d+/10 tasks ?(.*)", line) for line in lines)


def test_progress_counts_open_jobs_when_they_are_closed(cluster):
    cluster.hq("job", "open")
    cluster.submit("--job=1", "true")
    wait_until(lambda: cluster.ended(1), "its end")
    assert "WARN There are no jobs to wait for" in cluster.hq("job", "progress", "1").err
    gate = cluster.work / "gate"
    cluster.submit("--job=1", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    follower = cluster.spawn_hq("job", "progress", "1")
    follower.wait_for_out("0/1 jobs, 1/2 tasks 1 RUNNING 1 FINISHED")
    gate.touch()
    follower.wait_for_out("0/1 jobs, 2/2 tasks 2 FINISHED")
    assert follower.running()
    cluster.hq("job", "close", "1")
    assert follower.wait() == 0 and "1/1 jobs, 2/2 tasks 2 FINISHED" in follower.out()


def test_fail_turns_failures_into_a_status(cluster):
    """Our option; without it the status of `wait` says nothing of the tasks."""
    job = cluster.submit("false")
    assert cluster.hq("job", "wait", job).status == 0
    assert cluster.hq("job", "wait", job, "--fail", check=False).status == 1
    assert cluster.hq("submit", "--wait", "false").status == 0
    assert cluster.hq("submit", "--wait", "--fail", "false", check=False).status == 1
    assert cluster.hq("submit", "--wait", "--fail", "true").status == 0
    assert cluster.hq("submit", "--progress", "--fail", "false", check=False).status == 1


def test_wait_without_close(cluster):
    cluster.hq("job", "open")
    cluster.submit("--job=1", "true")
    cluster.hq("job", "wait", "1", "--without-close")
    waiter = cluster.spawn_hq("job", "wait", "1")
    wait_until(lambda: cluster.ended(1), "its end")
    assert waiter.running()
    cluster.hq("job", "close", "1")
    assert waiter.wait() == 0 and waiter.out() == ""


def test_progress_counts_tasks_that_come_later(cluster):
    """The reference fixed the total when it began."""
    cluster.hq("job", "open")
    cluster.submit("--job=1", "--cpus=64", "true")
    follower = cluster.spawn_hq("job", "progress", "1")
    follower.wait_for_out("0/1 jobs, 0/1 tasks")
    cluster.submit("--job=1", "--array=5-7", "true")
    follower.wait_for_out("0/1 jobs, 3/4 tasks 3 FINISHED")
    cluster.hq("job", "cancel", "1")
    cluster.hq("job", "close", "1")
    assert follower.wait() == 0 and "1/1 jobs, 4/4 tasks 3 FINISHED 1 CANCELED" in follower.out()


class Terminal:
    """A pseudo terminal of that many columns, on which a command runs."""

    def __init__(self, world, columns, *args):
        self.fd, slave = pty.openpty()
        self.resize(columns)
        self.text = ""
        self.process = subprocess.Popen([world.bin / "hq", *map(str, args)], env={**world.env, "TERM": "xterm"}, cwd=world.work, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        """Everything so far; what is there is taken without waiting."""
        while self.fd is not None and select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            self.text += data.decode()
        return self.text

    def drawn(self):
        """The lines that replaced each other, without colours."""
        parts = self.read().replace("\r\n", "\n").split("\r\x1b[2K")[1:]
        return [re.sub(r"\x1b\[[\d;]*m", "", part).rstrip("\n") for part in parts]

    def end(self):
        status = self.process.wait(30)
        self.read()
        os.close(self.fd)
        self.fd = None
        return status


@pytest.mark.parametrize("spelling, ended", [(["job", "progress"], "1/1 jobs, 2/2 tasks 2 FINISHED"), (["progress"], "1/1 jobs, 2/2 tasks (2 FINISHED)")])
def test_progress_on_a_terminal_fits_its_window(cluster, spelling, ended):
    """One line, rewritten; a narrow window gets what fits, a resized one more from the next change on."""
    gate = cluster.work / "gate"
    job = cluster.submit("--array=0-1", "--cpus=2", "sh", "-c", f"[ $HQ_TASK_ID = 0 ] || while [ ! -e {gate} ]; do sleep 0.02; done")
    terminal = Terminal(cluster, 50, *spelling, job)
    wait_until(lambda: cluster.stats(job)["finished"] == 1 and terminal.drawn(), "the first half")
    wait_until(lambda: len(terminal.drawn()[-1]) == 50, "a line as wide as the window")
    assert all(len(line) <= 50 for line in terminal.drawn())
    terminal.resize(120)
    gate.touch()
    assert terminal.end() == 0
    assert terminal.drawn()[-1].endswith(f"] {ended}") and terminal.text.endswith("\r\n")
