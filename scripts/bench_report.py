# SPDX-License-Identifier: MIT
"""Tables for people, and the same figures as JSON.

A section is {"title", "notes", "columns", "rows"}; a row is a dict whose values are text, numbers
or Spread. A column is (key of the row, heading, how to print a number; "" for text).
"""

from bench_stats import Spread, bootstrap_median, median, spread


def verdict(value, target):
    """`target`: the most that is allowed, or (least,) where less is worse."""
    if isinstance(target, tuple):
        return "ok" if value >= target[0] else "MISSED"
    return "ok" if value <= target else "MISSED"


# The columns of growth() after the first.
GROWTH = [
    ("without", "us without [quartiles]", "{:.2f}"),
    ("with", "us with [quartiles]", "{:.2f}"),
    ("growth", "growth %", "{:+.2f}"),
    ("interval", "95 %", ""),
    ("pairs", "pairs", "{:d}"),
    ("target", "target", ""),
    ("verdict", "", ""),
]


def growth(pairs, target=None):
    """A row about pairs of costs in ns, (without, with); `target`: most growth in per cent."""
    grown = [100 * (with_it / without - 1) for without, with_it in pairs]
    low, high = bootstrap_median(grown)
    row = {
        "without": spread(without / 1000 for without, _ in pairs),
        "with": spread(with_it / 1000 for _, with_it in pairs),
        "growth": median(grown),
        "low": low,
        "high": high,
        "interval": f"{low:+.2f} to {high:+.2f}",
        "pairs": len(pairs),
    }
    if target is not None:
        row["target"] = f"<= {target}"
        row["verdict"] = verdict(row["growth"], target)
        if low <= target < high:
            row["verdict"] += ", not certain"
    return row


def _cell(value, form):
    if value is None:
        return "-" if form else ""
    if isinstance(value, str):
        return value
    if isinstance(value, Spread):
        if value.n == 1:
            return form.format(value.median)
        numbers = (form.format(value.median), form.format(value.q1), form.format(value.q3))
        return "{} [{}, {}]".format(*numbers)
    return form.format(value)


def table(section):
    """The lines of one section."""
    columns = section["columns"]
    cells = [[heading for _, heading, _ in columns]]
    for row in section["rows"]:
        cells.append([_cell(row.get(key), form) for key, _, form in columns])
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    yield section["title"]
    for number, line in enumerate(cells):
        # Names on the left, figures on the right.
        text = [line[0].ljust(widths[0])]
        for i in range(1, len(columns)):
            text.append(line[i].rjust(widths[i]) if columns[i][2] else line[i].ljust(widths[i]))
        yield "  " + "  ".join(text).rstrip()
        if number == 0:
            yield "  " + "  ".join("-" * width for width in widths)
    for note in section["notes"]:
        yield "  " + note


def plain(value):
    """For JSON: a Spread as an object, the rest as it is."""
    if isinstance(value, Spread):
        return value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def for_json(section):
    return {"title": section["title"], "notes": section["notes"], "rows": plain(section["rows"])}
