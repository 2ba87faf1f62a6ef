"""hq journal: what prune keeps, what a start brings back, the lines of export, replay and stream."""
import json

from harness import wait_until


def events(text):
    return [json.loads(line)["event"] for line in text.splitlines()]


def kinds(text):
    return [event.get("type") for event in events(text)]


def test_prune_keeps_what_lives(world):
    """Old: a record of a living job behind a pruned one was taken for a repetition at the next start, and the job was gone."""
    server = world.start_server("--journal=j.bin")
    world.start_worker("--cpus=1")
    world.hq("submit", "--wait", "true")
    waiting = world.submit("--array=1-10:3", "--nodes=5", "true")
    world.hq("submit", "--wait", "--array=1-3", "true")
    opened = int(world.quiet("job", "open"))
    world.hq("submit", "--wait", "true")
    world.hq("submit", f"--job={opened}", "true")
    world.wait_task(opened, 0, "finished")
    before = world.jobs()
    for _ in range(5):
        world.hq("journal", "prune")
    lines = world.hq("journal", "export", "j.bin").out
    assert {event["job"] for event in events(lines) if event["type"] == "job-created"} == {waiting, opened}
    world.hq("server", "stop")
    server.wait()
    world.start_server("--journal=j.bin")
    after = world.jobs()
    assert sorted(after) == [waiting, opened]
    assert all(after[job] == before[job] for job in after)
    assert world.submit("true") == max(before) + 1
    world.start_worker("--cpus=1")
    assert min(world.running_workers()) > 1


def test_prune_of_everything(world):
    server = world.start_server("--journal=j.bin")
    world.start_worker("--cpus=1")
    for number in range(1, 6):
        assert world.submit("--wait", "true") == number
        world.hq("journal", "prune")
        assert "job-created" not in kinds(world.hq("journal", "export", "j.bin").out)
    world.hq("server", "stop")
    server.wait()
    world.start_server("--journal=j.bin")
    assert world.jobs() == {} and world.submit("true") == 6


def test_stream_ends_with_the_server(world):
    server = world.start_server()
    stream = world.spawn_hq("journal", "stream")
    wait_until(lambda: "server-start" in stream.out(), "the first line")
    world.hq("submit", "true")
    world.hq("server", "stop")
    server.wait()
    assert stream.wait() == 0, stream.err()
    assert kinds(stream.out()) == ["server-start", "job-created", "server-stop"]
