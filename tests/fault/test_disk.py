"""A disk that is full or away: changes are refused with the reason, the rest goes on, and all goes on once it is back."""
import os
import subprocess

import pytest

from harness import wait_until


@pytest.fixture
def disk(world):
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = world.root / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip("mount is not allowed here: " + mounted.stderr.strip())
    yield place
    world.stop_all()
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place):
    with open(place / "filler", "wb", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def test_full_journal_disk(world, disk):
    server = world.start_server("--journal", disk / "j")
    worker = world.start_worker()
    kept = world.submit("--wait", "true")
    fill(disk)
    # The one in flight when the disk refuses waits for it; whoever comes later is refused with the reason.
    caught = world.spawn_hq("--output-mode=quiet", "submit", "--name=" + "n" * 60000, "true")

    def refusal():
        done = world.hq("submit", "true", check=False)
        return done if done.status != 0 else None

    refused = wait_until(refusal, "a submit to be refused")
    assert refused.status == 1 and "No space left on device" in refused.err, refused
    listed = world.jobs()
    assert kept in listed, "queries go on"
    assert world.running_workers() == [1]
    cancel = world.hq("job", "cancel", "all", check=False)
    assert server.running() and worker.running() and cancel.status in (0, 1)
    (disk / "filler").unlink()
    later = wait_until(lambda: world.hq("submit", "--wait", "true", check=False).status == 0, "submits to be taken again")
    assert later and world.running_workers() == [1]
    caught.wait()
    jobs = world.jobs()
    assert caught.process.returncode != 0 or int(caught.out()) in jobs
    server.kill()
    world.start_server("--journal", disk / "j")
    assert {job: info["name"] for job, info in world.jobs().items()} == {job: info["name"] for job, info in jobs.items()}


def test_full_disk_during_an_array(world, disk):
    """Results that cannot be recorded wait with the worker; none is lost, no task is run again."""
    world.start_server("--journal", disk / "j")
    worker = world.start_worker()
    world.script("count", f'echo "$HQ_TASK_ID" >>{world.work}/runs\n')
    job = world.submit("--array=1-600", "--stdout=none", "--stderr=none", "./count")
    wait_until(lambda: world.stats(job)["finished"] > 50, "50 finished")
    fill(disk)
    runs = world.work / "runs"
    seen = len(runs.read_text().split())
    wait_until(lambda: len(runs.read_text().split()) >= min(seen + 1, 600), "the worker to go on or have ended")
    (disk / "filler").unlink()
    assert world.wait_job(job, timeout=40)["finished"] == 600
    ids = [int(word) for word in runs.read_text().split()]
    assert sorted(ids) == list(range(1, 601))
    assert worker.running()


def test_no_room_for_a_tasks_directory(world, disk):
    """The task fails and says what and where; the worker goes on."""
    world.start_server()
    worker = world.start_worker()
    fill(disk)
    count = len(os.listdir(disk))
    subprocess.run(["mount", "-o", f"remount,size=1m,nr_inodes={count + 1}", str(disk)], check=True)
    job = world.submit("--stdout", disk / "new" / "out", "true")
    assert world.wait_job(job)["failed"] == 1
    error = world.task(job)["error"]
    assert "Cannot create stdout directory at" in error and "No space left on device" in error and str(disk / "new") in error
    after = world.submit("--wait", "true")
    assert world.stats(after)["finished"] == 1 and worker.running()


def test_output_on_a_full_disk_is_the_tasks_affair(world, disk):
    world.start_server()
    world.start_worker()
    job = world.submit("--stdout", disk / "out", "sh", "-c", "head -c 3000000 /dev/zero || exit 4")
    assert world.wait_job(job)["failed"] == 1
    assert world.task(job)["error"] == "Program terminated with exit code 4." or "exit code 1" in world.task(job)["error"]


def test_server_directory_that_cannot_be_made(world):
    world.server_dir.write_text("a file is in the way")
    failed = world.hq("server", "start", check=False)
    assert failed.status == 1 and str(world.server_dir) in failed.err


def test_journal_that_cannot_be_made(world):
    failed = world.hq("server", "start", "--journal", "none/j", check=False)
    assert failed.status == 1 and "Cannot create event log file at" in failed.err and "none/j" in failed.err
    assert not os.path.lexists(world.server_dir / "hq-current")


def test_journal_that_is_none(world):
    """A file of something else is not touched."""
    (world.work / "letter").write_text("Dear reader,\nthis is no journal.\n" * 100)
    failed = world.hq("server", "start", "--journal", "letter", check=False)
    assert failed.status == 1 and "Error: Invalid journal format" in failed.err
    assert world.read("letter").startswith("Dear reader,") and len(world.read("letter")) == 3300
