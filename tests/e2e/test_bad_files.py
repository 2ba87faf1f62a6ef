"""Files that are read: what each command makes of empty, torn, foreign, huge and unreadable ones."""
import os
import resource
import subprocess

import pytest

from harness import wait_until

TASK = b'[[task]]\ncommand = ["true"]\n'
YAML = b'task:\n  - command: ["true"]\n'
SCRIPT = b"#!/bin/sh\n#HQ --name=abc\ntrue\n"

# What is in the file, and what becomes of it: the entries of the tasks, or a part of the error.
LINES = {
    "no-final-newline": (b"a\nb", [b"a", b"b"]),
    "crlf": (b"a\r\nb\r\n", [b"a\r", b"b\r"]),  # lines end with \n only
    "blank-lines": (b"a\n\nb\n", [b"a", b"", b"b"]),
    "no-utf8": (b"a\xff\n\xfeb\n", [b"a\xff", b"\xfeb"]),
    "one-newline": (b"\n", [b""]),
    "zero-bytes": (b"x\na\0b\n", "zero byte"),
}
JSON = {
    "no-final-newline": (b'["a"]', [b'"a"']),
    "crlf": (b'[\r\n"a",\r\n1\r\n]\r\n', [b'"a"', b"1"]),
    "zero-in-text": (b'["a\\u0000b"]', [b'"a\\u0000b"']),
    "empty": (b"", "EOF while parsing a value at line 1 column 0"),
    "blank": (b"\n\n", "EOF while parsing a value"),
    "zero-bytes": (b'["a\0b"]', "at line 1 column 3"),
    "no-utf8": (b'["\xff"]', "0xff"),
    "torn": (b'["a", "b', "at line 1"),
    "two": (b'["a"] ["b"]', "at line 1"),
}
JOB_FILES = {
    "crlf.toml": (TASK.replace(b"\n", b"\r\n"), None),
    "no-final-newline.toml": (TASK[:-1], None),
    "byte-order-mark.toml": (b"\xef\xbb\xbf" + TASK, None),
    "empty.toml": (b"", "No tasks defined"),
    "zero-bytes.toml": (TASK + b"#\0\n", "line 3"),
    "no-utf8.toml": (TASK + b"#\xff\n", "line 3"),
    "torn.toml": (TASK[:-4], "line 2"),
    "crlf.yaml": (YAML.replace(b"\n", b"\r\n"), None),
    "no-final-newline.yaml": (YAML[:-1], None),
    "byte-order-mark.yaml": (b"\xef\xbb\xbf" + YAML, None),
    "empty.yaml": (b"", "No tasks defined"),
    "zero-bytes.yaml": (YAML + b"#\0\n", "line 3"),
    "no-utf8.yaml": (YAML + b"#\xff\n", "line 3"),
    "torn.yaml": (YAML[:-2], "line 3"),
}
SCRIPTS = {
    "crlf": (SCRIPT.replace(b"\n", b"\r\n"), "abc"),
    "no-final-newline": (SCRIPT[:-6], "abc"),
    "no-utf8": (SCRIPT.replace(b"abc", b"a\xff"), "a\ufffd"),
    "zero-bytes-behind": (SCRIPT + b"\0\n", "abc"),
    "zero-bytes": (SCRIPT.replace(b"abc", b"a\0c"), "zero byte at character 8"),
    "empty": (b"", "empty"),
}
JOURNALS = {
    "empty": (b"", "failed to fill whole buffer"),
    "short": (b"hq", "failed to fill whole buffer"),
    "zeros": (bytes(4096), "Invalid journal format"),
    "text": (b"not a journal\n" * 10, "Invalid journal format"),
}


def put(world, name, data):
    path = world.work / name
    path.write_bytes(data)
    return str(path)


def check_refused(world, result, part):
    """One sentence with the reason; no job."""
    assert result.status == 1 and part in result.err, result
    assert "panic" not in result.err and world.json("job", "list", "--all") == []


@pytest.mark.parametrize("option, rows", [("--each-line", LINES), ("--from-json", JSON)])
def test_entries(cluster, option, rows):
    for name, (data, want) in rows.items():
        path = put(cluster, name, data)
        if isinstance(want, str):
            refused = cluster.hq("submit", option, path, "true", check=False)
            assert refused.status == 1 and want in refused.err, (name, refused)
            continue
        job = cluster.submit(option, path, "--wait", "--", "sh", "-c", 'printf "%s" "$HQ_ENTRY"')
        got = [(cluster.work / f"job-{job}/{i}.stdout").read_bytes() for i in range(len(want))]
        assert got == want, name


