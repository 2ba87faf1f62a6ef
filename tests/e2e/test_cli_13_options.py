"""Options of daemons, queues and small commands that no other file holds, each by what it does or by what it is told to do."""
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from harness import REPO, wait_until


def configuration(world, worker=1):
    """As the journal tells it: everything a worker was started with."""
    events = [json.loads(line)["event"] for line in world.hq("journal", "replay").out.splitlines()]
    return next(event["configuration"] for event in events if event["type"] == "worker-connected" and event["id"] == worker)


def test_idle_timeout_of_the_server_is_for_workers_without_their_own(world):
    world.start_server("--idle-timeout=300ms")
    world.start_worker("--idle-timeout=1h")
    world.start_worker(wait=False)
    wait_until(lambda: world.quiet("worker", "list", "--all") == "1 RUNNING\n2 IDLE TIMEOUT\n", "the second to go")


def test_worker_start_options_are_told(server):
    server.start_worker("--overview-interval=7s", "--retract-check-interval=3s", "--heartbeat=2s", "--idle-timeout=1h", "--time-limit=2h", "--group=g", "--hostname=other",
                        "--min-utilization=0.5", "--on-server-lost=finish-running", "--manager=none", f"--work-dir={server.work}/wd", "--detect-resources=none",
                        "--resource=foo=sum(3)")
    seen = configuration(server)
    assert seen["overview_configuration"]["send_interval"] == {"nanos": 0, "secs": 7} and seen["retract_check_interval"] == {"nanos": 0, "secs": 3}
    assert (seen["heartbeat_interval"]["secs"], seen["idle_timeout"]["secs"], seen["time_limit"]["secs"]) == (2, 3600, 7200)
    assert (seen["group"], seen["hostname"], seen["min_utilization"], seen["on_server_lost"]) == ("g", "other", 0.5, "FinishRunning")
    assert seen["work_dir"] == f"{server.work}/wd" and [resource["name"] for resource in seen["resources"]["resources"]] == ["cpus", "foo"]


def test_without_hyper_threading(server):
    """At most one of each pair of siblings, in what is shown and in what a worker offers."""
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
            siblings.add(file.read().strip())
    count = lambda described: sum(len(group) for group in cpus(described))
    shown = server.json("worker", "hwdetect", "--no-hyper-threading")
    assert count(shown) == len(siblings) <= count(server.json("worker", "hwdetect"))
    server.daemon("worker", [server.bin / "hq", "worker", "start", "--no-hyper-threading"])
    wait_until(server.running_workers, "the worker")
    assert count(server.json("worker", "info", "1")[0]["configuration"]["resources"]) == len(siblings)


def cpus(described):
    resource = described["resources"][0]
    return {"list": lambda: [resource["values"]], "groups": lambda: resource["groups"], "range": lambda: [range(resource["start"], resource["end"] + 1)]}[resource["kind"]]()


def test_settings_of_a_worker(world):
    shown = world.hq("worker", "start", "--print-config").out
    key, value = re.search(r"^([a-z][a-z0-9-]*): (\d+(?:ms|s|m|h))\s+#", shown, re.M).groups()
    (world.work / "w.yaml").write_text(f"{key}: {value}\n")
    again = world.hq("worker", "start", "--print-config", "--config", "w.yaml").out
    assert re.search(rf"^{key}: {value}\s+# .*file", again, re.M)


def test_hosts_of_an_access_file(world):
    world.hq("server", "generate-access", "a.json", "--client-port=1", "--worker-port=2", "--client-host=c", "--worker-host=w", "--host=unused")
    made = json.loads(world.read("a.json"))
    assert (made["client"]["host"], made["worker"]["host"]) == ("c", "w")


