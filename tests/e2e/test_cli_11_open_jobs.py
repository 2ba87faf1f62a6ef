"""Sections 10 to 12 of the command line beside test_jobfile.py, test_explain.py and test_notify.py: job files in open jobs, what open jobs share,
task ids, `task` commands."""
import pytest

from harness import has_socket, is_asleep, wait_until


def toml(world, text, *args, name="f.toml", **more):
    (world.work / name).write_text(text)
    return world.hq("job", "submit-file", name, *args, **more)


TRUE = 'command = ["true"]\n'


# ---- 10
def test_automatic_ids(server):
    """Behind the largest explicit one, in file order; without any the first is 1."""
    toml(server, f"[[task]]\n{TRUE}[[task]]\n{TRUE}")
    toml(server, f"[[task]]\n{TRUE}[[task]]\nid = 7\n{TRUE}[[task]]\n{TRUE}[[task]]\nid = 3\n{TRUE}")
    assert sorted(server.tasks(1)) == [1, 2] and sorted(server.tasks(2)) == [3, 7, 8, 9]


@pytest.mark.parametrize("text, shown", [
    ('request = []', "cpus: 1 compact"), ("", "cpus: 1 compact"), ("[[task.request]]\nresources = {foo = 1}", "foo: 1 compact"),
    ('[[task.request]]\nresources = {cpus = 0.12341}', "cpus: 0.1235 compact"), ('[[task.request]]\nresources = {cpus = "0.1234"}', "cpus: 0.1234 compact"),
    ("[[task.request]]\nn_nodes = 2", "nodes: 2"), ("[[task.request]]\nnodes = 2", "nodes: 2"),
    ('[[task.request]]\nresources = {cpus = "all", "gpus/nvidia" = "2 tight!"}', "gpus/nvidia: 2 tight!"),
])
def test_requests(server, text, shown):
    toml(server, f"[[task]]\n{TRUE}{text}\n")
    assert shown in server.hq("task", "info", "1", "1").out


@pytest.mark.parametrize("key, value, cell", [
    ("stdout", '"none"', "| Stdout       | <None> "), ("stdout", '"a:rm-if-finished"', ":rm-if-finished "), ("stdout", '{path = "a"}', "/a "),
    ("stderr", '{on_close = "rm-if-finished"}', ".stderr "), ("stdout", '{path = "a", mode = "none"}', "/a "), ("pin", '"none"', "| Pin          | none "),
    ("crash_limit", '"unlimited"', "| Crash limit  | unlimited "), ("crash_limit", '"never-restart"', "never-restart "), ("crash_limit", "7", "| 7 "),
    ("time_limit", '"1h 30m"', "| 1h 30m "), ("priority", "-7", "| -7 "), ("task_dir", "true", "| Task dir     | yes "),
])
def test_values(cluster, key, value, cell):
    toml(cluster, f"[[task]]\n{TRUE}{key} = {value}\n", "--wait")
    assert cell in cluster.hq("task", "info", "1", "1").out


def test_wait_and_progress_of_a_file(cluster):
    assert toml(cluster, f"[[task]]\n{TRUE}", "--wait").out == "Job submitted successfully, job ID: 1\n"
    assert cluster.quiet("job", "list", "--all") == "1 FINISHED\n"
    assert "1/1 jobs, 1/1 tasks 1 FINISHED" in toml(cluster, f"[[task]]\n{TRUE}", "--progress").out


def test_old_keys(server):
    (server.work / "logs").mkdir()
    toml(server, f'stream_log = "logs"\ndata_layer = true\n[array]\nids = "1-2"\n{TRUE}')
    assert "| Stdout               | <Stream> " in server.hq("job", "info", "1").out


