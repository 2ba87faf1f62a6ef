"""Sections 5 and 13 of the command line beside test_server.py and test_worker.py: access files, waiting, dumps; addresses; output-log; manual, completions."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import wait_until


# ---- 5
def test_generated_access_files(world):
    made = world.hq("server", "generate-access", "full.json", "--client-port=30100", "--worker-port=30101", "--host=both", "--worker-host=w1", "--client-file=c.json", "--worker-file=w.json")
    assert made.out == "" and made.err.count("INFO Storing access file as '") == 3
    full, client, worker = (json.loads(world.read(name)) for name in ("full.json", "c.json", "w.json"))
    assert list(full) == ["version", "server_uid", "client", "worker"] and re.fullmatch(r"[A-Za-z0-9]{6}", full["server_uid"])
    assert (full["client"]["host"], full["worker"]["host"]) == ("both", "w1") and (full["client"]["port"], full["worker"]["port"]) == (30100, 30101)
    assert list(client) == ["version", "client"] and list(worker) == ["version", "worker"]
    assert client["client"] == full["client"] and worker["worker"] == full["worker"]
    for name in ("full.json", "c.json", "w.json"):
        assert (world.work / name).stat().st_mode & 0o777 == 0o400 and not world.read(name).endswith("\n")
    again = world.hq("server", "generate-access", "full.json", "--client-port=1", "--worker-port=2", check=False)
    assert again.status == 1 and "File exists" in again.err


def test_server_with_an_access_file(world):
    ports = [number for number in range(30110, 30999) if number % 2 == os.getpid() % 2][os.getpid() % 300:][:2]
    world.hq("server", "generate-access", "full.json", f"--client-port={ports[0]}", f"--worker-port={ports[1]}", "--host=127.0.0.1", "--client-file=c.json")
    world.start_server("--access-file=full.json")
    info, full = world.json("server", "info"), json.loads(world.read("full.json"))
    assert (info["client_port"], info["worker_port"], info["server_uid"]) == (ports[0], ports[1], full["server_uid"])
    assert world.access() == full
    (world.root / "copied").mkdir()
    (world.root / "copied" / "access.json").write_text(world.read("c.json"))
    assert world.hq("--server-dir", world.root / "copied", "job", "list").status == 0
    failed = world.hq("--server-dir", world.root / "copied", "worker", "start", check=False)
    assert failed.status == 1 and "missing field `worker`" in failed.err


def test_wait_for_a_server_that_never_comes(world):
    for timeout, shown in (("0", "0s"), ("100ms", "100ms")):
        failed = world.hq("server", "wait", f"--timeout={timeout}", check=False)
        assert failed.status == 1 and f"INFO Waiting for server to become available (timeout: {shown})..." in failed.err
        assert f"Timeout after {shown}: Could not connect to server at `{world.server_dir}`. Make sure that the server is running." in failed.err


def test_zero_timeout_is_one_full_try(server):
    assert "INFO Successfully connected to server" in server.hq("server", "wait", "--timeout=0").err


def test_debug_dump(server):
    server.submit("true")
    dumped = server.hq("server", "debug-dump", server.work / "dump.json")
    assert "INFO Dumping server state ..." in dumped.err and "INFO Dump finished" in dumped.err
    assert "tako" in json.loads(server.read("dump.json"))
    failed = server.hq("server", "debug-dump", "/no/such/place", check=False)
    assert failed.status == 1 and "\nError: Could not write debug dump: No such file" in failed.err


def test_accepted_without_effect(world):
    world.start_server("--journal-flush-period=1s", "--scheduler-time-limit=5s")
    assert world.json("job", "list") == []


# ---- 13.1
def test_address_in_every_mode(cluster):
    name = cluster.json("worker", "info", "1")[0]["configuration"]["hostname"]
    for mode in ("cli", "quiet", "json"):
        assert cluster.hq(f"--output-mode={mode}", "worker", "address", "1").out.splitlines()[0] == name
    cluster.hq("worker", "stop", "1")
    assert cluster.hq("worker", "address", "1").out == f"{name}\n"  # also when it is gone


def test_worker_list_filters(cluster):
    cluster.start_worker()
    cluster.hq("worker", "stop", "1")
    wait_until(lambda: len(cluster.running_workers()) == 1, "one of them gone")
    assert cluster.quiet("worker", "list") == cluster.quiet("worker", "list", "--filter=running") == "2 RUNNING\n"
    assert cluster.quiet("worker", "list", "--filter=offline") == "1 STOPPED\n"
    assert cluster.quiet("worker", "list", "--all") == "1 STOPPED\n2 RUNNING\n"


def test_hwdetect_needs_no_server(world):
    shown = world.hq("worker", "hwdetect").out
    assert shown.startswith("Summary:\ncpus: ") and "\n\nFull Description:\ncpus: [" in shown and "mem: sum(" in shown
    described = world.json("worker", "hwdetect")
    assert described["coupling"] == {"weights": []} and described["resources"][0]["name"] == "cpus"
    assert world.quiet("worker", "hwdetect") == ""


# ---- 13.4
@pytest.fixture
def streamed(cluster):
    cluster.submit("--array=7-10", "--stream=out", "--cpus=2", "--wait", "sh", "-c", "echo o$HQ_TASK_ID; echo e$HQ_TASK_ID >&2")
    cluster.submit("--stream=out", "--stderr=none", "--wait", "printf", "a\nb")
    return cluster


def test_output_log_jobs_and_summary(streamed):
    assert streamed.hq("output-log", "out", "jobs").out == "1\n2\n"
    assert streamed.hq("--output-mode=json", "output-log", "out", "jobs").out == "1\n2\n"  # no {} behind it
    table = streamed.hq("output-log", "out", "summary").out
    for row in ("| Path                          | out ", "| Jobs                          | 2 ", "| Tasks                         | 5 ", "| Opened streams                | 0 "):
        assert row in table
    summary = streamed.json("output-log", "out", "summary")
    assert summary["filename"] == "out" and summary["summary"]["n_streams"] == 5 and summary["summary"]["n_superseded"] == 0
    assert (summary["summary"]["stdout_size"], summary["summary"]["stderr_size"]) == (3 * 3 + 4 + 3, 3 * 3 + 4)
    assert streamed.quiet("output-log", "out", "summary") == ""


def test_output_log_show(streamed):
    """By time, ids padded to the widest, a newline added where none was, only the first line of a chunk with its head."""
    shown = streamed.hq("output-log", "out", "show").out
    assert sorted(shown.splitlines()) == sorted(
        [f"1.{task:02d}:{channel}> {'oe'[channel]}{task}" for task in range(7, 11) for channel in (0, 1)] + ["2.00:0> a", "b"])
    assert shown.splitlines()[-2:] == ["2.00:0> a", "b"]
    assert streamed.hq("output-log", "out", "show", "--channel=stderr", "--job=2").out == ""
    assert len(streamed.hq("output-log", "out", "show", "--channel=stderr").out.splitlines()) == 4


def test_output_log_cat_and_export(streamed):
    assert streamed.hq("output-log", "out", "cat", "1", "stdout").out == "o7\no8\no9\no10\n"
    assert streamed.hq("output-log", "out", "cat", "1", "stderr", "--task=10,8").out == "e10\ne8\n"  # in the order asked
    exported = streamed.hq("--output-mode=json", "output-log", "out", "export", "1", "--task=9").json()
    assert exported == [{"finished": True, "id": 9, "stdout": "o9\n", "stderr": "e9\n"}]  # stdout alone before
    old = streamed.hq("log", "out", "export", "--job=1", "--task=9").json()
    assert old == [{"finished": True, "id": 9, "stdout": "o9\n"}]


@pytest.mark.parametrize("args, text", [
    (["none", "summary"], "No such file"), (["empty", "summary"], "No log files found"), (["out", "cat", "9", "stdout"], "Job 9 not found"), (["out", "export", "9"], "Job 9 not found"),
    (["out", "cat", "1", "stdout", "--task=77"], "Task 77 not found"),
])
def test_output_log_errors(streamed, args, text):
    (streamed.work / "empty").mkdir()
    failed = streamed.hq("output-log", *args, check=False)
    assert failed.status == 1 and failed.out == "" and text in failed.err


def test_output_log_of_several_servers(streamed):
    first = streamed.json("server", "info")["server_uid"]
    streamed.hq("server", "stop")
    streamed.server.wait()
    streamed.start_server("--journal", streamed.work / "other.bin")
    streamed.start_worker()
    streamed.submit("--stream=out", "--wait", "echo", "x")
    second = streamed.json("server", "info")["server_uid"]
    failed = streamed.hq("output-log", "out", "jobs", check=False)
    assert failed.status == 1 and "Found streams from multiple server instances:" in failed.err and second in failed.err and "Use --server-uid=... to specify server uid" in failed.err
    assert first in failed.err
    assert streamed.hq("output-log", f"--server-uid={second}", "out", "jobs").out == "1\n"
    assert streamed.hq("output-log", "--server-uid=nobody", "out", "jobs").out == ""


def test_unfinished_stream(cluster):
    job = cluster.submit("--stream=out", "sh", "-c", "echo up; exec sleep 1000")
    wait_until(lambda: (cluster.work / "out").exists() and "up" in cluster.hq("output-log", "out", "show", check=False).out, "its output")
    failed = cluster.hq("output-log", "out", "cat", job, "stdout", check=False)
    assert failed.status == 1 and failed.out == "" and failed.err.rstrip().endswith("Stream for task 0 is not finished")
    assert cluster.hq("output-log", "out", "cat", job, "stdout", "--allow-unfinished").out == "up\n"


# ---- 13.7
def bash_completes(world, line):
    """What bash offers at the end of the line."""
    script = world.hq("generate-completion", "bash").out
    (world.work / "hq.bash").write_text(script)
    words = line.split(" ")
    program = (f"source hq.bash; COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; COMP_POINT={len(line)}; "
               "f=$(complete -p hq | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); $f hq \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=world.work, env=world.env, timeout=30)
    assert done.stderr == "", done.stderr
    return [word.strip() for word in done.stdout.splitlines()]


def test_bash_completion_knows_the_tables(world):
    assert {"server", "job", "submit", "task", "worker", "alloc", "journal", "output-log", "doc"} <= set(bash_completes(world, "hq "))
    assert "wait" not in bash_completes(world, "hq ") and "task-ids" in bash_completes(world, "hq job ")
    assert {"--array", "--each-line", "--from-json", "--stream"} <= set(bash_completes(world, "hq submit --"))
    assert bash_completes(world, "hq job can") == ["cancel"]
    assert set(bash_completes(world, "hq --output-mode ")) == {"cli", "json", "quiet"}


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_completions_are_valid(world, shell, check):
    text = world.hq("generate-completion", shell).out
    (world.work / "script").write_text(text)
    assert "task-ids" in text and "each-line" in text
    if shutil.which(check[0]):  # the shell may be missing; that the words are there was checked
        done = subprocess.run([*check, "script"], capture_output=True, text=True, cwd=world.work, timeout=30)
        assert done.returncode == 0 and done.stderr == "", done.stderr
