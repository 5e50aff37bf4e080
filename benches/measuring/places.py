"""Where things are: the repository, the programs built from it, the peers, a folder to work in."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "target/release/slack-revoke"
STAND_IN = REPOSITORY / "target/release/examples/stand-in"
BARE_LOOP = REPOSITORY / "target/release/examples/bare-loop"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slack-revoke/peers"

# The token that the stand-in takes (examples/stand-in.rs).
TOKEN = "xoxp-stand-in-0001"


def build():
    """Builds the program and what is measured beside it as they are released."""
    command = ["cargo", "build", "--quiet", "--release", "--bin", "slack-revoke", "--examples"]
    subprocess.run(command, cwd=REPOSITORY, check=True)


class Folder:
    """A folder to work in, on the disk that the repository is on: on a RAM disk a sync would cost nothing."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="measuring-", dir=REPOSITORY / "target"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def environment():
    """The variables that a measured process gets: no proxy, no flag of ours, nothing that differs between two shells."""
    return {
        "HOME": os.environ["HOME"],
        "PATH": f"{CACHE / 'bin'}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "SLACK_TOKEN": TOKEN,
        "SLACK_WEB_API": str(CACHE / "web-api"),
        "TERM": "xterm",
    }


def machine():
    """One line about the machine, for the head of a table."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    load = " ".join(f"{load:.1f}" for load in os.getloadavg()[:2])
    system = f"{os.uname().sysname} {os.uname().release.split('-')[0]}"
    return f"{os.cpu_count()} cores of {model}, {system}, revision {revision.stdout.strip()}, load at the start {load}"


def say(text):
    """Progress goes to standard error; standard output is the result alone."""
    print(text, file=sys.stderr, flush=True)
