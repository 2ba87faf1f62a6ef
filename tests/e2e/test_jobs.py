"""hq job, hq task: list, info, cancel, wait, progress, cat, summary, task-ids, forget."""
import re
import signal
import time

from harness import cpu_ticks, has_socket, is_asleep, wait_until


def finished_failed_canceled(world):
    """Jobs 1 (finished), 2 (2 of 4 failed), 3 (canceled), 4 (waiting)."""
    world.submit("--wait", "--name=good", "echo", "fine")
    world.submit("--wait", "--name=bad", "--array=1-4", "sh", "-c", "echo out $HQ_TASK_ID; echo err >&2; [ $HQ_TASK_ID -gt 2 ]")
    world.submit("--name=off", "--cpus=64", "true")
    world.hq("job", "cancel", "3", "--reason=because")
    world.submit("--name=later", "--cpus=64", "true")


def test_list_filters(cluster):
    finished_failed_canceled(cluster)
    assert cluster.quiet("job", "list") == "4 WAITING\n"
    assert cluster.quiet("job", "list", "--all") == "1 FINISHED\n2 FAILED\n3 CANCELED\n4 WAITING\n"
    assert cluster.quiet("job", "list", "--filter=failed,canceled") == "2 FAILED\n3 CANCELED\n"
    assert "There are 4 jobs in total. Use `--all` to display all jobs." in cluster.hq("job", "list").out
    verbose = cluster.hq("job", "list", "--all", "--verbose").out
    assert "| Cancel Reason |" in verbose and "| because " in verbose


def test_list_json(cluster):
    finished_failed_canceled(cluster)
    jobs = cluster.json("job", "list", "--all")
    assert [job["id"] for job in jobs] == [1, 2, 3, 4]
    assert sorted(jobs[1]) == ["cancel_reason", "id", "is_open", "name", "task_count", "task_stats"]
    assert jobs[1]["task_stats"] == {"aborted": 0, "canceled": 0, "failed": 2, "finished": 2, "running": 0, "waiting": 0}
    assert jobs[2]["cancel_reason"] == "because" and jobs[0]["cancel_reason"] is None


def test_empty_list_is_three_lines(server):
    assert server.hq("job", "list").out == ("+----+------+-------+-------+\n| ID | Name | State | Tasks |\n"
                                            "+----+------+-------+-------+\n")
    assert server.json("job", "list") == [] and server.quiet("job", "list") == ""


def test_json_keys_are_sorted_and_indented(cluster):
    cluster.submit("--wait", "true")
    text = cluster.hq("--output-mode=json", "job", "list", "--all").out
    assert text.startswith('[\n  {\n    "cancel_reason": null,\n    "id": 1,\n') and text.endswith("]\n")


def test_long_names_are_cut_in_the_middle(server):
    server.submit("--name=" + "a" * 40 + "b" * 40, "true")
    assert "| " + "a" * 24 + "..." + "b" * 23 + " |" in server.hq("job", "list").out
    assert server.jobs()[1]["name"] == "a" * 40 + "b" * 40


def test_info_table(cluster):
    job = cluster.submit("--wait", "--array=1-4", "--name=sim", "--env=FOO=1", "--priority=3", "--time-limit=10m", "--stderr=none",
                         "sh", "-c", "exit 0")
    rows = re.findall(r"^\| (.*?) *\| (.*?) *\|$", cluster.hq("job", "info", job).out, re.M)
    labels = [label for label, _ in rows if label]
    assert labels == ["ID", "Name", "State", "Cancel Reason", "Session", "Tasks", "Workers", "Resources", "Pin", "Priority", "Command",
                      "Stdout", "Stderr", "Environment", "Working directory", "Task time limit", "Crash limit", "Submission date",
                      "Submission directory", "Makespan"]
    cells = dict(rows)
    assert cells["Tasks"] == "4; Ids: 1-4" and cells["Session"] == "closed" and cells["Stderr"] == "<None>"
    assert cells["State"] == "[" + "#" * 40 + "]" and ("", "FINISHED (4)") in rows
    assert cells["Stdout"] == f"{cluster.work}/job-{job}/%{{TASK_ID}}.stdout"
    assert cells["Environment"] == "FOO=1" and cells["Task time limit"] == "10m" and cells["Priority"] == "3"


def test_info_shows_failed_tasks(cluster):
    job = cluster.submit("--array=1-9", "false")
    cluster.wait_job(job)
    shown = cluster.hq("job", "info", job).out
    assert "9 tasks failed. (5 shown)" in shown
    assert shown.count("Program terminated with exit code 1.") == 5


def test_info_json(cluster):
    job = cluster.submit("--wait", "--array=1-2", "true")
    (info,) = cluster.json("job", "info", job)
    assert sorted(info) == ["finished_at", "info", "max_fails", "started_at", "submits", "tasks"]
    (submit,) = info["submits"]
    assert sorted(submit["array"]) == ["crash_limit", "pin_mode", "priority", "program", "resources", "task_dir", "time_limit"]
    assert submit["array"]["program"]["args"] == ["true"]
    assert submit["array"]["resources"][0]["resources"] == [{"request": {"Compact": 10000}, "resource": "cpus"}]
    assert [task["id"] for task in info["tasks"]] == [1, 2] and info["tasks"][0]["state"] == "finished"


