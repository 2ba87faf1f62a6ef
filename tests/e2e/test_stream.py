"""--stream / --log, hq output-log, hq log: what tasks print is in a few files, in order, whole."""
import hashlib
import signal
import subprocess

from harness import SAN, rss_kb, wait_until


def summary(world, path="out", *more):
    return world.json("output-log", *more, path, "summary")["summary"]


def test_row22_all_output_in_one_place(cluster):
    job = cluster.submit("--wait", "--array=1-4", "--log=my.log", "sh", "-c", "echo Computation started $HQ_TASK_ID")
    assert cluster.stats(job)["finished"] == 4
    assert not (cluster.work / f"job-{job}").exists()
    assert len(list((cluster.work / "my.log").iterdir())) == 1


def test_row23_show_with_ends(cluster):
    cluster.submit("--wait", "--array=2,3", "--log=my.log", "sh", "-c", "[ $HQ_TASK_ID = 3 ] || echo Computation started")
    shown = cluster.hq("log", "my.log", "show").out
    assert shown == "2:0> Computation started\n2: > stream closed\n"
    assert "3: > stream closed\n" in cluster.hq("log", "my.log", "show", "--show-empty").out


def test_row24_cat_one_task(cluster):
    cluster.submit("--wait", "--array=1-2", "--log=my.log", "sh", "-c", "echo $HQ_TASK_ID; echo e$HQ_TASK_ID >&2")
    assert cluster.hq("log", "my.log", "cat", "stdout", "--task=1").out == "1\n"
    assert cluster.hq("log", "my.log", "cat", "stderr").out == "e1\ne2\n"


def test_thousands_of_tasks_few_files(cluster):
    job = cluster.submit("--wait", "--array=1-1000", "--stream=out", "sh", "-c", "echo o$HQ_TASK_ID; echo e >&2")
    got = summary(cluster)
    assert (got["n_files"], got["n_tasks"], got["n_opened"], got["n_superseded"]) == (1, 1000, 0, 0)
    assert cluster.hq("output-log", "out", "cat", job, "stdout").out == "".join(f"o{i}\n" for i in range(1, 1001))
    assert cluster.hq("output-log", "out", "jobs").out == f"{job}\n"


def test_two_workers_and_partial_redirection(server):
    for name in ("one", "two"):
        server.start_worker("--cpus=1", name=name)
    job = server.submit("--wait", "--array=1-20", "--stream=out", "--stderr=%{TASK_ID}.err", "sh", "-c",
                        "echo x; echo y >&2; read a < /dev/null; exec sleep 0.05")
    got = summary(server)
    assert got["n_files"] == 2 and got["stdout_size"] == 40 and got["stderr_size"] == 0
    assert server.read("7.err") == "y\n"
    task = server.json("task", "info", job, "7")[0]
    assert task["stdout"] == "<pipe>" and task["stderr"].endswith("/7.err")


def test_bytes_come_back_as_they_went_in(cluster):
    data = bytes(range(256)) * 4096 * 16  # 16 MiB: far more than a pipe holds
    (cluster.work / "data").write_bytes(data)
    job = cluster.submit("--wait", "--stream=out", "cat", "data")
    assert cluster.stats(job)["finished"] == 1
    out = cluster.hq("output-log", "out", "cat", job, "stdout").out.encode("utf-8", "surrogateescape")
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()


def test_memory_stays_flat(cluster):
    cluster.submit("--wait", "--stream=out", "head", "-c", "8M", "/dev/zero")
    before = rss_kb(cluster.worker.pid)
    job = cluster.submit("--wait", "--stream=out", "head", "-c", "400M", "/dev/zero")
    assert cluster.stats(job)["finished"] == 1
    assert SAN or rss_kb(cluster.worker.pid) - before < 4096  # sanitizers keep freed memory for a while
    assert summary(cluster)["stdout_size"] == 408 * 1024 * 1024


def test_reader_while_the_task_writes(cluster):
    (cluster.work / "go").unlink(missing_ok=True)
    job = cluster.submit("--stream=out", "sh", "-c", "echo first; while [ ! -e go ]; do sleep 0.02; done; echo last")
    wait_until(lambda: (cluster.work / "out").exists() and "first" in cluster.hq("output-log", "out", "show").out, "the first line")
    assert summary(cluster)["n_opened"] == 1
    refused = cluster.hq("output-log", "out", "cat", job, "stdout", check=False)
    assert refused.status == 1 and refused.err == "Stream for task 0 is not finished\n"
    assert cluster.hq("output-log", "out", "cat", job, "stdout", "--allow-unfinished").out == "first\n"
    (cluster.work / "go").write_text("")
    cluster.wait_job(job)
    assert cluster.hq("output-log", "out", "cat", job, "stdout").out == "first\nlast\n"


def test_killed_worker_leaves_a_superseded_stream(server):
    worker = server.start_worker("--cpus=1")
    job = server.submit("--stream=out", "sh", "-c", "echo instance $HQ_INSTANCE_ID; [ $HQ_INSTANCE_ID != 0 ] || exec sleep 100")
    wait_until(lambda: (server.work / "out").exists() and summary(server)["stdout_size"] > 0, "output of the first instance")
    worker.signal(signal.SIGKILL)
    server.start_worker("--cpus=1", name="second")
    server.wait_job(job)
    got = summary(server)
    assert got["n_superseded"] == 1 and got["n_opened"] == 0 and got["superseded_stdout_size"] == len("instance 0\n")
    shown = server.hq("output-log", "out", "show").out
    assert shown.startswith(f"{job}.0:0> instance ") and "instance 0" not in shown