def test_take_over_of_an_instance_of_another_host(world):
    """A resumed instance may still run where we cannot see it, unless one says that it does not."""
    server = world.start_server()
    job = world.submit("--cpus=64", "true")
    directory = world.instance_dir()
    server.kill()
    access = json.loads((directory / "access.json").read_text())
    mute = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    access["client"]["host"], access["client"]["port"] = mute.getsockname()
    os.chmod(directory / "access.json", 0o600)
    (directory / "access.json").write_text(json.dumps(access))
    os.chmod(directory / "owner", 0o600)
    (directory / "owner").write_text(re.sub(r"(host|boot_id) .*", r"\1 elsewhere", (directory / "owner").read_text()))
    refused = world.hq("server", "start", check=False)
    assert refused.status == 1 and "was started on host elsewhere, which does not answer." in refused.err and "--take-over" in refused.err
    world.start_server("--take-over")
    mute.close()
    assert world.quiet("job", "list") == f"{job} WAITING\n" and world.instance_dir() == directory


def test_fail_of_files_and_progress(cluster):
    (cluster.work / "f.toml").write_text('[[task]]\ncommand = ["false"]\n')
    assert cluster.hq("job", "submit-file", "f.toml", "--wait", "--fail", check=False).status == 1
    assert cluster.hq("job", "submit-file", "f.toml", "--progress").status == 0
    assert cluster.hq("job", "progress", "1", "--fail", check=False).status == 1 and cluster.hq("job", "progress", "1").status == 0


ALLOC = ["--time-limit=1h", "--backlog=2", "--max-workers-per-alloc=3", "--max-worker-count=4", "--name=q", "--cpus=4", "--resource=foo=[[1],[2]]", "--resource=bar=[[3],[4]]", "--group=g",
         "--coupling=foo[0]:bar[1]=7",
         "--detect-resources=none", "--no-hyper-threading", "--overview-interval=5s", "--min-utilization=0.5", "--idle-timeout=2m", "--on-server-lost=stop", "--worker-time-limit=30m",
         "--worker-start-cmd=echo start", "--worker-stop-cmd=echo stop", "--worker-wrap-cmd=nice", "--lead-time=5m", "--keep-warm=1", "--compact", "--no-dry-run"]


@pytest.mark.parametrize("manager, name", [("slurm", "Slurm"), ("pbs", "PBS")])
def test_options_of_a_queue(server, manager, name):
    server.env["PATH"] = str(server.bin)  # no batch system: nothing is submitted
    added = server.hq("alloc", "add", manager, *ALLOC, "--", "--partition=x", "-A", "acc")
    assert "INFO Allocation queue 1 successfully created" in added.err
    (queue,) = server.json("alloc", "list")
    assert {key: queue[key] for key in ("additional_args", "backlog", "manager", "max_worker_count", "max_workers_per_alloc", "name", "state", "timelimit")} == {
        "additional_args": ["--partition=x", "-A", "acc"], "backlog": 2, "manager": name, "max_worker_count": 4, "max_workers_per_alloc": 3, "name": "q", "state": "Active", "timelimit": 3600.0}
    told = " ".join(queue["worker_args"]).replace('"', "")
    for words in ("--cpus 4", "--resource foo=[[1],[2]]", "--coupling foo[0]:bar[1]=7", "--group g", "--detect-resources none", "--no-hyper-threading", "--overview-interval 5s", "--on-server-lost stop", "--time-limit 30m"):
        assert words in told, told
    events = [json.loads(line)["event"] for line in server.hq("journal", "replay").out.splitlines()]
    params = next(event["params"] for event in events if event["type"] == "autoalloc-queue-created")
    assert (params["worker_start_cmd"], params["worker_stop_cmd"], params["worker_wrap_cmd"], params["min_utilization"]) == ("echo start", "echo stop", "nice", 0.5)
    assert params["idle_timeout"] == {"nanos": 0, "secs": 120} and params["max_worker_count"] == 4
    status = server.hq("alloc", "status").out
    assert "q" in status and server.hq("alloc", "status", "1").status == 0


