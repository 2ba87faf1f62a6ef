"""kill -9 at any moment: what was acknowledged stays, what ran is not run again while its worker lives."""
import collections
import os
import re
import signal
import threading

from harness import wait_until


def counting_script(world):
    """A task that leaves one line per run."""
    return world.script("count", f'echo "$HQ_JOB_ID.$HQ_TASK_ID" >>{world.work}/runs\n')


def runs(world):
    path = world.work / "runs"
    return collections.Counter(path.read_text().split()) if path.exists() else collections.Counter()


def finished_ids(world, job):
    text = world.hq("job", "task-ids", job, "--filter=finished").out.strip()
    ids = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return ids


def test_server_killed_during_a_large_array(server):
    """Three kills during 4,000 tasks: no final record is lost, no task runs twice, all end."""
    counting_script(server)
    workers = [server.start_worker() for _ in range(2)]
    daemon, total = server.server, 4000
    job = server.submit(f"--array=1-{total}", "--stdout=none", "--stderr=none", "./count")
    for share in (0.1, 0.35, 0.6):
        wait_until(lambda: server.stats(job)["finished"] >= share * total, f"{share:.0%} finished", timeout=40)
        before = finished_ids(server, job)
        daemon.kill()
        daemon = server.start_server()
        after = finished_ids(server, job)
        assert before <= after, f"{len(before - after)} final records lost"
    stats = server.wait_job(job, timeout=50)
    assert stats["finished"] == total and stats["failed"] == 0
    twice = [task for task, count in runs(server).items() if count > 1]
    assert twice == [] and len(runs(server)) == total
    assert all(worker.running() for worker in workers)
    assert server.running_workers() == [1, 2]


def test_server_killed_right_after_answers(world):
    """Each acknowledged submit is there after the kill that follows at once; ids are never given twice."""
    acknowledged = []
    for _ in range(8):
        server = world.start_server()
        for _ in range(3):
            acknowledged.append(world.submit("--array=1-7", "true"))
        server.kill()
    world.start_server()
    jobs = world.jobs()
    assert sorted(jobs) == acknowledged == list(range(1, 25))
    assert all(job["task_count"] == 7 and job["task_stats"]["waiting"] == 7 for job in jobs.values())


def test_cancel_survives_a_kill(world):
    server = world.start_server()
    job = world.submit("--array=1-1000000", "true")
    world.hq("job", "cancel", job, "--reason=enough")
    server.kill()
    world.start_server()
    assert world.stats(job)["canceled"] == 1000000 and world.jobs()[job]["cancel_reason"] == "enough"


def test_submits_in_flight_while_the_server_dies(cluster):
    """Clients that got an id own a job; those that got none said so by their status."""
    acknowledged, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            done = cluster.hq("--output-mode=quiet", "submit", "--stdout=none", "--stderr=none", "true", check=False)
            assert done.status in (0, 1), repr(done)
            if done.status == 0:
                acknowledged.append(int(done.out))

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        server = cluster.server
        for kills in range(1, 4):
            count = len(acknowledged)
            wait_until(lambda: len(acknowledged) >= count + 15, "15 more submits")
            server.kill()
            server = cluster.start_server()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(set(acknowledged)) == len(acknowledged)
    jobs = cluster.jobs()
    assert set(acknowledged) <= set(jobs)
    cluster.hq("job", "wait", "all", timeout=50)
    assert all(job["task_stats"]["finished"] == 1 for job in cluster.jobs().values())


def test_server_killed_again_and_again_under_load(cluster):
    """The worker comes back each time, also when hqd dies while it does, and the work gets done once."""
    counting_script(cluster)
    job = cluster.submit("--array=1-1500", "--stdout=none", "--stderr=none", "./count")
    server = cluster.server
    for number in range(16):
        server.kill()
        server = cluster.start_server()
        if number % 4:
            done = cluster.stats(job)["finished"]
            wait_until(lambda: cluster.stats(job)["finished"] >= min(done + 30 * (number % 4), 1500), "more finished")
    assert cluster.wait_job(job, timeout=50)["finished"] == 1500
    assert max(runs(cluster).values()) == 1 and len(runs(cluster)) == 1500
    assert not [daemon.name for daemon in cluster.daemons if "is dropped" in daemon.err()]  # nobody was taken for a liar


