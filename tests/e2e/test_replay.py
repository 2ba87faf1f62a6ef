"""Recorded commands of the reference program, replayed: what answers differently must be in docs/compatibility.md with its reason."""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import BIN, REPO

FILES = ("01-server", "02-submit", "03-job", "04-task", "05-jobfile", "06-states", "07-worker", "08-env", "09-stream", "10-journal",
         "11-alloc", "12-progress", "13-placeholders")
UNEXPLAINED = 0.03  # of all: times and machines differ
REFUSED = 12  # submits of one file that only one of the two accepts
STALE = 20  # listed exchanges that are the same here: some depend on time or on the machine
OURS = re.escape((REPO / "VERSION").read_text().strip())


JOB_NUMBER = re.compile(r'(job ID: |job-|[Jj]ob |"id": |\| ID +\| |^\| +\*?|^)(\d+)\b')


def is_same(row):
    """The same up to our own version number, and to job numbers that are all off by as many submits as only one of the two accepts."""
    if row["result"] == "same":
        return True
    sides = {"-": [], "+": []}
    for line in row["diff"]:
        if line[:1] in sides and not line.startswith(("--- ", "+++ ")):
            sides[line[0]].append(re.sub(r"\s+", " ", re.sub(rf"\b({OURS}|0\.26\.2-dev)", "VERSION", line[1:])))

    def moved(line, by):
        return JOB_NUMBER.sub(lambda found: found[1] + str(int(found[2]) + by), line)
    return any([moved(line, by) for line in sides["-"]] == sides["+"] for by in range(-REFUSED, REFUSED + 1))


def listed_exchanges():
    """(file number, line) of each exchange that differs on purpose: the document writes `02:1223,1230`."""
    text = (REPO / "docs" / "compatibility.md").read_text()
    return {(number, int(line)) for number, lines in re.findall(r"\b(\d\d):(\d+(?:,\d+)*)", text) for line in lines.split(",")}


@pytest.mark.limit(900)
def test_transcripts_of_the_reference(tmp_path):
    data = os.environ.get("HQ_TEST_DATA")
    if not data:
        pytest.skip("HQ_TEST_DATA is not set")
    tool = pathlib.Path(data).resolve().parent / "tools" / "replay.py"
    if not tool.exists() or os.geteuid() != 0:
        pytest.skip("the replay tool needs root and its directory")
    report = tmp_path / "replay.json"
    only = [word for name in FILES for word in ("--only", name)]
    # Five at a time: most of the time they wait.
    done = subprocess.run([sys.executable, str(tool), "--hq", str(BIN / "hq"), *only, "--jobs", "5", "--json", str(report)], capture_output=True, text=True,
                          timeout=880)
    assert report.exists(), done.stdout + done.stderr
    print(done.stdout[-2000:])
    files = json.loads(report.read_text())["files"]
    rows = {(entry["file"][:2], row["line"]): row for entry in files for row in entry["results"]}
    total = sum(entry["exchanges"] for entry in files)
    assert len(files) == len(FILES) and total > 1000
    listed = listed_exchanges()
    unexplained = [f"{number}:{line}: {row['cmd']}" for (number, line), row in sorted(rows.items())
                   if (number, line) not in listed and not is_same(row)]
    not_run = total - len(rows)
    assert len(unexplained) + not_run <= UNEXPLAINED * total, f"{not_run} of {total} not run; not in the document:\n" + "\n".join(unexplained)
    stale = [f"{number}:{line}" for number, line in sorted(listed) if (number, line) in rows and rows[number, line]["result"] == "same"]
    assert len(stale) <= STALE, f"listed in the document, but the same: {stale}"
