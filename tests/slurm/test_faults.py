"""How batch systems fail, one test each, on stand-ins (standin.py); what they answer is what real ones were seen to answer."""
import os
import signal
import time

import pytest

from harness import wait_until
from conftest import AllocWorld
from hungfs import HungFilesystem
from standin import Batch

KNOBS = {"HQ_AUTOALLOC_REFRESH_INTERVAL_MS": "200", "HQ_AUTOALLOC_LOOKUP_GAP_MS": "600", "HQ_AUTOALLOC_MISS_GAP_MS": "1000",
         "HQ_AUTOALLOC_COMMAND_TIMEOUT_MS": "1500"}


@pytest.fixture
def fake():
    """A world with stand-ins, its server, one queue, and a job that waits for a node."""
    world = AllocWorld()
    world.batch = Batch(world)
    world.env.update(KNOBS)
    world.server = world.start_server("--host=127.0.0.1")
    yield world
    world.close()


def add(world, manager="slurm", *more):
    world.hq("alloc", "add", manager, "--no-dry-run", "--time-limit=1h", "--cpus=4", *more)


def want(world, tasks=1):
    return world.submit(f"--array=1-{tasks}", "--cpus=4", "true")


def one(world, status="queued"):
    """The only allocation, once it is in that state."""
    def look():
        allocs = [alloc for alloc in world.allocs().values() if alloc["status"] == status]
        return allocs if len(allocs) == 1 else None
    return wait_until(look, f"one allocation that is {status}")[0]


def worker_of(world, alloc, manager="slurm"):
    env = {"SLURM_JOB_ID": alloc["id"]} if manager == "slurm" else {"PBS_ENVIRONMENT": "PBS_BATCH", "PBS_JOBID": alloc["id"]}
    return world.start_worker("--cpus=4", "--time-limit=1h", env=env)


@pytest.mark.parametrize("fault", ["kill", "hang", "link"])
def test_submit_cut_off_before_it_came_through(fake, fault):
    """Nobody knows whether a job exists: it is looked up before anything is submitted again."""
    fake.batch.fault(sbatch=[fault])
    add(fake)
    want(fake)
    alloc = one(fake)
    assert len(fake.batch.calls("sbatch")) == 2
    assert fake.batch.live() == [alloc["id"]]
    names = [call[0] for call in fake.batch.read()["calls"]]
    between = names[names.index("sbatch") + 1:len(names) - 1 - names[::-1].index("sbatch")]
    assert between.count("squeue") >= 2


@pytest.mark.parametrize("fault", ["accept-then-kill", "accept-then-hang", "accept-then-fail"])
def test_submit_came_through_without_an_answer(fake, fault):
    fake.batch.fault(sbatch=[fault])
    add(fake)
    want(fake)
    alloc = one(fake)
    assert len(fake.batch.calls("sbatch")) == 1
    assert fake.batch.live() == [alloc["id"]]


def test_submit_answered_late(fake):
    """Given up after two look-ups, and then it shows up after all: cancelled, and the next one stays."""
    fake.batch.fault(sbatch=["late:4"])
    add(fake)
    want(fake)
    alloc = one(fake)
    assert len(fake.batch.calls("sbatch")) == 2
    wait_until(lambda: fake.batch.jobs()["101"]["state"] == "CANCELLED", "the late one cancelled")
    assert fake.batch.live() == [alloc["id"]] == ["102"]


def test_controller_down(fake):
    """Nothing is decided while it is down; then everything goes on. The server answers meanwhile."""
    add(fake)
    want(fake)
    alloc = one(fake)
    worker_of(fake, alloc)
    one(fake, "running")
    fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
    fake.batch.set_down(True)
    wait_until(lambda: "Unable to contact" in (fake.status()["daemon"]["problem"] or ""), "the problem shown")
    before = len(fake.batch.calls("squeue"))
    wait_until(lambda: len(fake.batch.calls("squeue")) > before, "another look")
    assert fake.allocs()[alloc["id"]]["status"] == "running"
    began = time.monotonic()
    fake.hq("job", "list")
    assert time.monotonic() - began < 2
    fake.batch.set_down(False)
    wait_until(lambda: fake.status()["daemon"]["problem"] is None, "no problem any more")
    assert fake.allocs()[alloc["id"]]["status"] == "running"


def test_down_while_submitting(fake):
    fake.batch.set_down(True)
    add(fake)
    want(fake)
    wait_until(lambda: len(fake.batch.calls("squeue")) >= 2, "look-ups")
    assert len(fake.batch.calls("sbatch")) == 1
    fake.batch.set_down(False)
    alloc = one(fake)
    assert fake.batch.live() == [alloc["id"]]


