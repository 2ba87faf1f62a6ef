"""Waiting jobs run in allocations that came by themselves; what is not needed goes; nothing stays behind."""
import json
import os
import signal
import time

import pytest

from harness import wait_until

ADD = ("alloc", "add", "slurm", "--no-dry-run", "--detect-resources=none")


def states(world, queue=1):
    return sorted(alloc["status"] for alloc in world.allocs(queue).values())


@pytest.mark.limit(60)
def test_job_gets_its_node(slurm, alloc_world):
    world = alloc_world
    world.hq("alloc", "add", "slurm", "--detect-resources=none", "--time-limit=5m", "--cpus=2", "--idle-timeout=2s")
    job = world.submit("--array=1-4", "true")
    assert world.wait_job(job)["finished"] == 4
    (number, alloc), = world.allocs().items()
    assert alloc["status"] == "running"
    assert slurm.jobs()[number][:2] == ("RUNNING", "hq-1-1")
    (worker, info), = world.workers().items()
    assert info["allocation"] == {"id": number, "manager": "Slurm"}
    # nothing to do: the node is given back
    wait_until(lambda: states(world) == ["finished"], "the end of the allocation", 30)
    assert world.allocs()[number]["ended_at"] is not None
    wait_until(lambda: not slurm.live(), "an empty Slurm", 30)
    assert (world.instance_dir() / "autoalloc/1/001/jobid").read_text() == number


@pytest.mark.limit(60)
def test_multi_node(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2", "--max-workers-per-alloc=3", "--worker-start-cmd=echo 'be gun' >&2", "--worker-stop-cmd=echo en\"d\"")
    job = world.submit("--nodes=3", "sh", "-c", "wc -l <$HQ_NODE_FILE")
    assert world.wait_job(job, 40)["finished"] == 1
    assert world.hq("job", "cat", job, "stdout").out.strip() == "3"
    (number, alloc), = world.allocs().items()
    assert alloc["target_worker_count"] == 3
    assert slurm.jobs()[number][2] == 3
    running = [info for info in world.workers().values() if info["ended"] is None]
    assert len(running) == 3
    assert {info["allocation"]["id"] for info in running} == {number}
    assert "be gun" in world.hq("alloc", "log", number, "stderr").out


@pytest.mark.limit(60)
def test_extra_arguments_and_names(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=90s", "--cpus=1", "--name=my.queue", "--group=a b'c\"d$e`f", "--resource=foo=[x,y]", "--", "--partition=short",
             "--comment", "'it is'")
    job = world.submit("--resource=foo=1", "true")
    assert world.wait_job(job)["finished"] == 1
    (number, alloc), = world.allocs().items()
    assert alloc["workdir"].endswith("/autoalloc/1-my.queue/001")
    shown = slurm.run("squeue", "-h", "-t", "all", "-j", number, "-o", "%P|%j|%l|%N").strip().split("|")
    assert shown[:3] == ["short", "my.queue-1", "2:00"]
    (info,) = world.json("worker", "info", 1)
    assert info["configuration"]["group"] == "a b'c\"d$e`f"


@pytest.mark.limit(60)
@pytest.mark.parametrize("nodes", [1, 2])
def test_values_that_break_quoting(slurm, alloc_world, nodes):
    """A directory, a group and commands with blanks, quotes, dollars and backslashes: a task runs with all of them."""
    world = alloc_world
    world.server.kill()
    directory = world.root / "o'dd \"d$HOME\\x %j"
    world.env["HQ_SERVER_DIR"] = str(directory)
    world.server = world.start_server("--host=127.0.0.1")
    group = "g'1\"2$HOME`3\\4"
    world.hq(*ADD, "--time-limit=5m", "--cpus=1", f"--group={group}", f"--max-workers-per-alloc={nodes}", "--resource=x=[\"a'b\",c]",
             "--worker-start-cmd=export ODD=\"it's\" && test \"$ODD\" = 'it'\\''s'", "--worker-wrap-cmd=env 'WRAP=a b'", "--worker-stop-cmd=echo 'st\"op'")
    job = world.submit(*([f"--nodes={nodes}"] if nodes > 1 else ["--resource=x=2"]), "--", "sh", "-c", 'echo "$ODD|$WRAP"')
    assert world.wait_job(job)["finished"] == 1
    assert world.hq("job", "cat", job, "stdout").out == "it's|a b\n"
    (number, alloc), = world.allocs().items()
    assert alloc["workdir"].startswith(str(directory)) and alloc["target_worker_count"] == nodes
    assert all(info["configuration"]["group"] == group for info in world.json("worker", "info", 1))
    for worker in world.running_workers():
        world.hq("worker", "stop", worker)
    wait_until(lambda: 'st"op' in world.hq("alloc", "log", number, "stdout").out, "the stop command")


