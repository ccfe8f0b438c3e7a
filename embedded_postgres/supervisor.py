"""The parent process of the server: starts it, and takes it down when its owner says so or is gone.

Run as a script, with nothing of this project imported: it lives as long as the server and should stay small.

It reads one line of JSON from its standard input (`command`, `folder`, `environment`, `credentials`), writes the
process id of the server as one line to its standard output, and waits for the end of the server or of its
standard input. The latter is the owner's end of a pipe: closed to stop the server, and closed by the kernel when
the owner ends in any way at all, `kill -9` included.

`PR_SET_PDEATHSIG` on the server would need no second process, but it follows the owner's *thread* that
started the server, and only Linux has it. Here it is safe, because the supervisor has one thread, and covers
what is left: supervisor and owner killed together.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

POLL_SECONDS = 0.25
FAST_SHUTDOWN_SECONDS = 120.0
IMMEDIATE_SHUTDOWN_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], object] | None:
    """What the server's process calls before it becomes Postgres, to be shut down when its parent dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def shut_down(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown; after too long an immediate one, which loses nothing that was committed; then kill."""
    server.send_signal(signal.SIGINT)
    for number, patience in (
        (signal.SIGQUIT, FAST_SHUTDOWN_SECONDS),
        (signal.SIGKILL, IMMEDIATE_SHUTDOWN_SECONDS),
    ):
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            server.send_signal(number)
        else:
            return
    server.wait()


def supervise() -> None:
    # A service manager signals all processes of a service at once; when the server goes is for the owner to
    # say. Handlers and not SIG_IGN, which the server would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    lifeline = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - open as long as this process
    order = json.loads(lifeline.readline())
    server = subprocess.Popen(  # noqa: S603 - our own binaries, arguments are not interpreted by a shell
        order["command"],
        cwd=order["folder"],
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=end_with_parent(),
        **order["credentials"],
    )
    os.write(1, b"%d\n" % server.pid)
    os.close(1)
    while server.poll() is None:
        readable, _, _ = select.select([lifeline], [], [], POLL_SECONDS)
        if readable:
            shut_down(server)


if __name__ == "__main__":
    supervise()