def test_job_vanished(fake):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], gone=True)
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "failed", "the vanished one as failed")
    assert "does not know it any more" in fake.server.err()


def test_id_reused(fake):
    """Another job has our id now: ours is gone, and theirs is not touched."""
    add(fake)
    want(fake)
    alloc = one(fake)
    with fake.batch.change() as data:
        old = data["jobs"].pop(alloc["id"])
        data["jobs"][alloc["id"]] = {**old, "script": "/home/x/theirs.sh", "state": "RUNNING", "time": old["time"] + 5}
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "failed", "ours as failed")
    fake.hq("alloc", "remove", "--force", 1)
    assert [alloc["id"]] not in fake.batch.calls("scancel")


def test_requeued(fake):
    """It ran, was preempted and waits again: workers that nobody expects would come; it is cancelled."""
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
    one(fake, "running")
    fake.batch.set(alloc["id"], state="PENDING", reason="BeginTime")
    wait_until(lambda: [alloc["id"]] in fake.batch.calls("scancel"), "its cancel")


def test_held(fake):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], reason="JobHeldUser")
    wait_until(lambda: fake.status(1)["queues"][0]["waiting"] == [
        {"id": alloc["id"], "is_permanent": True, "reason": "PENDING: JobHeldUser"}], "the reason shown")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"
    assert "may never start" in fake.hq("alloc", "info", 1).err


@pytest.mark.parametrize("word", ["NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "FAILED", "DEADLINE", "BOOT_FAIL"])
def test_failed_states(fake, word):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state=word, start=time.time(), end=time.time())
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "failed", word)
    assert fake.allocs()[alloc["id"]]["ended_at"] is not None


def test_walltime_reached(fake):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
    one(fake, "running")
    fake.batch.set(alloc["id"], state="TIMEOUT", end=time.time())
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "finished", "finished")


def test_unknown_state_changes_nothing(fake):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state="DREAMING", reason="of sheep")
    wait_until(lambda: "DREAMING" in str(fake.status(1)), "the word shown")
    before = len(fake.batch.calls("squeue"))
    wait_until(lambda: len(fake.batch.calls("squeue")) > before + 2, "more looks")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"


LIES = [
    ("{id}|DREAMING|1|2|3|None|{script}", 1),  # a state that nobody knows
    ("{id}|COMPLETED|99999999999999999999|-5|N/A|None|{script}.other", 1),  # dates out of range, of somebody else
    ("{id} {id}|FAILED|0|0|0|None|{script}", 1),  # an id with a blank
    ("|FAILED|0|0|0|None|{script}", 1),
    ("-1|FAILED|0|0|0|None|{script}", 1),
    ("{id}|FAILED", 1),
    ("\x00\x1b[31m\xff||||||||", 3),
    ("x" * 1000, 30000),  # more than is read
]


@pytest.mark.parametrize("number", range(len(LIES)))
def test_lying_batch_system(fake, number):
    """Nothing but a log line and the state "unknown" comes of it, and what is true beside it still counts."""
    add(fake)
    want(fake)
    alloc = one(fake)
    line, count = LIES[number]
    if count > 100:  # what is true stands behind the end of what is read
        assert len(line) * count > 16 << 20
    fake.batch.lie(line.format(id=alloc["id"], script=alloc["workdir"] + "/hq-submit.sh"), count)
    before = len(fake.batch.calls("squeue"))
    wait_until(lambda: len(fake.batch.calls("squeue")) > before + 3, "more looks")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"
    assert fake.batch.calls("scancel") == []
    fake.batch.lie("", 0)
    fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
    one(fake, "running")


PBS_LIES = ["", "{", "[]", '{"Jobs": []}', '{"Jobs": {"ID": 5}}', '{"Jobs": {"ID": {"job_state": "Z", "ctime": "soon"}}}',
            '{"Jobs": {"a b": {"job_state": "F", "Exit_status": 1, "Submit_arguments": "SCRIPT"}}}']


@pytest.mark.parametrize("number", range(len(PBS_LIES)))
def test_lying_pbs(fake, number):
    fake.env["HQ_AUTOALLOC_MISS_GAP_MS"] = "8000"
    fake.server.kill()
    fake.server = fake.start_server("--host=127.0.0.1")
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    text = PBS_LIES[number].replace("ID", alloc["id"]).replace("SCRIPT", alloc["workdir"] + "/hq-submit.sh")
    fake.batch.lie(text or " ", 1)
    before = len(fake.batch.calls("qstat"))
    wait_until(lambda: len(fake.batch.calls("qstat")) > before + 1, "more looks")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"
    fake.batch.lie("", 0)
    fake.batch.set(alloc["id"], state="R", start=time.time())
    one(fake, "running")


