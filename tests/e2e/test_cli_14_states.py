"""Sections 14 to 16 of the command line: identities, transitions, cancel, failure, max-fails, restarts and the crash limit."""
import pytest

from harness import is_alive, wait_until


def states(world, job):
    return {task["id"]: task["state"] for task in world.json("task", "list", job)[str(job)]}


# ---- 14
def test_numbers_are_never_given_twice(cluster):
    assert [cluster.submit("--wait", "true") for _ in range(3)] == [1, 2, 3]
    cluster.hq("job", "forget", "3")
    assert cluster.quiet("job", "open") == "4\n"
    cluster.hq("job", "close", "4")
    cluster.hq("job", "forget", "all")
    cluster.server.kill()
    cluster.server = cluster.start_server()
    assert cluster.submit("true") == 5
    cluster.hq("server", "stop")
    cluster.server = cluster.start_server("--journal", cluster.work / "j.bin")
    assert cluster.submit("true") == 1  # another journal, another history


def test_job_states_by_the_first_rule_that_matches(cluster):
    gate = cluster.work / "gate"
    job = cluster.submit("--array=0-3", "--cpus=1", "sh", "-c", f"[ $HQ_TASK_ID -gt 0 ] || exit 1; while [ ! -e {gate} ]; do sleep 0.02; done; [ $HQ_TASK_ID -ne 3 ] || exec sleep 1000")
    wait_until(lambda: cluster.stats(job)["failed"] == 1 and cluster.stats(job)["running"] > 0, "one failed, others running")
    assert f"{job} RUNNING" in cluster.quiet("job", "list")
    waiting = cluster.submit("--cpus=64", "true")
    assert f"{waiting} WAITING" in cluster.quiet("job", "list")
    gate.touch()
    wait_until(lambda: cluster.stats(job)["finished"] == 2, "two finished")
    cluster.hq("job", "cancel", f"{job},{waiting}")
    assert cluster.stats(job) == {"waiting": 0, "running": 0, "finished": 2, "failed": 1, "canceled": 1, "aborted": 0}
    assert cluster.quiet("job", "list", "--all") == f"{job} FAILED\n{waiting} CANCELED\n"  # failed before canceled


def test_closed_job_without_tasks_is_finished(server):
    (server.work / "none").write_text("")
    server.submit("--each-line=none", "true")
    assert server.quiet("job", "list", "--all") == "1 FINISHED\n"


# ---- 15
def test_cancel_answers_at_once_and_the_end_counts_no_more(cluster):
    """The task ends well after its cancel: it stays canceled, and its output stays."""
    gate = cluster.work / "gate"
    job = cluster.submit("--stdout=o:rm-if-finished", "--task-dir", "sh", "-c",
                         f"trap 'echo late; touch {gate}; exit 0' INT; echo $HQ_TASK_DIR; while :; do sleep 0.02; done")
    out = cluster.work / "o"
    wait_until(lambda: out.exists() and "\n" in out.read_text(), "the task to be up")
    cluster.hq("job", "cancel", job)
    assert states(cluster, job) == {0: "canceled"}
    wait_until(gate.exists, "its last words")
    directory = cluster.work / out.read_text().split()[0]
    wait_until(lambda: not directory.exists(), "the task directory gone")
    assert out.read_text().endswith("late\n") and states(cluster, job) == {0: "canceled"}
    assert cluster.json("task", "list", job)[str(job)][0].keys() >= {"id", "state", "cwd", "stdout", "stderr"}


def test_cancel_reaches_successors(server):
    (server.work / "f.toml").write_text('[[task]]\nid = 1\ncommand = ["true"]\n[[task]]\nid = 2\ncommand = ["true"]\ndeps = [1]\n')
    job = int(server.quiet("job", "submit-file", "f.toml"))
    assert "(2 tasks canceled, 0 tasks already finished)" in server.hq("job", "cancel", job).err
    assert states(server, job) == {1: "canceled", 2: "canceled"}


def test_cancel_is_durable(cluster):
    job = cluster.submit("sleep", "1000")
    cluster.wait_task(job, 0, "running")
    cluster.hq("job", "cancel", job, "--reason=gone")
    cluster.server.kill()
    cluster.server = cluster.start_server()
    assert states(cluster, job) == {0: "canceled"} and cluster.jobs()[job]["cancel_reason"] == "gone"


@pytest.mark.parametrize("limit, failed", [(0, 1), (2, 3)])
def test_max_fails_is_more_than_n(server, limit, failed):
    job = server.submit("--array=0-9", f"--max-fails={limit}", "sh", "-c", "exit 1")
    server.start_worker("--cpus=1")
    stats = server.wait_job(job)
    assert (stats["failed"], stats["aborted"]) == (failed, 10 - failed)


def test_max_fails_stops_what_runs(cluster):
    """Running tasks are stopped as by a cancel, and are ABORTED; canceled ones do not count."""
    pids = cluster.work / "pid"
    job = cluster.submit("--array=0-1", "--max-fails=0", "sh", "-c",
                         f"[ $HQ_TASK_ID = 0 ] && {{ while [ ! -s {pids} ]; do sleep 0.02; done; exit 1; }}; echo $$ >{pids}; exec sleep 1000")
    stats = cluster.wait_job(job)
    assert (stats["failed"], stats["aborted"]) == (1, 1)
    wait_until(lambda: not is_alive(int(pids.read_text())), "the end of the other")


