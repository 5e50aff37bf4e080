"""Runs a command and says what it took."""

import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass

from .places import environment

# Nothing measured here takes longer; a command that does has come to a standstill.
LIMIT = 1800


class Failed(Exception):
    """A measured command did not do what it was started for: its figures would mean nothing."""


@dataclass
class Taken:
    """What a command took: seconds by the clock, CPU seconds of its own and the system's for it, the most memory that one
    of its processes held, and its exit code."""

    seconds: float
    cpu: float
    peak_mib: float
    code: int


def spawn(command, stdout=os.devnull, stderr=os.devnull):
    """Starts a command in a process group of its own; gives its process id."""
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(stdout), write, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(stderr), write, 0o600),
    ]
    words = [str(word) for word in command]
    return os.posix_spawnp(words[0], words, environment(), file_actions=files, setpgroup=0)


def wait(pid, limit=LIMIT):
    """Waits for a process of `spawn`; gives its exit code and what it and its children used."""
    watchdog = threading.Timer(limit, os.killpg, (pid, signal.SIGKILL))
    watchdog.start()
    try:
        _, status, used = os.wait4(pid, 0)
    finally:
        watchdog.cancel()
    return os.waitstatus_to_exitcode(status), used


def run(command, expected=0):
    """Runs a command to its end. `expected` is its exit code; another one is an error with what the command said.

    The peak is taken by /usr/bin/time: a process begins with the peak of the one that started it, be it by fork or by
    vfork, and this interpreter's would count for 13 MiB, where that launcher's is 1 MiB.
    """
    with tempfile.TemporaryDirectory(prefix="launcher-") as folder:
        peak, said = f"{folder}/peak", f"{folder}/said"
        began = time.monotonic()
        pid = spawn(["/usr/bin/time", "--quiet", "-f", "%M", "-o", peak, *command], stdout=said, stderr=said)
        code, used = wait(pid)
        seconds = time.monotonic() - began
        if code != expected:
            end = open(said, errors="replace").read()[-2000:]
            raise Failed(f"exit code {code}, not {expected}: {' '.join(map(str, command))}\n{end}")
        kib = int(open(peak).read().split()[-1])
    return Taken(seconds, used.ru_utime + used.ru_stime, kib / 1024, code)


def answer_time(command):
    """Seconds from the start of a command to its end, with nothing in between."""
    began = time.monotonic()
    code, _ = wait(spawn(command))
    seconds = time.monotonic() - began
    if code != 0:
        raise Failed(f"exit code {code}: {' '.join(map(str, command))}")
    return seconds