def test_noise_on_stdout(fake):
    fake.batch.fault(sbatch="noise")
    add(fake)
    want(fake)
    assert [one(fake)["id"]] == fake.batch.live()


def test_localised_environment():
    world = AllocWorld()
    world.batch = Batch(world)
    world.env.update(KNOBS)
    world.env.update(LANG="de_DE.UTF-8", LC_ALL="de_DE.UTF-8")
    try:
        world.start_server("--host=127.0.0.1")
        world.batch.fault(sbatch="localised")
        add(world)
        want(world)
        assert [one(world)["id"]] == world.batch.live()
        assert len(world.batch.calls("sbatch")) == 1
    finally:
        world.close()


def test_sbatch_missing(fake):
    os.unlink(fake.batch.dir / "sbatch")
    fake.env["PATH"] = f"{fake.batch.dir}:{fake.bin}"
    fake.server.kill()
    fake.server = fake.start_server("--host=127.0.0.1")
    result = fake.hq("alloc", "dry-run", "slurm", "--time-limit=1h", "--cpus=1", check=False)
    assert result.status == 1
    assert result.err.startswith("Error: Could not submit allocation: sbatch start failed\n\nCaused by:\n    No such file or directory (os error 2)\n"
                                 "You can find the submitted script at /tmp/hq")
    add(fake)
    want(fake)
    wait_until(lambda: fake.status(1)["queues"][0]["submit_fails"] >= 1, "a failure counted")
    assert "sbatch start failed" in fake.status(1)["queues"][0]["last_error"]


def test_rejected_is_told_and_waits(fake):
    fake.batch.fault(sbatch="reject")
    add(fake)
    want(fake)
    queue = wait_until(lambda: [q for q in fake.status(1)["queues"] if q["next_attempt_at"]], "the rate limit")[0]
    assert queue["submit_fails"] == 1
    assert "Invalid partition" in queue["last_error"]
    assert len(fake.batch.calls("sbatch")) == 1
    # the user sees it, mends it and says so: at once
    fake.batch.fault(sbatch=None)
    fake.hq("alloc", "resume", 1)
    assert [one(fake)["id"]] == fake.batch.live()


def test_old_failed_submissions_are_cleaned_up(fake):
    """The last 20 directories are kept for users to look into. Each resume is a fresh try."""
    fake.batch.fault(sbatch="reject")
    add(fake)
    want(fake)
    for number in range(1, 24):
        wait_until(lambda: fake.batch.calls("sbatch")[number - 1:], f"try {number}")
        wait_until(lambda: fake.status(1)["queues"][0]["submit_fails"] == 1, "the failure")
        fake.hq("alloc", "resume", 1)
    queue = fake.instance_dir() / "autoalloc/1"
    wait_until(lambda: not (queue / "003").exists(), "the oldest ones gone")
    assert (queue / "020/hq-submit.sh").exists()


def test_failed_allocations_pause_the_queue(fake):
    add(fake, "slurm", "--backlog=3")
    want(fake, 9)
    wait_until(lambda: len(fake.batch.live()) == 3, "three allocations")
    for number in fake.batch.live():
        fake.batch.set(number, state="FAILED", start=time.time(), end=time.time())
    wait_until(lambda: fake.queues()[1]["state"] == "Paused", "the queue paused")
    assert "The queue 1 had too many failed allocations, it will be paused." in fake.server.err()
    assert fake.status(1)["queues"][0]["pause_reason"] == "too many failed allocations"
    fake.hq("alloc", "resume", 1)
    assert fake.queues()[1]["state"] == "Active"
    wait_until(lambda: fake.batch.live(), "a submission after the resume")


def test_status_command_hangs(fake):
    """A command that never returns is killed; the server answers, the state stays."""
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.fault(squeue="hang")
    wait_until(lambda: "did not end in time" in (fake.status()["daemon"]["problem"] or ""), "the problem shown")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"
    fake.batch.fault(squeue=None)
    wait_until(lambda: fake.status()["daemon"]["problem"] is None, "an answer again")


