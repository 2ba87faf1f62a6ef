"""hq task explain: the truth about where a task could run."""
import json

import pytest


def explain(world, *args):
    return world.hq("task", "explain", *args).out


def test_no_worker(server):
    server.submit("true")
    assert explain(server, 1, 0) == ("Task 1@0 is ready to run because it has no dependencies.\n"
                                     "There is no worker where the task can run.\n")


def test_table_names_what_is_missing(server):
    server.start_worker("--cpus=4", "--time-limit=1h")
    server.start_worker("--cpus=1")
    server.submit("--cpus=2", "--time-request=2h", "true")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in explain(server, 1, 0).splitlines() if line.startswith("|")]
    assert rows[0] == ["Worker Id", "Runnable", "Variant", "Type", "Provides", "Request"]
    assert [row[:4] + row[5:] for row in rows[1:]] == [
        ["1", "No", "0", "time", "2h"], ["", "", "", "cpus", "2"],
        ["2", "No", "0", "time", "2h"], ["", "", "", "cpus", "2"]]
    assert rows[1][4].startswith("59m") and rows[2][4] == "4" and rows[4][4] == "1"


def test_variants_and_groups(server):
    server.start_worker("--cpus=2", "--group=a")
    (server.work / "job.toml").write_text('[[task]]\ncommand = ["true"]\n[[task.request]]\nresources = {gpus = 1}\n'
                                          '[[task.request]]\nresources = {cpus = 2}\n')
    server.hq("job", "submit-file", "job.toml")
    server.hq("job", "wait", 1)
    server.submit("--nodes=2", "true")
    out = explain(server, 2, 0)
    assert "| nodes | group size 1 | 2" in out and "There is no worker where the task can run." in out


def test_json(cluster):
    cluster.submit("--cpus=16", "true")
    answer = json.loads(cluster.hq("--output-mode=json", "task", "explain", 1, 0).out)
    assert answer["task_id"] == {"job_id": 1, "job_task_id": 0}
    cpus = {"Resources": {"request_amount": 160000, "resource": "cpus", "worker_amount": 20000}}
    assert answer["explanation"] == {"n_task_deps": 0, "n_waiting_deps": 0, "workers": [{"variants": [[cpus]], "worker_id": 1}]}


def test_dependencies(cluster):
    (cluster.work / "job.toml").write_text('[[task]]\nid = 1\ncommand = ["sleep", "600"]\n[[task]]\nid = 2\ncommand = ["true"]\ndeps = [1]\n')
    cluster.hq("job", "submit-file", "job.toml")
    cluster.wait_task(1, 1, "running")
    assert explain(cluster, 1, 2).startswith("Task 1@2 is not ready to run, because 1/1 dependencies are not finished.\n")


@pytest.mark.parametrize("args, text", [((9, 0), "Job not found"), ((1, 5), "Task not found"), ((1, 0), "Explain command works only for tasks in WAITING or RUNNING state")])
def test_unknown_and_ended(cluster, args, text):
    cluster.submit("--wait", "true")
    done = cluster.hq("task", "explain", *args, check=False)
    assert (done.status, done.out, done.err) == (1, "", f"Error: {text}\n")
