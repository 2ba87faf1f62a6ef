"""Section 22 of the command line: older spellings, one test per row that is accepted; each prints its hint once."""
import re

import pytest

from harness import wait_until


def hints(result):
    return [line.split(" INFO ", 1)[1] for line in result.err.splitlines() if "is an older spelling" in line]


@pytest.mark.parametrize("args, word", [
    (["job", "forget", "9", "--status=finished"], "--status"), (["jobs"], "jobs"), (["cancel", "9"], "cancel"), (["job", "tasks", "9"], "tasks"), (["wait", "9"], "wait"), (["progress", "9"], "progress"), (["submit", "--log=x", "true"], "--log"),
])
def test_hint_once(server, args, word):
    shown = hints(server.hq(*args, check=False))
    assert len(shown) == 1 and word in shown[0]


def test_new_spellings_have_no_hint(server):
    for args in (["job", "list"], ["job", "wait", "9"], ["submit", "--stream=x", "true"]):
        assert hints(server.hq(*args)) == []


def test_jobs_with_states(server):
    server.submit("--cpus=64", "true")
    assert server.hq("jobs").out == server.hq("job", "list").out
    assert "| WAITING" in server.hq("jobs", "waiting").out and "WAITING" not in server.hq("jobs", "failed").out


def test_cancel_and_tasks(server):
    job = server.submit("--cpus=64", "true")
    assert server.hq("job", "tasks", job).out == server.hq("task", "list", job).out
    assert f"INFO Job {job} canceled" in server.hq("cancel", job).err


def test_wait_prints_and_exits_as_of_old(cluster):
    good, bad = cluster.submit("--wait", "true"), cluster.submit("--array=1-2", "false")
    fine = cluster.hq("wait", good)
    assert re.fullmatch(r"Wait finished in .*: 1 job finished\n", fine.out) and fine.status == 0
    both = cluster.hq("wait", f"{good},{bad}", check=False)
    assert both.status == 1 and both.err.rstrip().endswith("Some jobs have failed or have been canceled")
    assert re.search(r"^Wait finished in .*: 1 job finished, 1 job failed$", both.out, re.M) and "| Task ID | Worker | Error" in both.out
    as_json = cluster.hq("--output-mode=json", "wait", good).json()
    assert sorted(as_json) == ["canceled", "duration", "failed", "finished", "invalid"] and as_json["finished"] == 1
    assert cluster.hq("job", "wait", bad).out == ""  # the new spelling says nothing


def test_progress_as_of_old(server):
    job = server.submit("--array=0-9", "sh", "-c", "[ $HQ_TASK_ID -gt 2 ]")
    follower = server.spawn_hq("progress", job)
    follower.wait_for_err("Waiting for 1 job with 10 tasks")
    server.start_worker()
    assert follower.wait() == 1 and "Some jobs have failed" in follower.err()
    assert follower.out().splitlines()[-1].endswith("] 1/1 jobs, 10/10 tasks (7 FINISHED, 3 FAILED)")
    canceled = server.submit("--cpus=64", "true")
    server.hq("job", "cancel", canceled)
    ended = server.hq("progress", canceled, check=False)
    assert ended.status == 1 and "Some jobs were canceled" in ended.err


def test_log_of_a_submit_is_a_stream(cluster):
    """--log names a directory now; with --stream it is a usage error."""
    cluster.submit("--log=my.log", "--array=1-2", "--wait", "echo", "x")
    assert (cluster.work / "my.log").is_dir()
    assert cluster.hq("output-log", "my.log", "cat", "1", "stdout").out == "x\nx\n"
    assert cluster.hq("log", "my.log", "cat", "stdout", "--task=2").out == "x\n"
    shown = cluster.hq("log", "my.log", "show", "--show-empty").out.splitlines()
    assert sorted(shown) == ["1: > stream closed", "1:0> x", "2: > stream closed", "2:0> x"]
    assert "| Filename" in cluster.hq("log", "my.log", "summary").out
    assert [task["id"] for task in cluster.hq("log", "my.log", "export", "--task=1").json()] == [1]


@pytest.mark.parametrize("args, mode", [(["--pin"], "taskset"), (["--pin", "omp"], "omp"), (["--pin", "none"], "none"), (["--pin=taskset"], "taskset")])
def test_pin_with_and_without_a_mode(server, args, mode):
    job = server.submit(*args, "true")
    assert f"| Pin                  | {mode} " in server.hq("job", "info", job).out


def test_old_options_of_the_server(world):
    server = world.start_server("--event-log-path", world.work / "j.bin", "--event-store-size=10")
    assert f"| Journal path     | {world.work}/j.bin" in server.out()
    assert world.hq("server", "info", "--stats").out == world.hq("server", "info").out
    world.submit("true")
    assert '"type":"job-created"' in world.hq("event-log", "export", "j.bin").out


def test_old_options_of_a_worker(server):
    server.start_worker("--no-detect-resources", "--resource=foo=list(1,2)", "--resource=bar=indices(1-3)", wait=False)
    wait_until(server.running_workers, "the worker")
    resources = {item["name"]: item for item in server.json("worker", "info", "1")[0]["configuration"]["resources"]["resources"]}
    assert sorted(resources) == ["bar", "cpus", "foo"]
    assert resources["foo"]["values"] == ["1", "2"] and (resources["bar"]["start"], resources["bar"]["end"]) == (1, 3)


@pytest.mark.parametrize("command", [["resubmit", "1"], ["job", "resubmit", "1"]])
def test_resubmit_names_what_does_it_now(world, command):
    failed = world.hq(*command, check=False)
    assert failed.status == 2 and "hq submit --array $(hq job task-ids <JOB> --filter failed)" in failed.err


def test_zero_crash_limit_is_an_error_that_says_so(world):
    failed = world.hq("submit", "--crash-limit=0", "true", check=False)
    assert failed.status == 2 and "`unlimited`" in failed.err
