"""docs/commands.md names every command and option of the program, each with a test that is there and speaks of it."""
import ast
import re

from harness import REPO


def told(world):
    """(command, option) of everything that the option tables hold, as the program prints them."""
    found, command = set(), None
    groups = set()
    for line in world.hq("generate-manual", "--markdown").out.splitlines():
        heading = re.match(r"## (?:`(hq[^`]*)`|Global options)$", line)
        row = re.match(r"\| `([^`]+)` \|", line)
        if heading:
            command = heading[1] or "hq"
            found.add((command, ""))
            groups.update(command.rsplit(" ", count)[0] for count in range(1, command.count(" ") + 1))
        elif row:
            long = re.search(r"--[\w-]+", row[1])
            found.add((command, long[0] if long else row[1]))
    return {(command, option) for command, option in found if option or command not in groups}


def listed():
    rows = re.findall(r"^\| `([^`]+)` \| (?:`([^`]+)`)? ?\| `([^`]+)` \|$", (REPO / "docs" / "commands.md").read_text(), re.M)
    assert len(rows) > 200
    return rows


def test_every_option_has_a_row(world):
    rows = {(command, option) for command, option, _ in listed()}
    assert told(world) - rows == set(), "not in docs/commands.md"
    assert rows - told(world) == set(), "in docs/commands.md, but not in the program"
    assert len(rows) == len(listed()), "rows that come twice"


def test_every_test_is_there_and_speaks_of_the_option():
    sources = {path.name: path.read_text() for path in (REPO / "tests").glob("*/test_*.py")}
    functions = {name: {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)} for name, text in sources.items()}
    for command, option, test in listed():
        file, _, function = test.partition("::")
        assert function.startswith("test_") and function in functions[file], f"{command} {option}: {test} is not there"
        if option.startswith("--"):
            assert re.search(re.escape(option) + r"(?![\w-])", sources[file]), f"{command} {option}: {file} does not speak of it"
