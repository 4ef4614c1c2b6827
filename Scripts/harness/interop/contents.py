"""The contents that every server serves: files of known contents, made once, and the form in which a server confirms an upload."""

import hashlib
import os

# The trickled body: the number of pieces, and the pause between two pieces.
SLOW_PIECES = 16
SLOW_PAUSE = 0.1


class Contents:
    def __init__(self, folder, large):
        """Writes the files into the folder: 1k, text.txt (compressible), pieces, and large with that many bytes."""
        self.folder = folder
        self.large = large
        self.sha256 = {}
        folder.mkdir()
        self._write("1k", [bytes(33 + i % 90 for i in range(1024))])
        self._write("text.txt", [b"".join(b"line %d of a text that is worth compressing\n" % i for i in range(5000))])
        self._write("pieces", [os.urandom(256 << 10)])
        self._write("large", self._blocks(large))

    def _blocks(self, size):
        """Blocks that all differ, so that a misplaced block is detected."""
        filler = os.urandom(1 << 20)
        for index in range(size >> 20):
            yield index.to_bytes(8, "big") + filler[8:]

    def _write(self, name, blocks):
        digest = hashlib.sha256()
        with open(self.folder / name, "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        self.sha256[name] = digest.hexdigest()

    def size(self, name):
        return (self.folder / name).stat().st_size

    def receipt(self, name):
        """The hash of the text with which a server confirms an upload of that file. The text has the file's length and hash."""
        return hashlib.sha256(f"{self.size(name)} {self.sha256[name]}\n".encode()).hexdigest()
