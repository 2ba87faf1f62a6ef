"""For operators: settings files, --print-config, units, readiness and watchdog."""
import os
import re
import shutil
import socket
import subprocess

import pytest

from harness import REPO, wait_until


def printed(world, *args, **more):
    """Settings of hqd as {key: (value, comment)}."""
    text = world.hq("server", "start", "--print-config", *args, **more).out
    rows = re.findall(r"^([a-z][a-z0-9-]*): (.*?)\s+# (.*)$", text, re.M)
    assert rows, text
    return {key: (value, origin) for key, value, origin in rows}


def a_span_setting(settings):
    """A duration setting, whatever it is called."""
    return next(key for key, (value, _) in settings.items() if re.fullmatch(r"\d+(ms|s|m|h)", value))


def test_print_config_names_the_origin(world):
    settings = printed(world)
    assert len(settings) >= 3 and all("built-in" in origin for _, origin in settings.values()), settings
    key = a_span_setting(settings)
    config = world.work / "hqd.yaml"
    config.write_text(f"# ours\n{key}: 7s\n")
    changed = printed(world, "--config", config)
    assert changed[key][0] == "7s" and "file" in changed[key][1]
    assert {name: row for name, row in changed.items() if name != key} == {name: row for name, row in settings.items() if name != key}


def test_printed_config_is_a_valid_file(world):
    config = world.work / "hqd.yaml"
    config.write_text(world.hq("server", "start", "--print-config").out)
    assert all("file" in origin for _, origin in printed(world, "--config", config).values())


@pytest.mark.parametrize("daemon", ["server", "worker"])
@pytest.mark.parametrize("text, line, word", [
    ("{key}: 7s\nmoon: 3\n", 2, "moon"),
    ("\n\n{key}: [1, 2]\n", 3, "{key}"),
    ("{key}: moon\n", 1, "{key}"),
    ("{key}: 1s\n# again\n{key}: 2s\n", 3, "{key}"),
    ("{key}: 9999999h\n", 1, "{key}"),
    ("{key}: 'open\n", 1, ""),
    ("- a\n- b\n", 1, ""),
])
def test_bad_settings_name_file_and_line(world, daemon, text, line, word):
    shown = world.hq(daemon, "start", "--print-config").out
    rows = dict(re.findall(r"^([a-z][a-z0-9-]*): (.*?)\s+#", shown, re.M))
    key = next(name for name, value in rows.items() if re.fullmatch(r"\d+(ms|s|m|h)", value))
    config = world.work / "bad.yaml"
    config.write_text(text.replace("{key}", key))
    failed = world.hq(daemon, "start", "--print-config", "--config", config, check=False)
    assert failed.status == 1 and word.replace("{key}", key) in failed.err
    found = re.search(re.escape(f"{config}:") + r"(\d+): ", failed.err)
    assert found, failed.err
    assert int(found.group(1)) in (line, line + 1) if "open" in text else int(found.group(1)) == line, failed.err


def test_missing_settings_file(world):
    failed = world.hq("server", "start", "--config", "none.yaml", check=False)
    assert failed.status == 1 and "none.yaml" in failed.err and "No such file or directory" in failed.err


def notify_socket(world):
    path = world.tmp / "notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    listener.settimeout(20)
    return listener, path


def until_message(listener, text):
    while True:
        message = listener.recv(4096).decode()
        if text in message.split("\n"):
            return


@pytest.mark.parametrize("daemon", ["server", "worker"])
def test_readiness_and_watchdog(world, daemon):
    """READY=1 comes when clients can be served, WATCHDOG=1 goes on coming, STOPPING=1 at the end."""
    listener, path = notify_socket(world)
    env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
    if daemon == "server":
        started = world.start_server(wait=False, env=env)
    else:
        world.start_server()
        started = world.start_worker(wait=False, env=env)
    until_message(listener, "READY=1")
    if daemon == "server":
        assert world.hq("server", "info").status == 0
    else:
        assert world.running_workers() == [1]
    for _ in range(3):
        until_message(listener, "WATCHDOG=1")
    started.signal(2)
    until_message(listener, "STOPPING=1")
    assert started.wait() == 0


def test_abstract_notify_socket(world):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = f"hqt-{os.getpid()}-{world.root.name}"
    listener.bind("\0" + name)
    listener.settimeout(20)
    world.start_server(wait=False, env={"NOTIFY_SOCKET": "@" + name})
    until_message(listener, "READY=1")


def test_units_are_clean(world):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = sorted((REPO / "systemd").glob("*.service"))
    assert {"hqd.service", "hq-workerd.service"} <= {unit.name for unit in units} and len(units) >= 3
    for unit in units:
        text = unit.read_text()
        if not unit.name.startswith("hq-allocd"):
            assert "Type=notify" in text and "WatchdogSec=" in text, unit
        for program in ("hqd", "hq-workerd", "hq-allocd", "hq"):
            text = re.sub(rf"/usr/local/bin/{program}(?=[ \n])", str(world.bin / program), text)
        copy = world.tmp / unit.name
        copy.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", *(["--user"] if "user" in unit.name else []), str(copy)], capture_output=True,
                              text=True, timeout=30, env={**os.environ, "XDG_RUNTIME_DIR": str(world.tmp)})
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
        assert complaints == [], complaints


def test_sigterm_is_what_systemd_sends(cluster):
    """Both daemons end by it with status 0."""
    cluster.worker.signal(15)
    assert cluster.worker.wait() == 0
    cluster.server.signal(15)
    assert cluster.server.wait() == 0


def test_idle_daemons_do_not_poll(cluster):
    """No busy loop: over two seconds of nothing neither uses more than a twentieth of one."""
    from harness import cpu_ticks
    import time
    cluster.submit("--wait", "true")
    before = [cpu_ticks(daemon.pid) for daemon in (cluster.server, cluster.worker)]
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > 2, "two seconds to pass", every=0.2)
    after = [cpu_ticks(daemon.pid) for daemon in (cluster.server, cluster.worker)]
    assert max(new - old for new, old in zip(after, before)) <= 10
