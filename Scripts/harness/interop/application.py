"""A WSGI application for the Python servers: httpbin, and the targets that every server of the table serves.

The environment variable INTEROP_FILES names the folder of the contents.
"""

import gzip
import hashlib
import os
import pathlib
import time

import httpbin

from harness.interop.contents import SLOW_PAUSE, SLOW_PIECES

FILES = pathlib.Path(os.environ["INTEROP_FILES"])


def _file(environment, start):
    name = environment["PATH_INFO"][1:]
    fields = [("Content-Length", str((FILES / name).stat().st_size)), ("Content-Type", "application/octet-stream")]
    start("200 OK", fields)
    with open(FILES / name, "rb") as file:
        while piece := file.read(1 << 18):
            yield piece


def _text(environment, start):
    body = (FILES / "text.txt").read_bytes()
    fields = [("Content-Type", "text/plain")]
    if "gzip" in environment.get("HTTP_ACCEPT_ENCODING", ""):
        body = gzip.compress(body)
        fields.append(("Content-Encoding", "gzip"))
    start("200 OK", [*fields, ("Content-Length", str(len(body)))])
    return [body]


def _pieces(pause):
    def serve(environment, start):
        body = (FILES / "pieces").read_bytes()
        step = len(body) // SLOW_PIECES
        start("200 OK", [("Content-Type", "application/octet-stream")])
        for at in range(0, len(body), step):
            yield body[at:at + step]
            time.sleep(pause)
    return serve


def _upload(environment, start):
    digest, count = hashlib.sha256(), 0
    while piece := environment["wsgi.input"].read(1 << 18):
        digest.update(piece)
        count += len(piece)
    body = f"{count} {digest.hexdigest()}\n".encode()
    start("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]


OURS = {"/1k": _file, "/large": _file, "/text.txt": _text, "/chunked": _pieces(0), "/slow": _pieces(SLOW_PAUSE),
        "/upload": _upload}


def app(environment, start):
    return OURS.get(environment["PATH_INFO"], httpbin.app)(environment, start)