def test_server_directory_with_a_newline(alloc_world):
    """It would begin a directive of its own: nothing is submitted, and the queue says why."""
    world = alloc_world
    world.server.kill()
    world.env["HQ_SERVER_DIR"] = str(world.root / "a\n#SBATCH --nodes=4")
    world.server = world.start_server("--host=127.0.0.1")
    world.hq(*ADD, "--time-limit=5m", "--cpus=1")
    world.submit("true")
    wait_until(lambda: "control character" in (world.status(1)["queues"][0]["last_error"] or ""), "the reason")
    assert world.allocs() == {}


def test_older_spellings(alloc_world):
    alloc_world.hq("alloc", "add", "slurm", "--no-dry-run", "--timelimit=1h", "-w", "2", "--wrap-worker-cmd=nice", "--cpus=1")
    (queue,) = alloc_world.queues().values()
    assert (queue["timelimit"], queue["max_workers_per_alloc"]) == (3600, 2)
    assert "not found" in alloc_world.hq("alloc", "cat", "x", "stdout", check=False).err


def test_refused_at_once(alloc_world):
    world = alloc_world
    bad = [("--name=a\nb",), ("--name=a b",), ("--name=x/y",), ("--name=q\"",), ("--", "--nodes=2"), ("--", "-N2"), ("--", "--time=5"),
           ("--", "-t", "5"), ("--", "--comment=a\n#SBATCH --nodes=4"), ("--", "--comment=it's"), ("--", "x\\"), ("--cpus=2", "--resource=cpus=[1]"), ("--max-workers-per-alloc=0",),
           ("--backlog=0",), ("--worker-time-limit=2h",)]
    for words in bad:
        result = world.hq("alloc", "add", "slurm", "--time-limit=1h", "--no-dry-run", *words, check=False)
        assert result.status in (1, 2), result
    assert world.queues() == {}


@pytest.mark.limit(90)
def test_walltime_end(slurm, alloc_world):
    """The allocation ends under the job; the task runs again in the next one and nothing counts as failed."""
    world = alloc_world
    world.hq(*ADD, "--time-limit=4s", "--cpus=1", "--idle-timeout=10s")
    marks = world.work / "starts"
    job = world.submit("sh", "-c", f"echo >>{marks}; [ $(wc -l <{marks}) -ge 2 ] || exec tail -f /dev/null")
    assert world.wait_job(job, 60)["finished"] == 1
    assert marks.read_text() == "\n\n"
    wait_until(lambda: "finished" in states(world), "the end of the first allocation")
    assert "failed" not in states(world)