def test_torn_tail_of_the_journal(world):
    """Half a record at the end is cut off with a WARN; what was before is there."""
    server = world.start_server("--journal=j")
    jobs = [world.submit("true") for _ in range(3)]
    server.kill()
    with open(world.work / "j", "ab") as journal:
        journal.write(os.urandom(37))
    again = world.start_server("--journal=j")
    assert "WARN" in again.err()
    assert sorted(world.jobs()) == jobs
    assert world.submit("true") == 4


def test_workers_killed_during_an_array(server):
    """Each kill sends the running tasks back; each task ends once."""
    counting_script(server)
    job = server.submit("--array=1-1000", "--crash-limit=unlimited", "--stdout=none", "--stderr=none", "./count")
    for share in (0.2, 0.4, 0.6):
        worker = server.start_worker()
        other = server.start_worker()
        wait_until(lambda: server.stats(job)["finished"] >= share * 1000, f"{share:.0%} finished")
        worker.kill()
        other.kill()
    server.start_worker()
    assert server.wait_job(job, timeout=40)["finished"] == 1000
    assert len(runs(server)) == 1000
    assert re.search(r"Worker 1 .*connection closed: connection lost", server.server.err())


def test_client_killed_while_waiting(cluster):
    """Followers that die leave nothing behind in the server."""
    job = cluster.submit("--cpus=64", "true")
    from harness import fd_count
    cluster.hq("server", "info")
    before = fd_count(cluster.server.pid)
    waiters = [cluster.spawn_hq("job", "wait", job) for _ in range(10)]
    # the connection of `server info` may have been counted and may be gone by now: nine more are enough to have seen
    wait_until(lambda: fd_count(cluster.server.pid) >= before + 9, "the waiters connected")
    for waiter in waiters:
        waiter.kill()
    wait_until(lambda: fd_count(cluster.server.pid) <= before, "their connections closed")


def test_lost_worker_that_returns(server):
    """A worker that was silent too long gets a new id; what it still ran is killed and does not count."""
    stopped = server.start_worker("--cpus=1", "--heartbeat=500ms")
    runs_file = server.work / "runs"
    job = server.submit("sh", "-c", f"echo $$ $HQ_INSTANCE_ID >>{runs_file}; while [ ! -e {server.work}/gate ]; do sleep 0.02; done")
    server.wait_task(job, 0, "running")
    wait_until(lambda: runs_file.exists() and runs_file.read_text(), "the first run")
    first_pid = int(runs_file.read_text().split()[0])
    stopped.signal(signal.SIGSTOP)
    server.start_worker("--cpus=1")
    wait_until(lambda: "1 HEARTBEAT LOST" in server.quiet("worker", "list", "--all"), "worker 1 HEARTBEAT LOST")
    wait_until(lambda: runs_file.read_text().count("\n") == 2, "the second run")
    stopped.signal(signal.SIGCONT)
    wait_until(lambda: 3 in server.running_workers(), "the first worker back under a new id")
    wait_until(lambda: not os.path.exists(f"/proc/{first_pid}"), "its superseded task killed")
    (server.work / "gate").touch()
    assert server.wait_job(job)["finished"] == 1
    assert server.task(job)["worker"] == 2
    assert [line.split()[1] for line in runs_file.read_text().splitlines()] == ["0", "1"]
    # Several heartbeats later it is still the same: its new turns count from the first one on.
    server.hq("submit", "--wait", "--array=1-40", "sleep", "0.1")
    assert sorted(server.workers()) == [1, 2, 3] and server.running_workers() == [2, 3]
