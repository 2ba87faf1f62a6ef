#!/usr/bin/env python3
"""Write docs/decisions/README.md: one line per page, by number. With --check: fail when it is out of date."""
import pathlib
import re
import sys

PLACE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "decisions"


def main():
    lines = ["# Decisions", "", "One page each: context, decision, consequences, what would change our mind.", ""]
    for page in sorted(PLACE.glob("[0-9]*.md")):
        title = re.sub(r"^#\s*\d+[:.]?\s*", "", page.read_text(encoding="utf-8").split("\n", 1)[0])
        lines.append(f"- [{page.name[:3]}]({page.name}) {title}")
    text = "\n".join(lines) + "\n"
    index = PLACE / "README.md"
    if "--check" in sys.argv[1:]:
        if not index.exists() or index.read_text(encoding="utf-8") != text:
            print("docs/decisions/README.md is out of date: python3 .ci/decisions.py")
            return 1
    else:
        index.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