def test_empty_lines_file(server):
    empty = server.hq("submit", "--each-line", put(server, "empty", b""), "true")
    assert "WARN" in empty.err and "is empty" in empty.err
    assert server.jobs()[1]["task_count"] == 0


def test_job_files(server):
    for number, (name, (data, want)) in enumerate(JOB_FILES.items()):
        result = server.hq("job", "submit-file", put(server, name, data), check=False)
        assert (result.status == 1 and want in result.err) if want else result.status == 0, (name, result)
    assert len(server.jobs()) == sum(want is None for _, want in JOB_FILES.values())


def test_directives(server):
    for name, (data, want) in SCRIPTS.items():
        result = server.hq("submit", "--directives=file", "--", put(server, name, data), check=False)
        if name == "zero-bytes":
            assert result.status == 1 and want in result.err, result
            continue
        assert result.status == 0, (name, result)
        assert list(server.jobs().values())[-1]["name"] == want


@pytest.mark.parametrize("command", ["export", "report"])
def test_journals(world, command):
    for name, (data, want) in JOURNALS.items():
        more = [str(world.work / "page.html")] if command == "report" else []
        result = world.hq("journal", command, put(world, name, data), *more, check=False)
        assert result.status == 1 and want in result.err, (name, result)
        assert result.out == "" and not (world.work / "page.html").exists()


@pytest.mark.parametrize("kind, text", [("missing", "No such file or directory (os error 2)"), ("directory", "Is a directory (os error 21)")])
def test_unreadable(server, kind, text):
    path = server.work / "x.toml"
    if kind == "directory":
        path.mkdir()
    for argv in (["submit", "--each-line", path, "true"], ["submit", "--from-json", path, "true"], ["submit", "--directives=file", "--", path],
                 ["job", "submit-file", path], ["journal", "export", path], ["journal", "report", path, server.work / "r"]):
        result = server.hq(*map(str, argv), check=False)
        check_refused(server, result, text)
        assert str(path) in result.err, result


def test_huge(server):
    """Refused by their size: read are neither the bytes nor the memory for them there."""
    path = server.work / "huge.toml"
    with open(path, "wb") as file:
        file.truncate(1 << 40)

    def small():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    limits = {} if os.environ.get("HQ_TEST_SAN") else {"preexec_fn": small}  # the shadow of sanitizers is larger
    for argv in (["submit", "--each-line", path, "true"], ["submit", "--from-json", path, "true"], ["job", "submit-file", path]):
        done = subprocess.run([str(server.bin / "hq"), *map(str, argv)], env=server.env, cwd=server.work, capture_output=True, timeout=20, **limits)
        assert done.returncode == 1 and b"File is larger than" in done.stderr, done
    # a script is read as far as its directives go
    assert server.hq("submit", "--directives=file", "--", str(path)).status == 0


def test_settings(world):
    hqd = str(world.bin / "hqd")
    rows = {
        "empty": (b"", None),
        "crlf": (b"client-port: 0\r\nidle-timeout: 5m\r\n", None),
        "no-final-newline": (b"client-port: 0", None),
        "zero-bytes": (b"host: a\0b\n", ":1:"),
        "no-utf8": (b"# c\nhost: \xff\n", ":2:"),
        "torn": (b"host: [a\n", ":"),
        "text": (b"no settings here\n", ":1:"),
    }
    for name, (data, want) in rows.items():
        path = put(world, name, data)
        done = subprocess.run([hqd, "--config", path, "--print-config"], env=world.env, cwd=world.work, capture_output=True, timeout=20)
        if want is None:
            assert done.returncode == 0, (name, done)
        else:
            assert done.returncode != 0 and f"{path}{want}".encode() in done.stderr, (name, done)
    for path, text in ((world.work / "none", b"No such file"), (world.work, b"Is a directory")):
        done = subprocess.run([hqd, "--config", str(path), "--print-config"], env=world.env, capture_output=True, timeout=20)
        assert done.returncode != 0 and text in done.stderr


def test_access_files(world):
    """Of the server directory: a client says what is wrong with it instead of hanging."""
    server = world.start_server("--host=127.0.0.1")
    path = world.instance_dir() / "access.json"
    good = path.read_bytes()
    for data in (b"", b"{", b"null", good[:-10], good + b"x", good.replace(b'"', b"'"), b"\0" * 100, b"\xff" + good):
        path.write_bytes(data)
        result = world.hq("job", "list", check=False)
        assert result.status == 1 and "Caused by:\n    Serialization error: " in result.err, (data[:20], result)
    path.write_bytes(good + b"\n\n")
    wait_until(lambda: world.hq("job", "list", check=False).status == 0, "the client")
    server.kill()
