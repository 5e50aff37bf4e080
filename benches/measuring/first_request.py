"""How long after its start a program sends its first request."""

import os
import select
import signal
import socket
import time

from .launcher import Failed, spawn, wait

IDENTITY = b'{"ok":true,"url":"https://x.slack.com/","team":"X","user":"x","team_id":"E1","user_id":"W1"}'
# A program that has sent nothing by then never will.
PATIENCE = 30


def first_request(command_for):
    """Starts the command that `command_for` makes for an API address; gives the seconds to the first request of any
    method and to the first for a session. The program is killed when that has come in: it ends unanswered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        command = command_for(f"http://127.0.0.1:{listener.getsockname()[1]}/api/")
        began = time.monotonic()
        pid = spawn(command)
        try:
            return _await(listener, began, command)
        finally:
            os.killpg(pid, signal.SIGKILL)
            wait(pid)


def _await(listener, began, command):
    first, lines = None, []
    try:
        while time.monotonic() < began + PATIENCE:
            for ready in select.select([listener, *lines], [], [], PATIENCE)[0]:
                if ready is listener:
                    lines.append(listener.accept()[0])
                    continue
                request = ready.recv(65536)
                now = time.monotonic() - began
                if b"session.invalidate" in request:
                    return first or now, now
                if request:
                    first = first or now
                    _answer(ready)
                else:
                    lines.remove(ready)
                    ready.close()
    finally:
        for line in lines:
            line.close()
    raise Failed(f"no request within {PATIENCE} s: {' '.join(map(str, command))}")


def _answer(line):
    """`auth.test`, which ours asks before it revokes anything."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(IDENTITY)
    line.sendall(head + IDENTITY)
