"""The stand-in Slack (examples/stand-in.rs) as a process beside the one that is measured."""

import json
import os
import subprocess

from .places import STAND_IN


class StandIn:
    """Runs from `with` to `finish`. A fresh one for every measurement: none inherits the sessions of the one before."""

    def __init__(self, *limit):
        self.limit = [str(word) for word in limit]

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([STAND_IN, *self.limit], stdin=pipe, stdout=pipe, text=True)
        self.url = self.process.stdout.readline().strip()
        return self

    def finish(self):
        """Ends it; gives its counts (examples/stand-in.rs names them) and, as `cpu`, its CPU seconds."""
        self.process.stdin.close()
        counts = json.loads(self.process.stdout.read())
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return counts | {"cpu": used.ru_utime + used.ru_stime}

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
