"""hq server: start, info, stop, wait; directories; a second life after an orderly end and after a kill."""
import json
import os
import re
import signal
import stat

from harness import wait_until


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_directories_are_private(server):
    assert mode_of(server.server_dir) == 0o700
    assert mode_of(server.server_dir / "001") == 0o700
    assert mode_of(server.server_dir / "001" / "access.json") == 0o400
    assert os.readlink(server.server_dir / "hq-current").rstrip("/").endswith("001")


def test_access_file_has_the_specified_shape(server):
    text = (server.instance_dir() / "access.json").read_text()
    record = json.loads(text)
    assert list(record) == ["version", "server_uid", "client", "worker"]
    for side in ("client", "worker"):
        assert list(record[side]) == ["host", "port", "secret_key"]
        assert re.fullmatch(r"[0-9a-f]{64}", record[side]["secret_key"])
    assert record["client"]["secret_key"] != record["worker"]["secret_key"]
    assert not text.endswith("\n") and text.startswith("{\n  \"version\"")


def test_same_pid_and_foreground(server):
    """hq becomes hqd: whoever started hq holds the daemon's pid."""
    assert os.readlink(f"/proc/{server.server.pid}/exe").endswith("/hqd")
    assert server.json("server", "info")["pid"] == server.server.pid


def test_info_in_three_modes(server):
    info = server.json("server", "info")
    assert sorted(info) == ["client_host", "client_port", "journal_path", "pid", "server_dir", "server_uid", "start_date", "version",
                            "worker_host", "worker_port"]
    assert info["server_dir"] is None and info["journal_path"] is None
    assert server.quiet("server", "info") == ""
    table = server.hq("server", "info").out
    assert "Server directory" not in table and f"| {info['server_uid']}" in table


def test_start_in_json_and_quiet(world):
    server = world.start_server("--output-mode=json", wait=False)
    wait_until(lambda: server.out().rstrip().endswith("}"), "the server's JSON")
    assert json.loads(server.out())["server_dir"] == str(world.server_dir)
    world.hq("server", "stop")
    server.wait()
    second = world.start_server("--output-mode=quiet", wait=False)
    second.wait_for_out("hq-server")
    assert second.out() == f"{world.server_dir}\n"


def test_second_start_is_refused(server):
    again = server.hq("server", "start", check=False)
    assert again.status == 1
    assert (f"Server at {server.server_dir} is already online, please stop it first using "
            f"`hq server stop --server-dir {server.server_dir}`") in again.err
    assert server.json("server", "info")["pid"] == server.server.pid


def test_two_starts_at_once(world):
    starts = [world.start_server(wait=False) for _ in range(2)]
    wait_until(lambda: sum(not start.running() for start in starts) == 1, "one of two to give up")
    winner = next(start for start in starts if start.running())
    winner.wait_for_out("Journal path")
    loser = next(start for start in starts if not start.running())
    assert loser.process.returncode == 1
    wait_until(lambda: world.hq("server", "info", check=False).status == 0, "the winner to answer")
    assert world.json("server", "info")["pid"] == winner.pid


def test_ctrl_c_is_an_orderly_end(server):
    server.server.signal(signal.SIGINT)
    assert server.server.wait() == 0
    assert "INFO Received SIGINT, attempting to stop" in server.server.err()
    assert "INFO Stopping server" in server.server.err()
    assert not os.path.lexists(server.server_dir / "hq-current")


def test_sigterm_is_an_orderly_end(server):
    server.server.signal(signal.SIGTERM)
    assert server.server.wait() == 0
    assert not os.path.lexists(server.server_dir / "hq-current")


def test_stop_waits_for_the_end(server):
    stopped = server.hq("server", "stop")
    assert stopped.out == "" and "INFO Stopping server" in stopped.err
    wait_until(lambda: not server.server.running(), "the end of the server", timeout=5)
    assert server.server.process.returncode == 0
    assert "INFO Received Stop command from client" in server.server.err()
    assert not os.path.lexists(server.server_dir / "hq-current")


def test_new_directory_after_an_orderly_end(server):
    uid = server.json("server", "info")["server_uid"]
    server.hq("server", "stop")
    server.server.wait()
    server.start_server()
    assert server.instance_dir().name == "002"
    assert server.json("server", "info")["server_uid"] != uid
    assert server.jobs() == {}


def test_resume_after_a_kill(server):
    job = server.submit("--array=1-5", "true")
    before, access = server.json("server", "info"), server.access()
    server.server.kill()
    assert os.path.lexists(server.server_dir / "hq-current")
    server.start_server()
    after = server.json("server", "info")
    assert server.instance_dir().name == "001"
    assert [after[key] for key in ("server_uid", "client_port", "worker_port")] == [
        before[key] for key in ("server_uid", "client_port", "worker_port")]
    assert server.access()["worker"]["secret_key"] == access["worker"]["secret_key"]
    assert server.stats(job)["waiting"] == 5
    assert server.submit("true") == job + 1