def test_failure_aborts_indirect_successors_only(cluster):
    lines = ['[[task]]\nid = 1\ncommand = ["false"]\n', '[[task]]\nid = 2\ncommand = ["true"]\ndeps = [1]\n', '[[task]]\nid = 3\ncommand = ["true"]\ndeps = [2, 4]\n',
             '[[task]]\nid = 4\ncommand = ["true"]\n', '[[task]]\nid = 5\ncommand = ["true"]\ndeps = [4]\n']
    (cluster.work / "f.toml").write_text("".join(lines))
    job = int(cluster.quiet("job", "submit-file", "f.toml", "--wait"))
    assert states(cluster, job) == {1: "failed", 2: "aborted", 3: "aborted", 4: "finished", 5: "finished"}


# ---- 16
def lose_worker(world, how):
    worker = [daemon for daemon in world.daemons if "worker" in daemon.name and daemon.running()][-1]
    if how == "stop":
        world.hq("worker", "stop", "all")
    else:
        worker.kill()
    wait_until(lambda: not world.running_workers(), "the worker to be lost")


@pytest.mark.parametrize("limit, how, state, text", [
    ("1", "kill", "failed", "Task was running on a worker that was lost; the task has occurred 1 times in this situation and limit was reached."),
    ("2", "kill", "waiting", None), ("1", "stop", "waiting", None), ("unlimited", "kill", "waiting", None),
    ("never-restart", "stop", "failed", "Task was running on a lost worker while never restart flag was set."),
    ("never-restart", "kill", "failed", "Task was running on a lost worker while never restart flag was set."),
])
def test_crash_limit(cluster, limit, how, state, text):
    job = cluster.submit(f"--crash-limit={limit}", "sleep", "1000")
    cluster.wait_task(job, 0, "running")
    lose_worker(cluster, how)
    cluster.wait_task(job, 0, state)
    task = cluster.task(job)
    assert task.get("error") == text
    if text:  # the reference forgot where it ran
        assert task["worker"] == 1 and task["stdout"].endswith(f"job-{job}/0.stdout") and task["started_at"] <= task["finished_at"]


def test_counter_reaches_the_limit_over_restarts_of_the_server(cluster):
    """The full count, also across a restart (the reference remembered the last crash only)."""
    job = cluster.submit("--crash-limit=3", "sleep", "1000")
    for crash in (1, 2, 3):
        cluster.wait_task(job, 0, "running")
        lose_worker(cluster, "kill")
        if crash == 2:
            cluster.hq("server", "stop")
            server = cluster.server
            server.wait()
            cluster.server = cluster.start_server("--journal", server_journal(cluster))
        if crash < 3:
            cluster.start_worker()
    cluster.wait_task(job, 0, "failed")
    assert "has occurred 3 times" in cluster.task(job)["error"]


def server_journal(world):
    return sorted(world.server_dir.glob("*/journal"))[-1]


def test_restart_has_a_new_instance_and_truncates(cluster):
    job = cluster.submit("--stdout=o", "--stderr=e-%{INSTANCE_ID}", "sh", "-c", "echo $HQ_INSTANCE_ID; exec sleep 1000")
    out = cluster.work / "o"
    wait_until(lambda: out.exists() and out.read_text() == "0\n", "the first instance")
    lose_worker(cluster, "kill")
    cluster.start_worker()
    wait_until(lambda: out.read_text().strip() not in ("", "0"), "the second instance")
    later = int(out.read_text())
    assert later > 0 and (cluster.work / f"e-{later}").exists() and (cluster.work / "e-0").exists()


def test_task_that_was_only_assigned_loses_nothing(server):
    """It waits on the worker behind another: the loss counts for the one that ran."""
    server.start_worker("--cpus=1")
    ran = server.submit("--crash-limit=1", "sleep", "1000")
    queued = server.submit("--crash-limit=1", "true")
    server.wait_task(ran, 0, "running")
    lose_worker(server, "kill")
    server.wait_task(ran, 0, "failed")
    assert states(server, queued) == {0: "waiting"}
    server.start_worker("--cpus=1")
    assert server.wait_job(queued)["finished"] == 1


def test_cancel_makes_room_for_who_was_turned_down(server):
    """A strict request that found no group of cpus: what is canceled makes one, when its process has ended."""
    server.start_worker("--cpus=2x4", "--detect-resources=none")
    hold = [server.submit("--cpus=3 compact!", "sh", "-c", "trap 'sleep 0.3; exit' INT; while :; do sleep 0.02; done") for _ in range(2)]
    for job in hold:
        server.wait_task(job, 0, "running")
    strict = server.submit("--cpus=2 compact!", "true")
    server.submit("--wait", "--cpus=2 compact", "true")
    assert server.stats(strict)["waiting"] == 1
    server.hq("job", "cancel", hold[0])
    assert server.wait_job(strict)["finished"] == 1
