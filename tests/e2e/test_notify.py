"""hq task notify and submit --on-notify."""
import pytest

from harness import wait_until

NOTIFY = "$HQ task notify"


def test_message_reaches_the_command(cluster):
    cluster.script("hear.sh", 'echo "$HQ_JOB_ID $HQ_TASK_ID $HQ_WORKER_ID $*" >> heard\n')
    cluster.hq("submit", "--array=4,6", "--wait", "--on-notify=./hear.sh 'first word' second", "sh", "-c", f"{NOTIFY} \"m  $HQ_TASK_ID\"")
    assert sorted(cluster.read("heard").splitlines()) == ["1 4 1 first word second m  4", "1 6 1 first word second m  6"]


def test_order_within_a_task_and_one_at_a_time(cluster):
    cluster.script("hear.sh", 'mkdir busy || echo overlap >> heard\necho "$1" >> heard\nrmdir busy\n')
    cluster.hq("submit", "--wait", "--on-notify=./hear.sh", "sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do {NOTIFY} $i || exit 9; done")
    assert cluster.read("heard").split() == [str(n) for n in range(1, 11)]


def test_works_with_progress(cluster):
    cluster.script("hear.sh", 'echo "$1" >> heard\n')
    cluster.hq("submit", "--progress", "--on-notify=./hear.sh", "sh", "-c", f"{NOTIFY} hello")
    assert cluster.read("heard") == "hello\n"


def test_other_jobs_are_not_heard(cluster):
    cluster.script("hear.sh", 'echo "$1" >> heard\n')
    waiting = cluster.spawn_hq("submit", "--wait", "--on-notify=./hear.sh", "sh", "-c",
                               f"until test -e go; do read -t 0.02 x < /dev/zero; done; {NOTIFY} mine")
    wait_until(lambda: cluster.jobs() and cluster.stats(1)["running"] == 1, "the first job to run")
    cluster.hq("submit", "--wait", "sh", "-c", f"{NOTIFY} theirs")
    (cluster.work / "go").touch()
    assert waiting.wait() == 0
    assert cluster.read("heard") == "mine\n"


@pytest.mark.parametrize("command", ["./nowhere", "false", "sh -c 'kill -9 $$'", "'unbalanced"])
def test_command_that_fails_only_warns(cluster, command):
    done = cluster.hq("submit", "--wait", f"--on-notify={command}", "sh", "-c", f"{NOTIFY} x")
    assert "WARN" in done.err, repr(done)
    assert cluster.stats(1)["finished"] == 1


def test_without_wait_it_is_said_to_be_ignored(cluster):
    done = cluster.hq("submit", "--on-notify=false", "true")
    assert "WARN" in done.err and "on-notify" in done.err
    assert cluster.wait_job(1)["finished"] == 1


def test_message_without_a_listener_vanishes(cluster):
    job = cluster.submit("sh", "-c", f"{NOTIFY} lost")
    assert cluster.wait_job(job)["finished"] == 1


@pytest.mark.parametrize("size, status", [(0, 0), (1024, 0), (1025, 1)])
def test_size_of_a_message(cluster, size, status):
    job = cluster.submit("--env", f"M={'x' * size}", "sh", "-c", f'{NOTIFY} "$M"; echo $?')
    cluster.wait_job(job)
    assert cluster.read(f"job-{job}/0.stdout") == f"{status}\n"
    if status:
        assert "Notify message limit exceeded" in cluster.read(f"job-{job}/0.stderr")


@pytest.mark.parametrize("key, text", [(None, "HQ_ACCESS_KEY variable not found"), ("x", "Value of HQ_ACCESS_KEY has a wrong format"),
                                       ("/nowhere/socket:abc", "No such file or directory")])
def test_outside_of_a_task(world, key, text):
    done = world.hq("task", "notify", "x", check=False, env={} if key is None else {"HQ_ACCESS_KEY": key})
    assert done.status == 1 and text in done.err, repr(done)


def test_key_ends_with_its_task(cluster):
    job = cluster.submit("--wait", "sh", "-c", "echo $HQ_ACCESS_KEY")
    key = cluster.read(f"job-{job}/0.stdout").strip()
    done = cluster.hq("task", "notify", "x", check=False, env={"HQ_ACCESS_KEY": key})
    assert done.status == 1 and done.out == ""