@pytest.mark.limit(60)
def test_remove(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=4", "--backlog=3", "--", "--cpus-per-task=4")
    world.submit("--array=1-9", "--cpus=4", "tail", "-f", "/dev/null")
    wait_until(lambda: "running" in states(world), "a running allocation", 30)
    refused = world.hq("alloc", "remove", 1, check=False)
    assert refused.status == 1
    assert "has running jobs" in refused.err
    world.hq("alloc", "remove", "--force", 1)
    assert world.queues() == {}
    assert "Queue 1 not found" in world.hq("alloc", "info", 1, check=False).err
    wait_until(lambda: not slurm.live(), "no job of ours in Slurm", 30)


@pytest.mark.limit(60)
def test_server_stop(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=4", "--backlog=2", "--", "--cpus-per-task=4")
    world.submit("--array=1-9", "--cpus=4", "tail", "-f", "/dev/null")
    wait_until(lambda: "running" in states(world), "a running allocation", 30)
    world.hq("server", "stop")
    assert world.server.wait() == 0
    wait_until(lambda: not slurm.live(), "no job of ours in Slurm", 20)
    assert "was removed" in world.server.err()


@pytest.mark.limit(60)
def test_pause_and_backlog(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=4", "--backlog=2", "--max-worker-count=3", "--", "--begin=now+1hour")
    world.submit("--array=1-40", "--cpus=4", "true")
    wait_until(lambda: states(world) == ["queued", "queued"], "two that wait")
    reasons = wait_until(lambda: world.status(1)["queues"][0]["waiting"], "the reason to wait")
    assert all(waiting["reason"] == "PENDING: BeginTime" for waiting in reasons)
    world.hq("alloc", "pause", 1)
    world.hq("alloc", "resume", 1)
    assert world.queues()[1]["state"] == "Active"
    assert len(slurm.live()) == 2
    # cancelled behind our back: seen, and one more comes
    victim = sorted(world.allocs())[0]
    slurm.run("scancel", victim)
    wait_until(lambda: world.allocs()[victim]["status"] == "failed", "the cancelled one as failed")


@pytest.mark.limit(60)
def test_allocd_dies(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2", "--backlog=1")
    job = world.submit("sh", "-c", "until [ -e go ]; do sleep 0.1; done")
    first = wait_until(world.allocd_pid, "hq-allocd")
    wait_until(lambda: states(world) == ["running"], "a running allocation")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: world.allocd_pid() not in (0, first), "another hq-allocd")
    (world.work / "go").write_text("")
    assert world.wait_job(job)["finished"] == 1
    assert len(slurm.jobs("live")) == 1
    world.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: not slurm.live(), "no job of ours in Slurm")


@pytest.mark.limit(60)
def test_hqd_dies(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2", "--on-server-lost=reconnect")
    world.hq("alloc", "add", "slurm", "--no-dry-run", "--time-limit=1h", "--name=other")
    world.hq("alloc", "pause", 2)
    job = world.submit("sh", "-c", "until [ -e go ]; do sleep 0.1; done")
    wait_until(lambda: states(world) == ["running"], "a running allocation")
    before = world.allocs()
    world.server.kill()
    world.server = world.start_server("--host=127.0.0.1")
    assert world.allocs() == before
    assert [queue["state"] for queue in world.queues().values()] == ["Active", "Paused"]
    (world.work / "go").write_text("")
    assert world.wait_job(job)["finished"] == 1
    assert len(slurm.jobs("live")) == 1
    world.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: not slurm.live(), "no job of ours in Slurm")


@pytest.mark.limit(90)
def test_controller_hangs(slurm, alloc_world):
    """sbatch waits for a controller that takes connections and answers nothing; the server answers, and one job comes of it."""
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2")
    before = set(slurm.jobs())
    slurm.pause_controller()
    job = world.submit("true")
    wait_until(lambda: world.comms("sbatch"), "sbatch that waits")
    for _ in range(20):
        began = time.monotonic()
        assert world.jobs()[job]["task_count"] == 1
        assert time.monotonic() - began < 1
    assert world.allocd_pid() != 0
    slurm.continue_controller()
    assert world.wait_job(job)["finished"] == 1
    assert len(set(slurm.jobs()) - before) == 1


@pytest.mark.limit(60)
def test_lead_time(slurm, alloc_world):
    """The next allocation is submitted before the first one ends, when work goes on; without work it is not."""
    world = alloc_world
    world.hq(*ADD, "--time-limit=20s", "--cpus=2", "--lead-time=17s", "--max-worker-count=2")
    world.submit("--array=1-200", "--cpus=2", "sleep", "0.3")
    wait_until(lambda: "running" in states(world), "a running allocation", 30)
    wait_until(lambda: len(world.allocs()) == 2, "the next one while the first one runs", 12)
    first = sorted(world.allocs(), key=int)[0]
    assert world.allocs()[first]["status"] == "running"


@pytest.mark.limit(60)
def test_keep_warm(slurm, alloc_world):
    """Workers that are there whatever the demand, and another one when it ends."""
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2", "--keep-warm=2", "--idle-timeout=1h", "--backlog=2")
    wait_until(lambda: len(world.running_workers()) == 2, "two workers without a task", 30)
    world.hq("worker", "stop", 1)
    wait_until(lambda: len(world.running_workers()) == 2 and len(world.allocs()) == 3, "another one", 30)


@pytest.mark.limit(60)
def test_min_utilization(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=4", "--min-utilization=0.5", "--backlog=3")
    small = world.submit("--cpus=1", "true")
    other = world.submit("--array=1-2", "--cpus=2", "true")  # these fill a node, and the small one may come along
    assert world.wait_job(other)["finished"] == 2
    assert len(world.allocs()) == 1
    assert world.stats(small)["finished"] + world.stats(small)["waiting"] == 1


@pytest.mark.limit(60)
def test_events_and_restore(slurm, alloc_world):
    world = alloc_world
    world.hq(*ADD, "--time-limit=5m", "--cpus=2")
    job = world.submit("true")
    assert world.wait_job(job)["finished"] == 1
    world.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: not slurm.live(), "no job of ours in Slurm")

    def events():
        lines = world.hq("journal", "export", world.instance_dir() / "journal").out.splitlines()
        return [line["type"] for line in (json.loads(text)["event"] for text in lines) if line["type"].startswith("autoalloc")]
    wait_until(lambda: events() == ["autoalloc-queue-created", "autoalloc-allocation-queued", "autoalloc-allocation-started",
                                    "autoalloc-queue-removed", "autoalloc-allocation-finished"], "the events in order")