def test_unknown_jobs(cluster):
    cluster.submit("--wait", "true")
    unknown = cluster.hq("job", "info", "1,77")
    assert "ERROR Job 77 not found" in unknown.err and "| ID " in unknown.out
    assert cluster.json("job", "info", "77") == []
    assert "ERROR Canceling job 77 failed; job not found" in cluster.hq("job", "cancel", "77").err
    ids = cluster.hq("job", "task-ids", "77", check=False)
    assert ids.status == 1 and "Job Id not found" in ids.err
    assert "WARN Job 77 not found" in cluster.hq("task", "list", "77").err
    assert "ERROR Cannot find job 77" in cluster.hq("task", "info", "77", "0").err
    assert "WARN Task 9 not found" in cluster.hq("task", "info", "1", "9").err


def test_selectors(cluster):
    for _ in range(5):
        cluster.submit("--wait", "true")
    ids = lambda selector: [info["info"]["id"] for info in cluster.json("job", "info", selector)]
    assert ids("last") == [5] and ids("all") == [1, 2, 3, 4, 5] and ids("2-4:2,1") in ([2, 4, 1], [1, 2, 4])
    bad = cluster.hq("job", "info", "1-x", check=False)
    assert bad.status == 2 and "Unexpected token" in bad.err and "--- Unexpected token" in bad.err


def test_cancel_messages(cluster):
    assert "INFO There is nothing to cancel" in cluster.hq("job", "cancel", "all").err
    finished_failed_canceled(cluster)
    messages = cluster.hq("job", "cancel", "1-4,9")
    assert messages.out == ""
    assert "ERROR Canceling job 1 failed; all tasks are already finished" in messages.err
    assert "INFO Job 4 canceled (1 tasks canceled, 0 tasks already finished)" in messages.err
    assert cluster.json("job", "cancel", "1") == {}
    long = cluster.hq("job", "cancel", "1", "--reason", "x" * 201, check=False)
    assert long.status == 2


def test_task_ids(cluster):
    finished_failed_canceled(cluster)
    assert cluster.hq("job", "task-ids", "2", "--filter=failed").out == "1-2\n"
    assert cluster.hq("job", "task-ids", "1,2").out == "1: 0\n2: 1-4\n"
    assert cluster.json("job", "task-ids", "2", "--filter=finished") == {"2": [3, 4]}
    assert cluster.hq("job", "task-ids", "1", "--filter=failed").out == "\n"


def test_run_the_failed_ones_again(cluster):
    """The recipe of the manual: lines of those that failed."""
    (cluster.work / "in").write_text("a\nb\nc\n")
    job = cluster.submit("--each-line=in", "sh", "-c", 'test "$HQ_ENTRY" != b')
    cluster.wait_job(job)
    failed = cluster.hq("job", "task-ids", job, "--filter=failed").out.strip()
    again = cluster.submit("--each-line=in", f"--array={failed}", "--wait", "sh", "-c", 'echo "$HQ_ENTRY"')
    assert sorted(cluster.tasks(again)) == [1] and cluster.read(f"job-{again}/1.stdout") == "b\n"


def test_cat(cluster):
    finished_failed_canceled(cluster)
    assert cluster.hq("job", "cat", "2", "stdout").out == "out 1\nout 2\nout 3\nout 4\n"
    headed = cluster.hq("job", "cat", "1,2", "--tasks=0,3", "--print-task-header", "stdout")
    assert headed.out == "# Job 1, task 0\nfine\n# Job 2, task 3\nout 3\n"
    assert cluster.hq("job", "cat", "2", "--task-status=failed", "stderr").out == "err\nerr\n"
    assert "WARN Task 0 has no `stdout` stream associated with it" in cluster.hq("job", "cat", "4", "stdout").err
    refused = cluster.hq("--output-mode=json", "job", "cat", "1", "stdout", check=False)
    assert refused.status == 1 and refused.json() == {"error": "JSON output mode doesn't support job output"}


def test_summary(cluster):
    finished_failed_canceled(cluster)
    assert cluster.quiet("job", "summary").splitlines()[:6] == ["RUNNING 0", "WAITING 1", "FINISHED 1", "FAILED 1", "ABORTED 0", "CANCELED 1"]
    summary = cluster.json("job", "summary")
    assert summary["Finished"] == 1 and summary["Waiting"] == 1 and summary["Canceled"] == 1


def test_forget(cluster):
    finished_failed_canceled(cluster)
    assert "INFO 1 job were forgotten" in cluster.hq("job", "forget", "all", "--filter=failed").err
    assert sorted(cluster.jobs()) == [1, 3, 4]
    assert "INFO 2 jobs were forgotten, 1 were ignored due to wrong state or invalid ID" in cluster.hq("job", "forget", "1,3,4").err
    assert sorted(cluster.jobs()) == [4]
    assert cluster.submit("true") == 5


