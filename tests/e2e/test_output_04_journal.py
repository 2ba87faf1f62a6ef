"""Section 4 of the output: each event with its keys and its place, the commands that print them, what a start brings back."""
import datetime
import json
import re

import pytest

from harness import wait_until

KEYS = {
    "server-start": {"server_uid"}, "server-stop": set(), "worker-connected": {"configuration", "id"}, "worker-lost": {"id", "reason"}, "worker-overview": {"hw-state", "id"},
    "job-open": {"job_id", "max_fails", "name"}, "job-created": {"closed_job", "job", "job_desc", "submit_desc"}, "job-close": {"job_id"}, "job-idle": {"job_id"},
    "job-cancel": {"job_id", "reason"}, "job-completed": {"job"}, "task-finished": {"job", "task"}, "task-failed": {"error", "job", "task"}, "task-canceled": {"tasks"},
    "task-aborted": {"tasks"}, "task-notify": {"message", "task_id", "worker_id"},
}


def parse(text):
    rows = [json.loads(line) for line in text.splitlines()]
    for line, row in zip(text.splitlines(), rows):
        assert line == json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", row["time"]), row
    times = [datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")) for row in rows]
    assert times == sorted(times)
    return [row["event"] for row in rows]


def run_everything(world):
    """A server run in which each event comes that needs no batch system."""
    world.start_server("--journal=j.bin")
    world.start_worker("--overview-interval=100ms")
    world.submit("--wait", "true")
    world.submit("--array=1-3", "--max-fails=0", "--cpus=2", "--wait", "sh", "-c", "[ $HQ_TASK_ID != 3 ] || exec sleep 1000; [ $HQ_TASK_ID = 1 ]")
    world.hq("job", "open", "--name=box", "--max-fails=5")
    world.submit("--job=3", "true")
    wait_until(lambda: world.ended(3), "the open job's task")
    world.submit("--job=3", "--array=5-6", "true")
    wait_until(lambda: world.ended(3), "the open job's tasks")
    world.hq("job", "close", "3")
    world.submit("--array=0-1", "--cpus=64", "true")
    world.hq("job", "cancel", "4", "--reason=enough")
    (world.work / "g.toml").write_text('[[task]]\nid = 1\ncommand = ["false"]\n[[task]]\nid = 2\ncommand = ["true"]\ndeps = [1]\n')
    world.hq("job", "submit-file", "g.toml", "--wait")
    world.submit("--wait", "sh", "-c", "$HQ task notify hi")
    world.hq("worker", "stop", "1")
    wait_until(lambda: not world.running_workers(), "the worker gone")


@pytest.fixture
def busy(world):
    run_everything(world)
    return world


def test_every_event_has_its_keys(busy):
    events = parse(busy.hq("journal", "export", "j.bin").out)
    for event in events:
        keys = set(event) - {"type"}
        if event["type"] == "task-started":
            assert keys - {"variant"} == {"instance", "job", "task", "worker"}
        else:
            assert keys == KEYS[event["type"]], event
    assert {event["type"] for event in events} >= set(KEYS) - {"server-stop", "job-idle", "task-notify"} | {"task-started"}
    assert not {"job-idle", "task-notify"} & {event["type"] for event in events}  # never stored


def of(events, job):
    return [event for event in events if job in (event.get("job"), event.get("job_id")) or any(task["job_id"] == job for task in event.get("tasks", []))]


def test_order_within_jobs(busy):
    events = parse(busy.hq("journal", "export", "j.bin").out)
    kinds = lambda job: [event["type"] for event in of(events, job)]
    assert kinds(1) == ["job-created", "task-started", "task-finished", "job-completed"]
    assert kinds(2)[0] == "job-created" and kinds(2)[-2:] == ["task-aborted", "job-completed"] and kinds(2).count("task-failed") == 1
    assert kinds(3)[:2] == ["job-open", "job-created"] and kinds(3)[-2:] == ["job-close", "job-completed"]
    assert kinds(4) == ["job-created", "job-cancel", "task-canceled", "job-completed"]
    assert kinds(5) == ["job-created", "task-started", "task-aborted", "task-failed", "job-completed"]  # dependents before the failure
    assert of(events, 4)[1] == {"job_id": 4, "reason": "enough", "type": "job-cancel"}
    assert of(events, 4)[2]["tasks"] == [{"job_id": 4, "job_task_id": 0}, {"job_id": 4, "job_task_id": 1}]


def test_descriptions(busy):
    events = parse(busy.hq("journal", "export", "j.bin").out)
    created = [event for event in events if event["type"] == "job-created"]
    assert created[1]["submit_desc"] == {
        "stream_path": None, "submit_dir": str(busy.work),
        "task_desc": {"crash_limit": {"MaxCrashes": 5}, "ids": {"ranges": [{"count": 3, "start": 1, "step": 1}]}, "priority": 0, "time_limit": None,
                      "resources": {"variants": [{"min_time": {"nanos": 0, "secs": 0}, "n_nodes": 0, "resources": [{"policy": {"Compact": 20000}, "resource": "cpus"}], "weight": 10000}]}}}
    assert created[1]["job_desc"] == {"max_fails": 0, "name": "sh"} and created[1]["closed_job"]
    attached = [event for event in created if event["job"] == 3]
    assert [event["closed_job"] for event in attached] == [False, False] and attached[0]["job_desc"] == {"max_fails": None, "name": "true"}
    assert [event["submit_desc"]["task_desc"] for event in created if event["job"] == 5] == [{"n_tasks": 2}]
    (worker,) = [event for event in events if event["type"] == "worker-connected"]
    assert set(worker["configuration"]) == {"extra", "group", "heartbeat_interval", "hostname", "idle_timeout", "listen_address", "min_utilization", "on_server_lost",
                                            "overview_configuration", "resources", "retract_check_interval", "time_limit", "work_dir"}
    assert {"name": "cpus", "kind": {"Range": {"end": 1, "start": 0}}} in worker["configuration"]["resources"]["resources"]
    overview = next(event for event in events if event["type"] == "worker-overview")["hw-state"]["state"]
    assert set(overview) == {"amd_gpus", "cpu_usage", "memory_usage", "network_usage", "nvidia_gpus", "timestamp"} and overview["memory_usage"]["total"] > 0


def test_replay_and_stream_say_the_same(busy):
    exported = busy.hq("journal", "export", "j.bin")
    assert re.search(r"INFO Outputted \d+ events?\n$", exported.err)
    assert busy.hq("journal", "replay").out == exported.out == busy.hq("--output-mode=json", "journal", "replay").out
    stream = busy.spawn_hq("journal", "stream")
    wait_until(lambda: stream.out().count("\n") >= exported.out.count("\n"), "all past events")
    assert stream.running()
    busy.hq("server", "stop")
    assert stream.wait() == 0 and stream.out().startswith(exported.out)
    assert '"type":"server-stop"' in stream.out().splitlines()[-1]


def test_live_events_come_once_and_in_order(cluster):
    """Events that come while the past is still being sent are neither lost nor told twice."""
    streams = []
    for job in range(1, 41):
        cluster.submit("true")
        if job % 10 == 5:
            streams.append(cluster.spawn_hq("journal", "stream"))
    cluster.hq("job", "wait", "all")
    for stream in streams:
        wait_until(lambda: stream.out().count("job-completed") >= 40, "all jobs")
        completed = [event["job"] for event in map(lambda line: json.loads(line)["event"], stream.out().splitlines()) if event["type"] == "job-completed"]
        assert sorted(completed) == list(range(1, 41)) and stream.out().count('"type":"task-finished"') == 40


def test_ephemeral_events_are_live_only(cluster):
    stream = cluster.spawn_hq("journal", "stream")
    stream.wait_for_out("worker-connected")
    cluster.hq("job", "open")
    cluster.submit("--job=1", "sh", "-c", "$HQ task notify 'a b'")
    stream.wait_for_out("job-idle")
    events = [json.loads(line)["event"] for line in stream.out().splitlines()]
    assert {"message": [97, 32, 98], "task_id": {"job_id": 1, "job_task_id": 0}, "type": "task-notify", "worker_id": 1} in events
    assert {"job_id": 1, "type": "job-idle"} in events
    assert "task-notify" not in cluster.hq("journal", "replay").out and "job-idle" not in cluster.hq("journal", "replay").out


@pytest.mark.parametrize("content, text", [(None, "No such file or directory"), (b"", "failed to fill whole buffer"), (b"some other file, long enough", "Invalid journal format")])
def test_files_that_are_no_journals(world, content, text):
    if content is not None:
        (world.work / "j.bin").write_bytes(content)
    failed = world.hq("journal", "export", "j.bin", check=False)
    assert failed.status == 1 and failed.out == "" and text in failed.err


def test_damaged_tail_is_told(busy):
    busy.hq("server", "stop")
    whole = (busy.work / "j.bin").read_bytes()
    lines = busy.hq("journal", "export", "j.bin").out.count("\n")
    (busy.work / "torn.bin").write_bytes(whole[:-9])
    torn = busy.hq("journal", "export", "torn.bin")
    assert torn.status == 0 and 0 < torn.out.count("\n") <= lines
    busy.server = busy.start_server("--journal=torn.bin")
    assert "WARN Journal contains not fully written data; they will be removed from the log" in busy.server.err()


def test_restore(busy):
    """States, dates, reasons, counters and queues of numbers as they were; completed jobs too, which the reference drops."""
    before = {job: busy.json("job", "info", job) for job in range(1, 7)}
    busy.hq("server", "stop")
    busy.daemons[0].wait()
    uid = parse(busy.hq("journal", "export", "j.bin").out)[0]["server_uid"]
    busy.start_server("--journal=j.bin")
    assert busy.json("server", "info")["server_uid"] == uid
    after = {job: busy.json("job", "info", job) for job in range(1, 7)}
    assert after == before
    assert busy.submit("true") == 7 and busy.running_workers() == []
    events = parse(busy.hq("journal", "export", "j.bin").out)
    assert [event["type"] for event in events].count("server-start") == 2 and [event["type"] for event in events].count("job-created") == len(before) + 2


def test_flush_and_prune_say_nothing(server):
    for command in ("flush", "prune"):
        done = server.hq("journal", command)
        assert done.out == done.err == "" and server.json("journal", command) == {}
