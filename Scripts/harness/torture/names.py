"""A host name that exists only in this run: namespaces with their own `/etc/hosts` and the script's name server."""

import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

NAME = b"\x07torture\x07example\x00"
MARK = "TORTURE_NAMESPACES"


def enter(arguments):
    """Starts the script again in its own namespaces, if the system allows that; returns whether it runs in them.

    `arguments` are facts that the script has already found and cannot find in the namespaces."""
    if os.environ.get(MARK):
        return True
    command = ["unshare", "--map-root-user", "--net", "--mount"]
    try:
        if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
            return False
    except OSError:
        return False
    os.environ[MARK] = "1"
    os.execvp(command[0], [*command, sys.executable, *sys.argv, *arguments])


class NameServer:
    """Answers A for the name with 127.0.0.1, and any other question with "no such name" or no records."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __enter__(self):
        _bring_up_loopback()
        for name, text in (("hosts", "127.0.0.1 localhost\n"),
                           ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")):
            (self.folder / name).write_text(text)
            subprocess.run(["mount", "--bind", str(self.folder / name), f"/etc/{name}"], check=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(512)
            except OSError:
                return
            self.socket.sendto(_answer(query), client)


def _answer(query):
    end = query.index(b"\x00", 12) + 5
    question, kind = query[12:end], query[end - 4:end - 2]
    is_known = question[:-4].lower() == NAME
    records = b""
    if is_known and kind == b"\x00\x01":
        records = b"\xc0\x0c\x00\x01\x00\x01" + struct.pack(">IH", 1, 4) + bytes([127, 0, 0, 1])
    flags = 0x8180 if is_known else 0x8183
    return query[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + records


def _bring_up_loopback():
    get, put, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, get, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(any_socket, put, struct.pack("16sH14x", b"lo", flags | up))


class Nothing:
    """Replaces a name server where none can run."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