def test_errors_name_file_line_and_key(server):
    """The reference points to the head of the table."""
    failed = toml(server, f'[[task]]\n{TRUE}[[task]]\n{TRUE}[[task.request]]\nweight = 0\n', name="jobs.toml", check=False)
    assert failed.status == 1 and failed.err == (
        "Deserialization error: TOML parse error at line 6, column 10\n  |\n6 | weight = 0\n  |          ^\n"
        "Resource weight has to be positive number\nIn jobs.toml, task 2, key `task.request.weight`\n\n")
    as_json = server.hq("--output-mode=json", "job", "submit-file", "jobs.toml", check=False)
    assert as_json.status == 1 and as_json.err == "" and as_json.json()["error"].rstrip("\n") == failed.err.rstrip("\n")


@pytest.mark.parametrize("text, part", [
    ("[[task]]\n" + TRUE + "deps = [2]\n[[task]]\nid = 2\n" + TRUE + "deps = [3]\n[[task]]\nid = 3\n" + TRUE + "deps = [2]\n", "is part of dependency cycle"),
    ("[[task]]\nid = 1\n" + TRUE + "deps = [1]\n", "1 -> 1"), ("[[task]]\nid = 1\n" + TRUE + "deps = [7]\n", "There is no task 7"),
])
def test_graphs_that_cannot_be(server, text, part):
    failed = toml(server, text, check=False)
    assert failed.status == 1 and failed.err.startswith("Error: Task ") and part in failed.err and server.jobs() == {}


def test_files_that_are_no_files(server):
    for name in ("nowhere.toml", "."):
        failed = server.hq("job", "submit-file", name, check=False)
        assert failed.status == 1 and failed.err.startswith(f"Cannot read {name}: ")
    for text in ("\0", "﻿[[task]]\n" + TRUE):
        failed = toml(server, text, check=False)
        assert failed.status == (1 if text == "\0" else 0), failed


def test_unknown_job_before_other_complaints(server):
    assert toml(server, f'name = "x"\n[[task]]\n{TRUE}', "--job=9", check=False).err == "Job 9 not found.\n"
    server.hq("job", "open")
    for key in ('name = "x"', "max_fails = 1"):
        failed = toml(server, f"{key}\n[[task]]\n{TRUE}", "--job=1", check=False)
        assert failed.status == 1 and "is not allowed when submitting to an open job." in failed.err  # was ignored
    assert server.tasks(1) == {}


def test_dependencies_on_tasks_of_the_open_job(cluster):
    cluster.hq("job", "open")
    toml(cluster, f"[[task]]\nid = 3\n{TRUE}", "--job=1")
    wait_until(lambda: cluster.ended(1), "its end")
    toml(cluster, '[[task]]\ncommand = ["echo", "after"]\ndeps = [3]\n', "--job=1")
    wait_until(lambda: sorted(cluster.tasks(1)) == [3, 4] and cluster.ended(1), "the second")
    assert cluster.task(1, 4)["state"] == "finished"


@pytest.mark.parametrize("program, state", [("false", "failed"), ("sleep", "canceled")])
def test_no_dependency_on_what_did_not_finish(cluster, program, state):
    """The reference ran the task as if there were no dependency."""
    cluster.hq("job", "open")
    toml(cluster, f'[[task]]\nid = 3\ncommand = ["{program}", "1000"]\n', "--job=1")
    if state == "canceled":
        cluster.hq("job", "cancel", "1")
    wait_until(lambda: cluster.ended(1), "its end")
    assert cluster.task(1, 3)["state"] == state
    failed = toml(cluster, f"[[task]]\n{TRUE}deps = [3]\n", "--job=1", check=False)
    assert failed.status == 1 and "Invalid dependency on 3" in failed.err and sorted(cluster.tasks(1)) == [3]


# ---- 11
def test_open_in_three_modes(server):
    assert server.hq("job", "open").out == "Job 1 is open.\n"
    assert server.json("job", "open", "--name=a b", "--max-fails=3") == {"id": 2}
    assert server.quiet("job", "open") == "3\n"
    assert [job["name"] for job in server.json("job", "list")] == ["job", "a b", "job"]
    assert all(job["is_open"] for job in server.json("job", "list"))


