"""Shared by all servers of the table: the folder, the contents, the certificates, the origin, the Python packages."""

import pathlib
import shutil
import tempfile

from harness import certificates
from harness.interop.contents import Contents
from harness.interop.origin import Origin
from harness.interop.runtimes import Packages


class Stage:
    def __init__(self, large, with_packages):
        self.large = large
        self.with_packages = with_packages
        self.packages = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-interop-"))
        # If the script runs as root, the servers run as another user. The files in here are only used in this run.
        self.folder.chmod(0o755)
        if self.with_packages:
            self.packages = Packages(self.folder / "packages")
        certificates.make(self.folder, names="DNS:localhost")
        for name in ("server.key", "both.pem"):
            (self.folder / name).chmod(0o644)
        self.contents = Contents(self.folder / "files", self.large)
        self.origin = Origin(self.contents)
        return self

    def __exit__(self, *_):
        if self.packages:
            self.packages.stop()
        self.origin.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def authority(self):
        return str(self.folder / "ca.pem")
