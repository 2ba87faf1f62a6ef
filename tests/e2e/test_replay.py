"""Recorded commands of the reference program, replayed: as many as agreed must answer the same."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from harness import BIN

AGREED = 0.90
# Commands that this version does not have: their exchanges do not count.
NOT_YET = ("alloc", "journal", "dashboard", "output-log", "log", "doc", "generate-completion", "deploy-ssh", "submit-file", "debug-dump",
           "generate-access", "explain", "notify", "event-log")


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
    differing = [f"{name}:{row['line']}: {row['cmd']}" for name, row in counted if row["result"] != "same"]
    print(done.stdout[-2000:])
    assert len(files) == 4 and len(counted) > 500
    same = len(counted) - len(differing)
    assert same >= AGREED * (len(counted) + not_run), f"{same} of {len(counted)}, {not_run} not run; differing:\n" + "\n".join(differing)
