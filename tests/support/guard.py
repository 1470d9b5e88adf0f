"""Run a server for as long as another process lives: `python guard.py FOLDER SIGNAL COMMAND…`.

The other process holds the writing end of this one's standard input. When it ends, however it ends, the server
gets the signal, and the folder is removed. Needs nothing but the standard library, and works on any system.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys

POLL_SECONDS = 1.0
STOP_SECONDS = 10.0


def holder_lives() -> bool:
    readable, _, _ = select.select([0], [], [], POLL_SECONDS)
    return not readable or bool(os.read(0, 1))


def main(folder: str, number: str, *command: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while server.poll() is None and holder_lives():
            pass
    finally:
        if server.poll() is None:
            server.send_signal(int(number))
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