def test_wait_for_several(server):
    first, second = server.submit("true"), server.submit("true")
    waiter = server.spawn_hq("job", "wait", f"{first},{second}")
    server.start_worker()
    assert waiter.wait() == 0 and waiter.out() == ""
    assert server.json("job", "wait", "all") == {}


def test_wait_sees_the_orderly_end_of_the_server(server):
    job = server.submit("true")
    waiter = server.spawn_hq("job", "wait", job)
    wait_until(lambda: has_socket(waiter.pid) and is_asleep(waiter.pid), "the waiter to wait for the server")
    server.hq("server", "stop")
    assert waiter.wait() == 1


def test_wait_survives_a_killed_server(cluster):
    gate = cluster.work / "gate"
    job = cluster.submit("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    cluster.wait_task(job, 0, "running")
    waiter = cluster.spawn_hq("job", "wait", job)
    wait_until(lambda: has_socket(waiter.pid) and is_asleep(waiter.pid), "the waiter to wait for the server")
    progress = cluster.spawn_hq("job", "progress", job)
    progress.wait_for_out("1 RUNNING")
    cluster.server.kill()
    cluster.start_server()
    gate.touch()
    assert waiter.wait(30) == 0 and progress.wait(30) == 0
    assert "1 FINISHED" in progress.out()


def test_progress_of_what_has_ended(cluster):
    job = cluster.submit("--wait", "true")
    done = cluster.hq("job", "progress", job)
    assert "1/1 jobs, 1/1 tasks" in done.out or "There are no jobs to wait for" in done.err


def test_waiting_is_cheap(server):
    """A waiter is told; it does not ask all the time."""
    job = server.submit("true")
    waiter = server.spawn_hq("job", "wait", job)
    wait_until(lambda: has_socket(waiter.pid) and is_asleep(waiter.pid), "the waiter asleep")
    before = cpu_ticks(waiter.pid)
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > 1, "a second to pass", every=0.1)
    assert cpu_ticks(waiter.pid) - before <= 2
    waiter.signal(signal.SIGINT)
    assert waiter.wait() != 0


def test_task_list(cluster):
    finished_failed_canceled(cluster)
    lines = cluster.hq("task", "list", "2")
    assert lines.out.splitlines()[1].startswith("| Task ID | State    | Worker |")
    assert "Program terminat..." in lines.out and "An error message was truncated. Use -v to display the full error." in lines.err
    assert "Program terminated with exit code 1." in cluster.hq("task", "list", "2", "-v").out
    assert cluster.hq("task", "list", "1,2").out.splitlines()[1].startswith("| Job ID | Task ID |")
    tasks = cluster.json("task", "list", "1-3")
    assert sorted(tasks) == ["1", "2", "3"] and [task["id"] for task in tasks["2"]] == [1, 2, 3, 4]
    assert sorted(tasks["2"][0]) == ["cwd", "error", "finished_at", "id", "started_at", "state", "stderr", "stdout", "worker"]
    assert tasks["3"][0] == {"id": 0, "state": "canceled"}
    assert [task["id"] for task in cluster.json("task", "list", "2", "--task-status=failed")["2"]] == [1, 2]
    assert [task["id"] for task in cluster.json("task", "list", "2", "--tasks=2-3")["2"]] == [2, 3]


def test_task_info(cluster):
    finished_failed_canceled(cluster)
    rows = dict(re.findall(r"^\| (.+?) +\| (.*?) *\|$", cluster.hq("task", "info", "2", "1", "-v").out, re.M))
    assert rows["Task ID"] == "1" and rows["State"] == "FAILED" and rows["Error"] == "Program terminated with exit code 1."
    assert rows["Stdout"] == f"{cluster.work}/job-2/1.stdout" and rows["Crash limit"] == "5"
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", rows["Start"])
    assert [task["id"] for task in cluster.json("task", "info", "last", "0")] == [0]


def test_list_of_many_pages(server):
    """Answers over one message come in pages; nothing is missing or twice."""
    job = server.submit("--array=1-300000", "true")
    tasks = server.json("task", "list", job, timeout=50)[str(job)]
    assert [task["id"] for task in tasks] == list(range(1, 300001))


def test_pipe_that_closes_is_silent(server):
    import subprocess
    server.submit("--array=1-50000", "true")
    done = subprocess.run(f"{server.bin}/hq task list 1 | head -1", shell=True, env=server.env, cwd=server.work, capture_output=True, timeout=50)
    assert done.returncode == 0 and done.stderr == b"" and done.stdout.startswith(b"+--")


def test_old_spellings(cluster):
    cluster.submit("--array=0-1", "sh", "-c", "exit $HQ_TASK_ID")
    waited = cluster.hq("wait", "1", check=False)
    assert waited.status == 1 and "Some jobs have failed or have been canceled" in waited.err
    assert "Wait finished in" in waited.out and "1 job failed" in waited.out
    assert "| FAILED" in cluster.hq("jobs", "failed").out
