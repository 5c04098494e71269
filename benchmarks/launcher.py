"""Runs one command and tells what it took; a script of its own.

A process inherits the peak memory of the one that starts it, so that has to be small:
nothing but the standard library is imported here. First comes the command's process
id, on a line, and at its end its exit code, seconds, CPU seconds and peak bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

_UNIT = 1 if sys.platform == "darwin" else 1024


def main(said: str, arguments: list[str]) -> None:
    """Run the command; what it says goes to the file `said`."""
    if sys.platform == "win32":
        raise OSError("this needs os.wait4, which Windows does not have")
    with open(said, "wb") as file:
        began = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=file, stderr=file)
    print(json.dumps([process.pid, began]), flush=True)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    code = process.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps([code, wall, cpu, used.ru_maxrss * _UNIT]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