def test_server_directory_hangs(fake):
    """Scripts lie on a shared filesystem: while that hangs, what is under way is watched and cancelled as ever."""
    add(fake)
    want(fake)
    alloc = one(fake)
    try:
        hung = HungFilesystem(fake.instance_dir() / "autoalloc")
    except OSError as why:
        pytest.skip(f"no filesystem that hangs: {why}")
    try:
        add(fake, "slurm", "--name=second")
        fake.hq("alloc", "pause", 1)
        wait_until(lambda: hung.holds(fake.allocd_pid()), "a script that cannot be written")
        fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
        one(fake, "running")
        fake.hq("alloc", "remove", "--force", 1)
        wait_until(lambda: not fake.batch.live(), "the running one cancelled")
        assert len(fake.batch.calls("sbatch")) == 1
    finally:
        hung.end()
    wait_until(lambda: fake.status(2)["queues"][0]["submit_fails"] == 1, "the failed write counted")
    fake.hq("alloc", "resume", 2)
    wait_until(lambda: len(fake.batch.live()) == 1, "a submission")


def test_ten_thousand_other_jobs(fake):
    with fake.batch.change() as data:
        data["crowd"] = 10000
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state="RUNNING", start=time.time())
    one(fake, "running")
    assert all(not call[-1].startswith("9000") for call in fake.batch.calls("scancel"))


def test_cancel_fails_and_is_tried_again(fake):
    add(fake)
    want(fake)
    alloc = one(fake)
    fake.batch.set_down(True)
    fake.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: fake.batch.calls("scancel"), "a try")
    fake.batch.set_down(False)
    wait_until(lambda: not fake.batch.live(), "no job any more")
    assert fake.queues() == {}
    assert fake.batch.jobs()[alloc["id"]]["state"] == "CANCELLED"


@pytest.mark.limit(120)
def test_killed_again_and_again(fake):
    """kill -9 of hq-allocd, hqd and the batch command under load, many times: nothing twice, nothing left."""
    add(fake, "slurm", "--backlog=4", "--max-workers-per-alloc=2")
    want(fake, 100)
    import random
    chance = random.Random(7)
    print("seed=7")
    for _ in range(25):
        victim = chance.choice(["allocd", "allocd", "hqd", "command"])
        if victim == "command":
            fake.batch.fault(sbatch=[chance.choice(["accept-then-kill", "kill"])])
        elif victim == "hqd":
            fake.server.kill()
            fake.server = fake.start_server("--host=127.0.0.1")
        else:
            pid = wait_until(fake.allocd_pid, "hq-allocd")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it died with hqd a moment ago
        live = fake.batch.live()
        if live:  # the batch system ends some: others are needed
            fake.batch.set(chance.choice(live), state="TIMEOUT", start=time.time(), end=time.time())
    wait_until(lambda: len([a for a in fake.allocs().values() if a["status"] == "queued"]) == 4 or fake.queues()[1]["state"] == "Paused",
               "a full backlog", 40)
    scripts = [job["script"] for job in fake.batch.jobs().values()]
    assert len(scripts) == len(set(scripts)), "submitted twice"
    fake.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: not fake.batch.live(), "no job left", 40)


@pytest.mark.parametrize("option, place", [("--compact", 1), ("--max-worker-count=2", 0)])
def test_compact(fake, option, place):
    """Less work than nodes: it goes where the least time is left, when asked for; else to the oldest worker."""
    add(fake, "slurm", "--backlog=2", option)
    first = want(fake, 2)
    wait_until(lambda: len(fake.allocs()) == 2, "two allocations")
    for number, limit in zip(sorted(fake.allocs()), ("3h", "1h")):
        fake.start_worker("--cpus=4", f"--time-limit={limit}", env={"SLURM_JOB_ID": number})
    assert fake.wait_job(first)["finished"] == 2
    for _ in range(3):  # one after another: both workers are idle each time
        job = want(fake, 1)
        assert fake.wait_job(job)["finished"] == 1
        assert fake.task(job, 1)["worker"] == (1, 2)[place]


# ---- PBS
def test_pbs_life(fake):
    add(fake, "pbs")
    job = want(fake)
    alloc = one(fake)
    assert alloc["id"] == "101.pbs01"
    worker = worker_of(fake, alloc, "pbs")
    assert fake.wait_job(job)["finished"] == 1
    one(fake, "running")
    fake.batch.set(alloc["id"], state="R", start=time.time())
    worker.signal(signal.SIGTERM)
    worker.wait()
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] in ("finished", "failed"), "its end")
    fake.hq("alloc", "remove", 1)


