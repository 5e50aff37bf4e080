"""The programs that are compared: how each is started, and how one sees that it did every row."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from measuring import rows as inputs
from measuring.launcher import Failed
from measuring.places import BARE_LOOP, CACHE, PROGRAM, environment

HERE = Path(__file__).resolve().parent
IN_FLIGHT = 50
# GNU parallel starts a process for each row: it gets this part of the rows.
PARALLEL_PART = 10


@dataclass
class Job:
    """A program of the comparison."""

    name: str
    label: str
    # (input, output, API address, rows) -> command
    command: Callable
    # (output) -> the sessions that it calls done, each once, and its records; none where it writes no results
    done: Callable | None
    version: list
    # What has to be there before it can run.
    needs: str | Path
    # So many times fewer rows.
    part: int = 1
    # Runs only where --only names it.
    only_named: bool = False

    def is_installed(self):
        return shutil.which(self.needs, path=environment()["PATH"]) is not None

    def read_version(self):
        """The version number that it gives of itself."""
        said = subprocess.run(self.version, env=environment(), capture_output=True, text=True, check=True).stdout
        return re.search(r"\d+(\.\d+)+|\d{8}", said).group()

    def check(self, output, rows, counts):
        """Compares what came to the stand-in and what stands in the results with the rows that there were."""
        expected = {"accepted": rows, "limited": 0, "unauthorized": 0}
        if self.done:
            expected |= {"revoked": rows, "repeats": 0}
        wrong = {name: counts[name] for name, number in expected.items() if counts[name] != number}
        if wrong:
            raise Failed(f"{self.name}: of {rows} rows the stand-in saw {wrong}")
        if not self.done:
            return
        done, records = self.done(output)
        if not done == records == rows:
            raise Failed(f"{self.name}: of {rows} rows its results have {records}, and call {done} sessions done")


def _script(name, *before):
    """A peer's own file: PEER INPUT OUTPUT URL IN_FLIGHT ROWS."""
    return lambda source, output, url, rows: [*before, HERE / name, source, output, url, IN_FLIGHT, rows]


def _lines(word):
    return lambda output: inputs.count_lines(output, word)


def _ours(source, output, url, _rows):
    rate = ["--rate", "unlimited", "-j", IN_FLIGHT]
    return [PROGRAM, "run", source, "-o", output, "--yes", "--quiet", "--api-url", url, *rate]


PYTHON = CACHE / "venv/bin/python"
MORPHISM = CACHE / "slack_morphism/release/slack_morphism_peer"
OURS = Job("slack-revoke", "**slack-revoke**", _ours, inputs.count_revoked, [PROGRAM, "--version"], PROGRAM)
OHA = Job(
    "oha",
    "`oha` (no input, no results: the ceiling of HTTP there)",
    _script("oha"),
    None,
    ["oha", "--version"],
    "oha",
)

# In the order of the table; each round runs them in this order.
JOBS = [
    OHA,
    OURS,
    Job(
        "slack_morphism",
        "a bare loop over slack-morphism",
        lambda source, output, url, _rows: [MORPHISM, source, output, url, IN_FLIGHT],
        _lines("revoked"),
        ["grep", "-A1", 'name = "slack-morphism"', HERE / "slack_morphism/Cargo.lock"],
        MORPHISM,
    ),
    Job(
        "curl",
        "`curl --parallel` with a config file (status codes alone)",
        _script("curl"),
        _lines("200"),
        ["curl", "--version"],
        "curl",
    ),
    Job("qsv", "`qsv fetchpost` (one at a time)", _script("qsv"), _lines("true"), ["qsv", "--version"], "qsv"),
    Job(
        "slack_sdk",
        "Python slack_sdk, asyncio, one session",
        _script("slack_sdk_asyncio.py", PYTHON),
        _lines("revoked"),
        [PYTHON, "-c", "import slack_sdk.version as it; print(it.__version__)"],
        PYTHON,
    ),
    Job(
        "web-api",
        "Node @slack/web-api",
        _script("web-api.mjs", "node"),
        _lines("revoked"),
        ["grep", '"version"', CACHE / "web-api/node_modules/@slack/web-api/package.json"],
        "node",
    ),
    Job(
        "parallel",
        "GNU parallel and `curl` (a tenth of the rows)",
        _script("parallel"),
        _lines("true"),
        ["parallel", "--version"],
        "parallel",
        part=PARALLEL_PART,
    ),
    # No peer, for it is our own transport: what is left of a row's cost without it is ours.
    Job(
        "reqwest",
        "a bare loop over reqwest, our transport",
        lambda source, output, url, _rows: [BARE_LOOP, source, output, url, IN_FLIGHT],
        _lines("revoked"),
        ["grep", "-A1", 'name = "reqwest"', HERE.parent.parent / "Cargo.lock"],
        BARE_LOOP,
        only_named=True,
    ),
]
