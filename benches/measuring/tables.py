"""Figures as text."""

import statistics


def middle(figures):
    return statistics.median(figures)


def spread(figures, form):
    """The median, and between which figures it lies: `1,200 (1,100–1,300)`."""
    text = form.format(middle(figures))
    least, most = form.format(min(figures)), form.format(max(figures))
    return text if least == most else f"{text} ({least}–{most})"


def markdown(heads, lines):
    """A table whose columns stand below each other, numbers to the right."""
    cells = [[str(cell) for cell in line] for line in [heads, *lines]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    def row(line):
        first = line[0].ljust(widths[0])
        return "| " + " | ".join([first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]) + " |"
    rule = "|-" + "-|-".join("-" * width for width in widths[:1]) + "-|"
    rule += "".join("-" * (width + 1) + ":|" for width in widths[1:])
    return "\n".join([row(cells[0]), rule, *map(row, cells[1:])])


class Targets:
    """What is promised, against what was measured."""

    def __init__(self):
        self.lines = []
        self.all_met = True

    def most(self, name, limit, measured, form="{:.1f}"):
        self._note(name, "at most " + form.format(limit), form.format(measured), measured <= limit)

    def least(self, name, limit, measured, form="{:.2f}"):
        self._note(name, "at least " + form.format(limit), form.format(measured), measured >= limit)

    def _note(self, name, limit, measured, is_met):
        self.all_met &= is_met
        self.lines.append((name, limit, measured, "met" if is_met else "**NOT met**"))

    def markdown(self):
        return markdown(("target", "", "measured", ""), self.lines)