def test_pbs_several_are_asked_for_at_once(fake):
    add(fake, "pbs", "--backlog=3")
    want(fake, 9)
    wait_until(lambda: len(fake.allocs()) == 3, "three allocations")
    for number in fake.batch.live():
        fake.batch.set(number, state="R", start=time.time())
    wait_until(lambda: all(a["status"] == "running" for a in list(fake.allocs().values())[:3]), "all seen running")
    asked = [call for call in fake.batch.calls("qstat") if sum(word[0].isdigit() for word in call) > 1]
    assert asked and all("-E" in call for call in asked)


def test_nonzero_exit_with_valid_output(fake):
    """qstat fails for some reason of its own and still tells of the jobs it knows."""
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    fake.batch.fault(qstat="exit")
    fake.batch.set(alloc["id"], state="R", start=time.time())
    one(fake, "running")
    fake.batch.set(alloc["id"], state="F", end=time.time(), exit=0)
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "finished", "its end")
    assert fake.status()["daemon"]["problem"] is None


def test_pbs_held_and_never(fake):
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], state="Q", reason="Can Never Run: Insufficient amount of resource: ncpus")
    wait_until(lambda: [w for w in fake.status(1)["queues"][0]["waiting"] if w["is_permanent"]], "the reason shown")
    fake.batch.set(alloc["id"], state="H", reason="")
    wait_until(lambda: any(w["reason"] == "H" for w in fake.status(1)["queues"][0]["waiting"]), "held")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"


def test_pbs_ends(fake):
    add(fake, "pbs", "--backlog=2")
    want(fake, 9)
    wait_until(lambda: len(fake.allocs()) == 2, "two allocations")
    good, bad = sorted(fake.batch.live())
    fake.batch.set(good, state="F", start=time.time(), end=time.time(), exit=0)
    fake.batch.set(bad, state="F", start=time.time(), end=time.time(), exit=1)
    wait_until(lambda: fake.allocs()[good]["status"] == "finished" and fake.allocs()[bad]["status"] == "failed", "both ends")


def test_pbs_submit_hangs_and_came_through(fake):
    fake.batch.fault(qsub=["accept-then-hang"])
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    assert len(fake.batch.calls("qsub")) == 1
    assert fake.batch.calls("qselect")
    assert fake.batch.live() == [alloc["id"]]


def test_pbs_submit_answered_late(fake):
    """Given up after two look-ups, and then it shows up after all: found among the user's jobs, cancelled; the next one stays."""
    fake.batch.fault(qsub=["late:4"])
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    assert len(fake.batch.calls("qsub")) == 2
    wait_until(lambda: fake.batch.jobs()["101.pbs01"]["state"] == "F", "the late one cancelled")
    assert fake.batch.live() == [alloc["id"]] == ["102.pbs01"]


def test_stray_of_an_earlier_process(fake):
    """It shows up when nothing is waited for any more, and the process that submitted it is dead."""
    fake.batch.fault(qsub=["late:6", "reject"])
    add(fake, "pbs")
    want(fake)
    wait_until(lambda: len(fake.batch.calls("qsub")) == 2, "the loss and another try")
    fake.hq("alloc", "pause", 1)
    fake.server.kill()
    fake.server = fake.start_server("--host=127.0.0.1")
    wait_until(lambda: fake.batch.jobs()["101.pbs01"]["state"] == "F", "the late one cancelled")
    assert fake.batch.live() == []


def test_pbs_server_down(fake):
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    fake.batch.set_down(True)
    wait_until(lambda: "cannot connect to server" in (fake.status()["daemon"]["problem"] or ""), "the problem shown")
    assert fake.allocs()[alloc["id"]]["status"] == "queued"
    fake.batch.set_down(False)
    fake.hq("alloc", "remove", "--force", 1)
    wait_until(lambda: not fake.batch.live(), "no job left")


def test_pbs_unknown_id(fake):
    add(fake, "pbs")
    want(fake)
    alloc = one(fake)
    fake.batch.set(alloc["id"], gone=True)
    wait_until(lambda: fake.allocs()[alloc["id"]]["status"] == "failed", "the vanished one as failed")


def test_pbs_trial_is_held(fake):
    add(fake, "pbs")
    fake.hq("alloc", "dry-run", "pbs", "--time-limit=1h", "--cpus=1")
    (script,), = fake.batch.calls("qsub")
    assert script.startswith("/tmp/hq")
    assert not os.path.exists(script)
    assert fake.batch.calls("qdel") == [["101.pbs01"]]