def test_journal_given_by_name_is_read_again(world):
    server = world.start_server("--journal", "j.bin")
    world.start_worker()
    job = world.submit("--wait", "true")
    waiting = world.submit("--cpus=64", "true")
    assert world.json("server", "info")["journal_path"] == "j.bin"
    world.hq("server", "stop")
    server.wait()
    world.start_server("--journal", "j.bin")
    assert world.jobs()[job]["task_stats"]["finished"] == 1
    assert world.jobs()[waiting]["task_stats"]["waiting"] == 1
    assert world.submit("true") == waiting + 1


def test_numbers_skip_what_is_there(world):
    (world.server_dir / "041").mkdir(parents=True)
    (world.server_dir / "foo").mkdir()
    world.start_server()
    assert world.instance_dir().name == "042"


def test_dangling_current_link_is_no_obstacle(world):
    world.server_dir.mkdir(mode=0o700)
    (world.server_dir / "hq-current").symlink_to(world.server_dir / "007")
    world.start_server()
    assert world.json("server", "info")["pid"] == world.daemons[0].pid


def test_server_wait(world):
    timeout = world.hq("server", "wait", "--timeout", "1", check=False)
    assert timeout.status == 1
    assert "INFO Waiting for server to become available (timeout: 1s)..." in timeout.err
    assert f"Timeout after 1s: Could not connect to server at `{world.server_dir}`. Make sure that the server is running." in timeout.err
    waiter = world.spawn_hq("server", "wait", "--timeout=30s")
    waiter.wait_for_err("Waiting for server")
    world.start_server()
    assert waiter.wait() == 0
    assert "INFO Successfully connected to server" in waiter.err()


def test_no_server_texts(world):
    missing = world.hq("job", "list", check=False)
    assert missing.status == 1 and missing.out == ""
    assert missing.err == f'Invalid server directory\n\nCaused by:\n    Error: "{world.server_dir}" is not a directory\n'
    as_json = world.hq("--output-mode=json", "job", "list", check=False)
    assert as_json.status == 1 and as_json.err == ""
    assert as_json.json() == {"error": missing.err.rstrip("\n")}
    empty = world.root / "empty"
    empty.mkdir()
    none = world.hq("--server-dir", empty, "job", "list", check=False)
    assert none.status == 1
    assert none.err == (f'No running instance of HQ found at "{empty}".\nTry to start the server: `hq server start --server-dir {empty}` '
                        "or use a different server directory.\n\nCaused by:\n    No such file or directory (os error 2)\n")


def test_stale_access_file(server):
    access = server.access()["client"]
    server.server.kill()
    stale = server.hq("server", "info", check=False)
    assert stale.status == 1
    assert stale.err == (f"Access token found but HQ server {access['host']}:{access['port']} is unreachable.\n"
                         "Try to (re)start the server using `hq server start`\n\nCaused by:\n    Connection refused (os error 111)\n")


def copied_access(world, change):
    directory = world.root / "copy"
    directory.mkdir()
    record = world.access()
    change(record)
    (directory / "access.json").write_text(json.dumps(record, indent=2))
    return directory


def test_other_version_is_refused(server):
    directory = copied_access(server, lambda record: record.update(version="9.9"))
    other = server.hq("--server-dir", directory, "job", "list", check=False)
    assert other.status == 1
    assert "Hyperqueue version mismatch detected." in other.err
    assert "Access record contains version 9.9" in other.err


def test_file_without_the_client_part(server):
    directory = copied_access(server, lambda record: record.pop("client"))
    other = server.hq("--server-dir", directory, "job", "list", check=False)
    assert other.status == 1 and "Serialization error: missing field `client`" in other.err


def test_copied_directory_works_over_tcp(server):
    """Another host sees the access file only, not the socket beside it."""
    directory = copied_access(server, lambda record: None)
    assert server.hq("--server-dir", directory, "submit", "true").out == "Job submitted successfully, job ID: 1\n"
    assert list(server.jobs()) == [1]


def test_plain_connections_when_asked_for(world):
    server = world.start_server("--disable-client-authentication-and-encryption", "--disable-worker-authentication-and-encryption")
    assert world.access()["client"]["secret_key"] is None
    assert "Server is started with unprotected" in server.err()
    world.start_worker()
    directory = copied_access(world, lambda record: None)
    done = world.hq("--server-dir", directory, "submit", "--wait", "true")
    assert "No client key: Unauthenticated and unencrypted connection to server" in done.err
    assert world.stats(1)["finished"] == 1


def test_ctrl_z_and_fg_lose_no_worker(server):
    server.start_worker("--heartbeat=2s")
    gate = server.work / "gate"
    os.mkfifo(gate)
    job = server.submit("sh", "-c", f"read x <{gate}")
    server.wait_task(job, 0, "running")
    server.server.signal(signal.SIGSTOP)
    wait_until(lambda: open(f"/proc/{server.server.pid}/stat").read().split()[2] == "T", "the server to be stopped")
    server.server.signal(signal.SIGCONT)
    gate.write_text("go\n")
    assert server.wait_job(job)["finished"] == 1
    assert server.running_workers() == [1]
    assert server.task(job)["worker"] == 1


def test_port_in_use(world):
    import socket
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = world.hq("server", "start", "--client-port", port, check=False)
    assert failed.status == 1
    assert "Cannot create HQ server socket" in failed.err
    assert not os.path.lexists(world.server_dir / "hq-current")
