#!/usr/bin/env python3
"""Hold what pure archives call against a list: no system call, clock, thread or log hides in them.

usage: pure.py ALLOWED ARCHIVE...   ALLOWED: one name or pattern (*) a line, # comments.
"""
import fnmatch
import subprocess
import sys


def names(archive, undefined):
    out = subprocess.run(["nm", "-u" if undefined else "--defined-only", archive], check=True, capture_output=True, text=True).stdout
    found = set()
    for line in out.splitlines():
        words = line.split()
        if len(words) >= 2 and (undefined and words[-2] in "Uwv" or not undefined and len(words) == 3):
            found.add(words[-1].split("@")[0])
    return found


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        allowed = [line.split("#")[0].strip() for line in file]
    allowed = [pattern for pattern in allowed if pattern]
    defined, bad = set(), 0
    for archive in sys.argv[2:]:
        defined |= names(archive, undefined=False)
    for archive in sys.argv[2:]:
        for name in sorted(names(archive, undefined=True) - defined):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
                print(f"{archive}: calls {name}, which pure code may not")
                bad += 1
    print(f"check-pure: {len(sys.argv) - 2} archives, {bad} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