def test_states_of_an_open_job(cluster):
    cluster.hq("job", "open")
    state = lambda: cluster.quiet("job", "list").split()[1]
    assert state() == "OPENED"
    cluster.submit("--job=1", "--cpus=64", "true")
    assert state() == "WAITING"
    cluster.hq("job", "cancel", "1")
    assert state() == "CANCELED" and cluster.jobs()[1]["is_open"]
    cluster.submit("--job=1", "false")
    wait_until(lambda: cluster.ended(1), "its end")
    assert state() == "FAILED"
    assert "0 jobs were forgotten, 1 were ignored" in cluster.hq("job", "forget", "1").err


def test_max_fails_over_all_submits(cluster):
    cluster.hq("job", "open", "--max-fails=1")
    cluster.submit("--job=1", "false")
    wait_until(lambda: cluster.ended(1), "the first")
    cluster.submit("--job=1", "--array=5-9", "--cpus=64", "true")
    assert cluster.stats(1)["waiting"] == 5
    cluster.submit("--job=1", "false")
    wait_until(lambda: cluster.ended(1), "the end of all")
    assert cluster.stats(1) == {"waiting": 0, "running": 0, "finished": 0, "failed": 2, "canceled": 0, "aborted": 5}
    cluster.submit("--job=1", "true")  # starts again
    wait_until(lambda: cluster.stats(1)["finished"] == 1, "a later task")


def test_each_submit_keeps_its_own(cluster):
    cluster.hq("job", "open")
    other = cluster.work / "other"
    other.mkdir()
    cluster.submit("--job=1", "--env=A=1", "sh", "-c", "echo $A $PWD $HQ_SUBMIT_DIR")
    cluster.submit("--job=1", "--env=A=2", "--stdout=x", "sh", "-c", "echo $A $PWD $HQ_SUBMIT_DIR", cwd=other)
    wait_until(lambda: cluster.ended(1) and len(cluster.tasks(1)) == 2, "both")
    assert cluster.read("job-1/0.stdout") == f"1 {cluster.work} {cluster.work}\n" and cluster.read("other/x") == f"2 {other} {other}\n"


def test_open_job_survives_a_killed_server(cluster):
    cluster.hq("job", "open", "--name=box")
    cluster.submit("--job=1", "true")
    wait_until(lambda: cluster.ended(1), "its end")
    waiter = cluster.spawn_hq("job", "wait", "1")
    wait_until(lambda: has_socket(waiter.pid) and is_asleep(waiter.pid), "the waiter to wait for the server")
    cluster.server.kill()
    cluster.server = cluster.start_server()
    cluster.submit("--job=1", "true")
    wait_until(lambda: cluster.stats(1)["finished"] == 2, "the second")
    cluster.hq("job", "close", "1")
    assert waiter.wait(70) == 0 and cluster.jobs()[1]["name"] == "box"


# ---- 12
def test_task_info_of_each_state(cluster):
    toml(cluster, '[[task]]\nid = 1\ncommand = ["false"]\n[[task]]\nid = 2\ncommand = ["true"]\ndeps = [1]\n')
    cluster.wait_job(1)
    aborted = cluster.hq("task", "info", "1", "2").out
    for cell in ("| State        | ABORTED", "| Worker       |    ", "| Start        |    ", "| Workdir      |    ", "| Stdout       |    ", "| Dependencies | 1 "):
        assert cell in aborted, aborted
    assert cluster.json("task", "info", "1", "2") == [{"id": 2, "state": "aborted"}]
    assert [task["id"] for task in cluster.json("task", "info", "last", "2,1")] == [1, 2]


def test_environment_rows_hide_ours(server):
    job = server.submit("--env=HQ_MINE=1", "--env=B=2", "--env=A=1", "true")
    shown = server.hq("task", "info", job, "0").out
    assert "HQ_MINE" not in shown and shown.index("A=1") < shown.index("B=2")
