"""The server behind nginx, HAProxy, Apache and lighttpd: files, chunked and trickled answers, and hashes of uploads."""

import asyncio
import hashlib

from harness.interop.contents import SLOW_PAUSE, SLOW_PIECES
from harness.sink import Sink


class Origin(Sink):
    def __init__(self, contents):
        self.contents = contents
        super().__init__()

    async def _respond(self, head, reader, writer):
        target = head.target.split("?")[0]
        if target == "/upload":
            await self._receive(head, reader, writer)
            return
        await self._count(head, reader)
        if target == "/chunked":
            await self._send_pieces(writer, SLOW_PIECES, 0)
        elif target == "/slow":
            await self._send_pieces(writer, SLOW_PIECES, SLOW_PAUSE)
        elif target in ("/1k", "/text.txt", "/large"):
            await self._send_file(writer, target[1:])
        else:
            self._answer(writer, b"", status="404 Not Found")

    async def _receive(self, head, reader, writer):
        if "100-continue" in head.field("expect").lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        digest = hashlib.sha256()
        count = await self._count(head, reader, digest.update)
        self._answer(writer, f"{count} {digest.hexdigest()}\n".encode(), "Content-Type: application/octet-stream")

    async def _send_pieces(self, writer, count, pause):
        body = (self.contents.folder / "pieces").read_bytes()
        step = len(body) // count
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), step):
            piece = body[at:at + step]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(b"0\r\n\r\n")

    async def _send_file(self, writer, name):
        kind = "text/plain" if name.endswith(".txt") else "application/octet-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {self.contents.size(name)}\r\n\r\n"
                     .encode())
        with open(self.contents.folder / name, "rb") as file:
            while piece := file.read(1 << 18):
                writer.write(piece)
                await writer.drain()
