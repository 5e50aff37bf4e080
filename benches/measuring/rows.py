"""Inputs, and whether the results say that every row was done."""

import csv
import random
from dataclasses import dataclass

FIRST_SESSION = 1112275520242
# Ids as Slack gives them are 13 digits, and those of a list are not neighbours: a step that keeps a million of them apart.
STEP = 1_000_003


@dataclass
class Shape:
    """What an input looks like. The same shape is the same bytes each time."""

    teams: int = 10
    # Of the rows: "round" takes the workspaces in turn, "sorted" keeps one's rows together, "shuffled" is by chance.
    order: str = "round"
    # Rows name a user instead of a workspace: so many rows a user.
    rows_a_user: int = 0
    # Each session stands in the input so many times, once in each part of it.
    copies: int = 1
    # Session ids side by side, or far apart.
    step: int = STEP


def write(path, rows, shape=Shape()):
    """Writes an input of `rows` rows; gives the number of its sessions."""
    sessions = rows // shape.copies
    numbers = list(range(sessions))
    if shape.order == "shuffled":
        random.Random(1).shuffle(numbers)
    with open(path, "w") as file:
        file.write("user_id,session_id\n" if shape.rows_a_user else "team_id,session_id\n")
        for _ in range(shape.copies):
            for number in numbers:
                file.write(f"{_owner(number, sessions, shape)},{FIRST_SESSION + number * shape.step}\n")
    return sessions


def _owner(number, sessions, shape):
    if shape.rows_a_user:
        return f"U{number // shape.rows_a_user:08}"
    team = number * shape.teams // sessions if shape.order == "sorted" else number % shape.teams
    return f"T{team:04}"


def count_revoked(path):
    """The sessions that our own results call revoked, each once, and the records."""
    revoked, records = set(), 0
    with open(path, newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        session, status = header.index("session_id"), header.index("status")
        for record in reader:
            records += 1
            if record[status] == "revoked":
                revoked.add(record[session])
    return len(revoked), records


def count_records(path):
    """The records of a results file that is still being written; our own have no line break inside a field."""
    with open(path, "rb") as file:
        return max(0, sum(line.endswith(b"\n") for line in file) - 1)


def count_lines(path, done):
    """The sessions whose line `team,session,…` of a peer's results has `done` in its rest, each once, and the lines
    without a header."""
    sessions, records = set(), 0
    with open(path) as file:
        for line in file:
            team, session, rest = (line.split(",", 2) + ["", ""])[:3]
            records += team != "team_id"
            if done in rest:
                sessions.add(session)
    return len(sessions), records
