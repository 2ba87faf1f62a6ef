"""hq worker: start, list, info, stop, wait; losing and finding the server again."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import is_alive, wait_until


def held_task(world, *options):
    """A job whose task runs until its gate is opened; (job, gate)."""
    gate = world.work / f"gate-{len(list(world.work.iterdir()))}"
    job = world.submit(*options, "sh", "-c", f"echo start $HQ_INSTANCE_ID >>{gate}.log; while [ ! -e {gate} ]; do sleep 0.02; done")
    world.wait_task(job, 0, "running")
    wait_until(lambda: (gate.parent / f"{gate.name}.log").exists(), "the task's first line")
    return job, gate


def starts(gate):
    return (gate.parent / f"{gate.name}.log").read_text().splitlines()


def test_worker_prints_its_table(server):
    worker = server.start_worker("--cpus=3", "--hostname=n7")
    rows = dict(re.findall(r"^\| (.+?) +\| (.*?) *\|$", worker.out(), re.M))
    assert rows["Worker"] == "1" and rows["State"] == "RUNNING" and rows["Hostname"] == "n7"
    assert rows["Heartbeat"] == "8s" and rows["Group"] == "default" and rows["Manager Job ID"] == "N/A"
    assert "Runtime Info" not in rows
    assert "INFO Starting hyperqueue worker" in worker.err()


def test_worker_info_json(server):
    worker = server.start_worker("--cpus=3", "--detect-resources=none", "--hostname=n7", "--heartbeat=4s", "--time-limit=1h",
                                 "--on-server-lost=finish-running", "--group=g1")
    (info,) = server.json("worker", "info", "1")
    assert sorted(info) == ["allocation", "configuration", "ended", "id", "last_task_started", "runtime_info", "started"]
    configuration = info["configuration"]
    assert configuration["hostname"] == "n7" and configuration["group"] == "g1"
    assert configuration["heartbeat_interval"] == 4.0 and configuration["time_limit"] == 3600.0
    assert configuration["on_server_lost"] == "finish-running"
    assert configuration["resources"]["resources"] == [{"end": 2, "kind": "range", "name": "cpus", "start": 0}]
    assert info["ended"] is None and info["id"] == 1 and worker.running()
    assert server.json("worker", "list")[0]["runtime_info"] is None


def test_unknown_worker(cluster):
    unknown = cluster.hq("worker", "info", "1,9")
    assert "ERROR Worker 9 not found" in unknown.err and "| Worker " in unknown.out
    assert cluster.json("worker", "info", "9") == []


def test_worker_ids_grow(server):
    first = server.start_worker()
    first.signal(signal.SIGINT)
    first.wait()
    server.start_worker()
    assert sorted(server.workers()) == [1, 2]
    wait_until(lambda: server.running_workers() == [2], "worker 1 gone")
    assert "CONNECTION LOST" in server.hq("worker", "list", "--all").out
    assert "CONNECTION LOST" not in server.hq("worker", "list").out
    assert "RUNNING" not in server.hq("worker", "list", "--filter=offline").out


def test_ctrl_c_ends_a_worker_and_its_tasks(cluster):
    job, gate = held_task(cluster)
    cluster.worker.signal(signal.SIGINT)
    assert cluster.worker.wait() == 0
    assert "INFO Worker received an external stop notification" in cluster.worker.err()
    wait_until(lambda: cluster.running_workers() == [], "no worker")
    assert cluster.task(job)["state"] == "waiting"
    gate.touch()
    cluster.start_worker()
    assert cluster.wait_job(job)["finished"] == 1
    first, second = starts(gate)
    assert int(second.split()[1]) > int(first.split()[1])


def test_worker_stop(cluster):
    job, gate = held_task(cluster)
    stopped = cluster.hq("worker", "stop", "1")
    assert "INFO Worker 1 stopped" in stopped.err and stopped.out == ""
    assert cluster.worker.wait() == 0
    wait_until(lambda: cluster.quiet("worker", "list", "--all") == "1 STOPPED\n", "worker 1 STOPPED")
    assert "INFO Received stop command" in cluster.worker.err()
    again = cluster.hq("worker", "stop", "1,77")
    assert "WARN Stopping worker 1 failed; worker is already stopped" in again.err
    assert "ERROR Stopping worker 77 failed; worker not found" in again.err
    gate.touch()
    cluster.start_worker()
    assert cluster.wait_job(job)["finished"] == 1


def test_worker_stop_all(server):
    workers = [server.start_worker() for _ in range(3)]
    server.hq("worker", "stop", "all")
    assert [worker.wait() for worker in workers] == [0, 0, 0]


def test_worker_wait(server):
    waiter = server.spawn_hq("worker", "wait", "2")
    server.start_worker()
    assert waiter.running()
    server.start_worker()
    assert waiter.wait() == 0


def test_idle_timeout(server):
    worker = server.start_worker("--idle-timeout=1s")
    assert worker.wait() == 0
    assert server.quiet("worker", "list", "--all") == "1 IDLE TIMEOUT\n"


def test_time_limit_of_a_worker(server):
    worker = server.start_worker("--time-limit=1s")
    assert worker.wait() == 0
    assert server.quiet("worker", "list", "--all") == "1 TIME LIMIT REACHED\n"


def test_worker_killed_hard_is_a_crash(cluster):
    job, gate = held_task(cluster)
    cluster.worker.kill()
    wait_until(lambda: cluster.quiet("worker", "list", "--all") == "1 CONNECTION LOST\n", "worker 1 CONNECTION LOST")
    assert cluster.task(job)["state"] == "waiting"
    gate.touch()
    cluster.start_worker()
    assert cluster.wait_job(job)["finished"] == 1
    assert [line.split()[1] for line in starts(gate)] == ["0", "1"]


def test_crash_limit(server):
    job = server.submit("--crash-limit=2", "sleep", "1000")
    for _ in range(2):
        worker = server.start_worker()
        server.wait_task(job, 0, "running")
        worker.kill()
        wait_until(lambda: server.running_workers() == [], "the worker to be taken for lost")
    assert server.wait_job(job)["failed"] == 1
    assert "Task was running on a worker that was lost; the task has occurred 2 times" in server.task(job)["error"]


def test_never_restart(cluster):
    job = cluster.submit("--crash-limit=never-restart", "sleep", "1000")
    cluster.wait_task(job, 0, "running")
    cluster.hq("worker", "stop", "1")
    assert cluster.wait_job(job)["failed"] == 1
    assert cluster.task(job)["error"] == "Task was running on a lost worker while never restart flag was set."


def test_killed_server_comes_back_and_tasks_go_on(cluster):
    """The worker stays, its task is not started again, what finished meanwhile arrives."""
    job, gate = held_task(cluster)
    ended_meanwhile, gate2 = held_task(cluster)
    cluster.server.kill()
    gate2.touch()
    cluster.start_server()
    wait_until(lambda: cluster.running_workers() == [1], "worker 1 back")
    assert cluster.wait_job(ended_meanwhile)["finished"] == 1
    assert cluster.task(job)["state"] == "running"
    gate.touch()
    assert cluster.wait_job(job)["finished"] == 1
    assert starts(gate) == ["start 0"] and starts(gate2) == ["start 0"]
    assert cluster.worker.running()


def test_on_server_lost_stop(server):
    worker = server.start_worker("--on-server-lost=stop")
    job, gate = held_task(server)
    server.server.kill()
    assert worker.wait() == 1
    assert "Server connection closed" in worker.err()
    assert "INFO All running tasks were stopped" in worker.err()
    assert starts(gate) == ["start 0"] and job == 1


def test_on_server_lost_finish_running(server):
    worker = server.start_worker("--cpus=1", "--on-server-lost=finish-running")
    _, gate = held_task(server)
    server.submit("touch", "second")
    server.server.kill()
    worker.wait_for_err("INFO Waiting for finishing running tasks")
    assert worker.running()
    gate.touch()
    assert worker.wait() == 1
    assert "INFO All running tasks were finished" in worker.err()
    assert not (server.work / "second").exists()


def test_orderly_end_of_the_server_ends_workers(cluster):
    cluster.hq("server", "stop")
    assert cluster.worker.wait() == 1
    assert "Server connection closed" in cluster.worker.err()


def test_tasks_die_with_a_killed_worker(cluster):
    job = cluster.submit("sh", "-c", "echo $$; exec sleep 1000")
    cluster.wait_task(job, 0, "running")
    out = cluster.work / f"job-{job}" / "0.stdout"
    pid = int(wait_until(lambda: out.exists() and out.read_text().strip(), "the task's pid"))
    assert is_alive(pid)
    cluster.worker.kill()
    wait_until(lambda: not is_alive(pid), "the task's end")


def test_no_server_for_a_worker(world):
    failed = world.hq("worker", "start", "--cpus=1", check=False)
    assert failed.status == 1
    assert f'Cannot load server directory\n\nCaused by:\n    Error: "{world.server_dir}" is not a directory' in failed.err


def test_bad_worker_options(server):
    for args, status, text in [
        (["--cpus=0"], 1, "CPUs must have identity"),
        (["--cpus=2", "--resource", "cpus=[1,2]"], 1, "Parameters --cpus and --resource cpus=... cannot be combined"),
        (["--detect-resources=none"], 1, "You have to specify --cpus explicitly"),
        (["--cpus=x"], 2, "--cpus"),
        (["--min-utilization=2"], 2, "Minimal utilization has to be in the interval [0.0, 1.0]."),
        (["--detect-resources=moon"], 2, "invalid variant: moon"),
        (["--frob"], 2, "unexpected argument '--frob' found"),
    ]:
        failed = server.hq("worker", "start", *args, check=False)
        assert failed.status == status and text in failed.err, f"{args}: {failed}"
    assert server.workers() == {}


def memory_limits():
    """Of the control groups that this process is in, from its own up; at least one number."""
    yield 1 << 62
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = pathlib.Path("/sys/fs/cgroup/memory" if controllers else "/sys/fs/cgroup")
        place = top / path.lstrip("/")
        for group in (place, *place.parents):
            limit = group / ("memory.limit_in_bytes" if controllers else "memory.max")
            text = limit.read_text().strip() if limit.exists() else ""
            if text.isdigit():
                yield int(text)


def test_detection(world):
    shown = world.hq("worker", "hwdetect").out
    assert shown.startswith("Summary:\ncpus: ") and "\nFull Description:\ncpus: " in shown
    resources = world.json("worker", "hwdetect")["resources"]
    (cpus,) = [pool for pool in resources if pool["name"] == "cpus"]
    count = {"range": lambda: cpus["end"] - cpus["start"] + 1, "list": lambda: len(cpus["values"]),
             "groups": lambda: sum(len(group) for group in cpus["groups"])}[cpus["kind"]]()
    assert count == len(os.sched_getaffinity(0))
    if not any(name.startswith("SLURM_") for name in os.environ):
        (mem,) = [pool for pool in resources if pool["name"] == "mem"]
        bytes_total = min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE"), *memory_limits())
        assert mem["size"] == bytes_total * 10000 // 2**20


def test_memory_limit_of_a_control_group(world, tmp_path):
    """hwdetect in a group with a memory limit: the limit counts, not the machine's memory."""
    base = pathlib.Path("/sys/fs/cgroup/memory" if os.path.isdir("/sys/fs/cgroup/memory") else "/sys/fs/cgroup")
    name = "memory.limit_in_bytes" if base.name == "memory" else "memory.max"
    group = base / f"hq-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / name).write_text("268435456")
    except OSError as no:
        if group.exists():
            group.rmdir()
        pytest.skip(f"memory limits of control groups cannot be set here: {no}")
    try:
        command = f"echo $$ >{group}/cgroup.procs && exec {world.bin / 'hq'} worker hwdetect"
        shown = subprocess.run(["sh", "-c", command], env=world.env, stdout=subprocess.PIPE, check=True).stdout.decode()
    finally:
        group.rmdir()
    assert "\nmem: 256.00 MiB\n" in shown and "\nmem: sum(256)\n" in shown


