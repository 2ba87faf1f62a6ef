#!/usr/bin/env python3
"""House rules that a program can check. Prints file:line: rule, exits 1 when one is broken.

A line that must break a rule says why and carries the words "lint: allow RULE" in its comment.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
C_DIRS = ["common", "hqd", "hq-workerd", "hq", "hq-allocd", "bench", "tests"]
OUR_DIRS = ["common", "hqd", "hq-workerd", "hq", "hq-allocd"]  # programs; tests and benches may be looser
PURE_DIRS = ["hqd/core", "hqd/sched", "hq-workerd/core", "hq-allocd/core"]
PURE_FORBIDDEN = re.compile(r'#include\s+[<"](nng/|ev\.h|pmix|yaml\.h|pthread\.h|.*\.pb-c\.h|common/(net|clock|log|bridge)\.h)')
BANNED = "strcpy strcat sprintf vsprintf strncpy strtok gets fgets atoi atol atof strtol sscanf alloca system popen localtime".split()
BANNED_CALL = re.compile(r"\b(" + "|".join(BANNED) + r")\s*\(")
EXIT_CALL = re.compile(r"(?<![\w.>])exit\s*\(")
# An object at file scope that is neither const nor thread-local; functions, types and externs are none.
FILE_SCOPE = re.compile(r"^(?:static\s+)?(?!.*\b(?:const|_Thread_local|__thread|typedef|extern|return|else|goto|case|"
                        r"_Static_assert|HQ_DEFINE_\w+)\b)"
                        r"(?:[A-Za-z_]\w*[\s*]+)+[A-Za-z_]\w*(?:\[[^\]]*\])*\s*(?:=.*)?[;{]\s*$")
FILE_SCOPE_ALLOWED = {"common/log.c", "common/nng_cure.c"}  # the log level; what replaces system calls has no object
CLOEXEC = [(re.compile(r"\b(?:open|openat)\s*\("), "O_CLOEXEC|O_PATH"), (re.compile(r"\bsocket\s*\("), "SOCK_CLOEXEC"),
           (re.compile(r"\baccept\s*\("), "never: use accept4"), (re.compile(r"\bpipe\s*\("), "never: use pipe2"),
           (re.compile(r"\bdup\s*\("), "never: use F_DUPFD_CLOEXEC"), (re.compile(r"\bfopen\s*\("), "e\""),
           (re.compile(r"\bepoll_create\s*\("), "never: use epoll_create1")]
UNDONE = re.compile(r"\bTODO\b(?!\(#\d+\))|\bFIXME\b|\bXXX\b")
GUARD = re.compile(r"#ifndef (\w+)")
FUNCTION_LINES = 120  # the goal is 70; past this it fails
FILE_LINES = 900      # the goal is 400


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """Comments and strings replaced by blanks, so that words in them break no rule."""
    token = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda m: blank(m) if m.group(0)[0] == "/" else m.group(0)[0] + " " * (len(m.group(0)) - 2)
                     + m.group(0)[-1], text)


class Report:
    def __init__(self):
        self.count = 0
        self.lines = {}

    def add(self, path, number, rule, what):
        line = self.lines.get(path, [""])
        if number and f"lint: allow {rule}" in line[number - 1]:
            return
        self.count += 1
        print(f"{path.relative_to(ROOT)}:{number}: {rule}: {what}")


def check_line(report, path, rel, number, code):
    for match in BANNED_CALL.finditer(code):
        report.add(path, number, "banned", f"{match.group(1)}()")
    if "//" in code:
        report.add(path, number, "comment", "use /* */")
    if rel.split("/")[0] in OUR_DIRS:
        for call, flag in CLOEXEC:
            if call.search(code) and not re.match(r"^[a-z].*\)$", code):
                if flag.startswith("never") or not re.search(flag, report.lines[path][number - 1]
                                                             + "".join(report.lines[path][number:number + 3])):
                    report.add(path, number, "cloexec", f"{code.strip()[:60]} ({flag})")


def check_file_scope(report, path, rel, code):
    depth = 0
    for number, line in enumerate(code.split("\n"), 1):
        if depth == 0 and not line.startswith((" ", "\t", "#", "}")) and rel not in FILE_SCOPE_ALLOWED:
            if FILE_SCOPE.match(line) and not re.match(r"^(struct|enum|union)\s+\w+\s*[{;]", line):
                report.add(path, number, "file-scope", f"mutable variable: {line.strip()[:70]}")
        depth += line.count("{") - line.count("}")


def check_sizes(report, path, code):
    lines = code.split("\n")
    if len(lines) > FILE_LINES:
        report.add(path, 0, "long-file", f"{len(lines)} lines")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start > FUNCTION_LINES:
                report.add(path, start, "long-function", f"{number - start} lines")
            start = None


def check_exit(report, path, code):
    in_main = False
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("main("):
            in_main = True
        elif line == "}":
            in_main = False
        if EXIT_CALL.search(line) and not in_main:
            report.add(path, number, "banned", "exit() outside main")


def check_header(report, path, rel, text):
    stem = re.sub(r"[^A-Z0-9]", "_", path.stem.upper())
    guard = GUARD.search(text)
    if guard is None or not re.fullmatch(rf"HQ_(\w+_)?{stem}_H", guard.group(1)):
        report.add(path, 1, "guard", f"expected HQ_<DIR>_{stem}_H")
    if not text.startswith("/* " + path.name + " - "):
        report.add(path, 1, "contract", f'a header begins with "/* {path.name} - ..."')


def check_c(report, path):
    rel = str(path.relative_to(ROOT))
    text = path.read_text(encoding="utf-8")
    report.lines[path] = text.split("\n")
    code = code_only(text)
    for number, line in enumerate(code.split("\n"), 1):
        check_line(report, path, rel, number, line)
    check_sizes(report, path, code)
    if rel.startswith(tuple(d + "/" for d in PURE_DIRS)):
        for number, line in enumerate(text.split("\n"), 1):
            if PURE_FORBIDDEN.search(line):
                report.add(path, number, "pure", line.strip())
    if rel.split("/")[0] in OUR_DIRS:
        check_exit(report, path, code)
        if path.suffix == ".c":
            check_file_scope(report, path, rel, code)
    if path.suffix == ".h" and "golden" not in path.parts:
        check_header(report, path, rel, text)


def check_undone(report):
    this = pathlib.Path(__file__).resolve()
    for path in sorted(ROOT.rglob("*")):
        rel = path.relative_to(ROOT)
        if not path.is_file() or rel.parts[0] in (".git", "build") or path == this or path.suffix in (".pyc", ".gz"):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        report.lines[path] = text.split("\n")
        for number, line in enumerate(report.lines[path], 1):
            if UNDONE.search(line):
                report.add(path, number, "undone", line.strip()[:80])


def main():
    report = Report()
    files = 0
    for directory in C_DIRS:
        for path in sorted((ROOT / directory).rglob("*.[ch]")):
            check_c(report, path)
            files += 1
    check_undone(report)
    print(f"lint: {files} C files, {report.count} findings")
    return 1 if report.count else 0


if __name__ == "__main__":
    sys.exit(main())
