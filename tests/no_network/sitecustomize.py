"""Refuses every way out of this machine, and notes each try in the file that LAB_TRIED names.

Python loads it by itself from `PYTHONPATH`, in every process that a test starts.
"""

import os
import sys

HERE = ("127.", "::1", "localhost", "0.0.0.0")
WAYS_OUT = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


def refuse(event, arguments):
    if event not in WAYS_OUT:
        return
    address = arguments[0] if event.startswith("socket.geth") or event.endswith("info") else None
    address = arguments[-1] if address is None else address
    host = address[0] if isinstance(address, tuple) else address
    if host is None or str(host).startswith(("/", "b'", "\0", *HERE)) or isinstance(host, bytes):
        return  # This machine, or a socket that is a file.
    with open(os.environ["LAB_TRIED"], "a") as tried:
        tried.write(f"{event} {address}\n")
    raise OSError(f"The test allows no network, and {address} was asked for.")


sys.addaudithook(refuse)
