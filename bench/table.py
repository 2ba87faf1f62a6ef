"""The rows that all groups write: one table per run."""
import time

ROWS = []


def row(what, value, unit="", reach=None, least=True, note=""):
    """One line of the table. `reach`: the goal; `least`: the value must be at least that, else at most."""
    met = "" if reach is None else ("yes" if (value >= reach if least else value <= reach) else "NO")
    goal = "" if reach is None else (">= " if least else "<= ") + f"{reach:g}"
    text = value if isinstance(value, str) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    ROWS.append((what, text + (" " + unit if unit else ""), goal, met, note))
    print(f"{what:66} {ROWS[-1][1]:>18} {goal:>11} {met:4} {note}", flush=True)


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def middle(values):
    return sorted(values)[len(values) // 2]