def test_torn_tail_and_foreign_files(cluster):
    job = cluster.submit("--wait", "--array=1-3", "--cpus=2", "--stream=out", "sh", "-c", "echo line $HQ_TASK_ID")  # one after the other
    file = next((cluster.work / "out").glob("*.hqs"))
    whole = file.read_bytes()
    (cluster.work / "out" / "foreign.hqs").write_text("no stream at all")
    for cut in range(len(whole) - 1, len(whole) - 80, -7):
        file.write_bytes(whole[:cut])
        assert cluster.hq("output-log", "out", "cat", job, "stdout", "--allow-unfinished").out.startswith("line 1\n")
    file.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    damaged = cluster.hq("output-log", "out", "summary")
    assert "WARN Stream file is damaged" in damaged.err


def test_directory_that_cannot_be_made(cluster):
    (cluster.work / "afile").write_text("")
    job = cluster.submit("--wait", "--stream=afile", "echo", "x")
    assert cluster.task(job)["state"] == "failed"
    assert "Cannot create stream directory" in cluster.task(job)["error"]


def test_background_child_does_not_hold_the_task(cluster):
    job = cluster.submit("--wait", "--stream=out", "sh", "-c", "sleep 1000 & echo started")
    assert cluster.stats(job)["finished"] == 1
    assert cluster.hq("output-log", "out", "cat", job, "stdout").out == "started\n"


def test_old_log_needs_a_job_when_there_are_several(cluster):
    cluster.submit("--wait", "--stream=out", "echo", "one")
    cluster.submit("--wait", "--stream=out", "echo", "two")
    refused = cluster.hq("log", "out", "cat", "stdout", check=False)
    assert refused.status == 1 and "choose one with --job: 1, 2" in refused.err
    assert cluster.hq("log", "out", "cat", "stdout", "--job=2").out == "two\n"


def test_output_is_there_while_the_task_runs_on(cluster):
    """Also of tasks that start beside others and print once: nobody has to end for it."""
    job = cluster.submit("--array=1-2", "--stream=out", "sh", "-c", "echo up $HQ_TASK_ID; while [ ! -e go ]; do sleep 0.02; done")
    wait_until(lambda: (cluster.work / "out").exists() and summary(cluster)["stdout_size"] == len("up 1\nup 2\n"), "both lines")
    assert summary(cluster)["n_opened"] == 2
    (cluster.work / "go").write_text("")
    cluster.wait_job(job)


def test_large_and_small_outputs_beside_each_other(server):
    """Some fill their pipe at once, most print a line: all of it is there, each in its order."""
    for name in ("one", "two"):
        server.start_worker("--cpus=4", name=name)
    job = server.submit("--wait", "--array=1-120", "--stream=out", "sh", "-c",
                        "if [ $((HQ_TASK_ID % 10)) = 0 ]; then seq -f \"$HQ_TASK_ID %.0f\" 40000; else echo $HQ_TASK_ID; fi; echo e$HQ_TASK_ID >&2")
    assert server.stats(job)["finished"] == 120
    out = server.hq("output-log", "out", "cat", job, "stdout").out.split("\n")
    want = [line for task in range(1, 121) for line in ([f"{task} {k}" for k in range(1, 40001)] if task % 10 == 0 else [f"{task}"])]
    assert out == want + [""]
    assert server.hq("output-log", "out", "cat", job, "stderr").out == "".join(f"e{task}\n" for task in range(1, 121))
    got = summary(server)
    assert (got["n_files"], got["n_opened"]) == (2, 0)


def test_readers_while_many_tasks_write(cluster):
    """A reader sees what each task has printed so far, in its order, and never less than before."""
    job = cluster.submit("--array=1-400", "--stream=out", "sh", "-c", "echo o$HQ_TASK_ID; echo x$HQ_TASK_ID")
    wait_until(lambda: (cluster.work / "out").exists(), "the directory")
    seen = 0
    while cluster.stats(job)["finished"] < 400:
        out = cluster.hq("output-log", "out", "cat", job, "stdout", "--allow-unfinished", check=False)
        lines = out.out.split()
        assert out.status == 0 or "not found" in out.err or "has no" in out.err, out.err
        assert all(lines[at - 1] == "o" + line[1:] for at, line in enumerate(lines) if line[0] == "x")
        assert len(set(lines)) == len(lines)
        assert len(lines) >= seen
        seen = len(lines)
    assert len(cluster.hq("output-log", "out", "cat", job, "stdout").out.split()) == 800


def test_directory_removed_or_moved_between_jobs(cluster):
    """The worker still has the old file open: what comes later belongs into a new one."""
    for round_no, command in enumerate((["rm", "-r", "out"], ["mv", "out", "moved"], ["rm", "-r", "out"])):
        job = cluster.submit("--wait", "--array=1-4", "--stream=out", "echo", f"round {round_no}")
        assert cluster.hq("output-log", "out", "cat", job, "stdout").out == f"round {round_no}\n" * 4
        subprocess.run(command, cwd=cluster.work, check=True)
    assert cluster.hq("output-log", "moved", "cat", "2", "stdout").out == "round 1\n" * 4
    assert cluster.hq("output-log", "moved", "jobs").out == "2\n"
