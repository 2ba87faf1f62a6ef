#!/usr/bin/env python3
"""Run cmocka programs; show the output of those that fail; close with one line of totals."""
import argparse
import concurrent.futures
import re
import signal
import subprocess
import sys
import time

LIMIT_S = 120  # one program; a unit test takes milliseconds, under sanitizers seconds


def run(program):
    try:
        done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LIMIT_S)
        return program, done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return program, None, (late.stdout or b"").decode(errors="replace")


def count(pattern, text):
    return sum(int(n) for n in re.findall(pattern, text))


def main():
    for number in (signal.SIGINT, signal.SIGQUIT):  # a shell in the background ignores them, and so would every test
        signal.signal(number, signal.SIG_DFL)
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    begin = time.monotonic()
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for program, status, text in pool.map(run, args.programs):
            ok = count(r"\[  PASSED  \] (\d+) test", text)
            bad = count(r"\[  FAILED  \] (\d+) test", text)
            if status != 0 and bad == 0:
                bad = 1  # crashed, hung or ended without a summary
            elif status == 0 and ok == 0:
                bad = 1  # a program without tests proves nothing
            passed, failed = passed + ok, failed + bad
            skipped += count(r"\[  SKIPPED \] (\d+) test", text)
            if bad:
                why = "time limit" if status is None else f"exit status {status}"
                print(f"{text}\n{program}: {why}")
    print(f"unit: {passed} passed, {failed} failed, {skipped} skipped")
    print(f"{len(args.programs)} programs in {time.monotonic() - begin:.1f} s")
    return 1 if failed or not args.programs else 0


if __name__ == "__main__":
    sys.exit(main())