def test_queue_states(server):
    server.env["PATH"] = str(server.bin)
    server.hq("alloc", "add", "slurm", "-t", "1h", "-b", "1", "-m", "1", "-n", "q", "--cpus=1", "--no-dry-run")
    assert "INFO Allocation queue 1 successfully paused" in server.hq("alloc", "pause", "1").err and server.json("alloc", "list")[0]["state"] == "Paused"
    server.server.kill()
    server.server = server.start_server()
    assert server.json("alloc", "list")[0]["state"] == "Paused"  # the reference forgets it
    assert "INFO Allocation queue 1 successfully resumed" in server.hq("alloc", "resume", "1").err and server.json("alloc", "list")[0]["state"] == "Active"
    assert server.json("alloc", "info", "1", "--filter=queued") == []
    assert "INFO Allocation queue 1 successfully removed" in server.hq("alloc", "remove", "1", "--force").err and server.json("alloc", "list") == []
    for command, text in ((["alloc", "pause", "1"], "Queue 1 that should have been paused was not found"), (["alloc", "resume", "1"], "should have been resumed was not found"),
                          (["alloc", "remove", "1"], "Allocation queue not found"), (["alloc", "log", "1", "stdout"], "Allocation 1 not found")):
        failed = server.hq(*command, check=False)
        assert failed.status == 1 and "Error: " in failed.err and text in failed.err, failed
    failed = server.hq("--output-mode=json", "alloc", "log", "1", "stdout", check=False)
    assert failed.status == 1 and "error" in failed.json()


@pytest.mark.parametrize("manager", ["slurm", "pbs"])
def test_trial_without_a_batch_system(server, manager):
    server.env["PATH"] = str(server.bin)
    failed = server.hq("alloc", "dry-run", manager, "--time-limit=1h", check=False)
    assert failed.status == 1 and "Could not submit allocation: " in failed.err
    refused = server.hq("alloc", "add", manager, "--time-limit=1h", "--worker-time-limit=2h", "--no-dry-run", check=False)
    assert refused.status == 1 and "Worker time limit cannot be larger than queue time limit" in refused.err


def test_manual_is_opened(world):
    browser = world.tmp / "xdg-open"
    browser.write_text("#!/bin/sh\necho \"opened $1\"\n")
    browser.chmod(0o755)
    world.env["PATH"] = f"{world.tmp}:{world.env['PATH']}"
    (world.root / "bin").mkdir()
    shutil.copy(world.bin / "hq", world.root / "bin" / "hq")
    page = world.root / "share" / "doc" / "hq" / "cli.md"
    page.parent.mkdir(parents=True)
    page.write_text("")
    world.bin = world.root / "bin"
    assert world.hq("doc", "job", "--open").out == f"opened {page}\n"


def test_manual_pages_are_written_from_the_tables(world):
    """docs/cli.md and docs/man/hq.1 are what the program says."""
    assert world.hq("generate-manual", "--markdown").out == (REPO / "docs" / "cli.md").read_text()
    assert world.hq("generate-manual").out == (REPO / "docs" / "man" / "hq.1").read_text()
    refused = world.hq("generate-manual", "--pages=x", "--markdown", check=False)
    assert refused.status == 2
    assert '"2026-01-31"' in world.hq("generate-manual", "--date=2026-01-31").out.splitlines()[0]


def test_a_manual_page_for_each_command(world):
    """What `make install` puts into share/man/man1; man itself finds nothing to complain of."""
    assert world.hq("generate-manual", "--pages=man/man1").out == ""
    pages = {path.name for path in (world.work / "man/man1").iterdir()}
    commands = re.findall(r"^## `(hq[^`]*)`$", (REPO / "docs" / "cli.md").read_text(), re.M)
    assert pages == {re.sub(r" <[A-Z]+>", "", command).replace(" ", "-") + ".1" for command in commands} and len(pages) > 50
    submit = (world.work / "man/man1/hq-submit.1").read_text()
    assert submit.startswith('.TH "hq-submit" "1"') and "each\\-line" in submit and ".SH SEE ALSO\nhq(1)" in submit
    if shutil.which("man"):
        shown = subprocess.run(["man", "--warnings", "-l", "man/man1/hq-job-list.1"], cwd=world.work, env={**world.env, "MANWIDTH": "80"}, capture_output=True, text=True)
        assert shown.returncode == 0 and shown.stderr == "" and "--verbose" in shown.stdout