def test_start_lines(world):
    server = world.start_server("--host=localhost", "--disable-worker-authentication-and-encryption")
    worker = world.start_worker("--detect-resources=none", "--resource=gpus/amd=[7,8]")
    port = world.access()["worker"]["port"]
    lines = [line.split(" ", 1)[1] for line in worker.err().splitlines()]
    assert server.running() and [line for line in lines if "Listening" not in line] == [
        f"INFO HyperQueue {world.hq('--version').out.split()[1]}",
        "INFO Observing amd GPU usage because of manually passed resource `gpus/amd`",
        "INFO Starting hyperqueue worker",
        f"INFO Connecting to: localhost:{port}",
        "WARN No worker key: Unauthenticated and unencrypted connection to server",
        next(line for line in lines if "candidate" in line),
    ]
    assert re.fullmatch(rf"INFO Connecting to server \(candidate addresses = \[.*127\.0\.0\.1:{port}.*\]\)", lines[-1])


def test_detection_keeps_to_the_affinity_mask(server):
    cpu = min(os.sched_getaffinity(0))
    worker = server.daemon("worker", ["taskset", "-c", cpu, server.bin / "hq", "worker", "start"])
    worker.wait_for_out("Manager Job ID")
    assert server.hq("worker", "list").out.count("cpus 1") == 1


def test_output_of_a_worker_names_ip_and_port(cluster):
    wait_until(lambda: re.search(r"INFO Worker 1 registered from ", cluster.server.err()), "the registration line")
