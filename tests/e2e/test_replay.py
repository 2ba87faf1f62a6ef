"""Recorded commands of the reference program, replayed: as many as agreed must answer the same."""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import BIN, REPO

AGREED = 0.90
# Commands that this version does not have: their exchanges do not count.
OURS = re.escape((REPO / "VERSION").read_text().strip())
NOT_YET = ("alloc", "journal", "dashboard", "output-log", "log", "doc", "generate-completion", "deploy-ssh", "submit-file", "debug-dump",
           "generate-access", "explain", "notify", "--on-notify", "--stream", "event-log")


def is_same(row):
    """The same up to our own version number, and to job numbers after a submit that only we accept (or refuse)."""
    if row["result"] == "same":
        return True
    sides = {"-": [], "+": []}
    for line in row["diff"]:
        if line[:1] in sides and not line.startswith(("--- ", "+++ ")):
            text = re.sub(rf"\b({OURS}|0\.26\.2-dev)", "VERSION", line[1:])
            sides[line[0]].append(re.sub(r"\s+", " ", re.sub(r"job ID: \d+", "job ID: N", text)))
    return sides["-"] == sides["+"]


def exists(command):
    words = command.replace("=", " ").split()
    return not any(word in words for word in NOT_YET)


@pytest.mark.limit(400)
def test_transcripts_of_the_reference(tmp_path):
    data = os.environ.get("HQ_TEST_DATA")
    if not data:
        pytest.skip("HQ_TEST_DATA is not set")
    tool = pathlib.Path(data).resolve().parent / "tools" / "replay.py"
    if not tool.exists() or os.geteuid() != 0:
        pytest.skip("the replay tool needs root and its directory")
    report = tmp_path / "replay.json"
    done = subprocess.run([sys.executable, str(tool), "--hq", str(BIN / "hq"), "--only", "01-server", "--only", "02-submit", "--only", "03-job",
                           "--only", "06-states", "--json", str(report)], capture_output=True, text=True, timeout=390)
    assert report.exists(), done.stdout + done.stderr
    files = json.loads(report.read_text())["files"]
    counted = [(entry["file"], row) for entry in files for row in entry["results"] if exists(row["cmd"])]
    not_run = sum(entry["exchanges"] - len(entry["results"]) for entry in files)
    differing = [f"{name}:{row['line']}: {row['cmd']}" for name, row in counted if not is_same(row)]
    print(done.stdout[-2000:])
    assert len(files) == 4 and len(counted) > 500
    same = len(counted) - len(differing)
    assert same >= AGREED * (len(counted) + not_run), f"{same} of {len(counted)}, {not_run} not run; differing:\n" + "\n".join(differing)
