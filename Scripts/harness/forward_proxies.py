"""A real tinyproxy and a real microsocks on loopback ports. Both ask for the same user and password."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness.ports import lasting_ports, wait_until_listening

USER = "ledger"
PASSWORD = "s3cret"

TINYPROXY = """\
Listen 127.0.0.1
Port {port}
Timeout 60
MaxClients 512
LogLevel Critical
BasicAuth {user} {password}
LogFile "{folder}/tinyproxy.log"
"""


class ForwardProxies:
    """Starts both on entry, stops them on exit."""

    def __enter__(self):
        programs = {name: shutil.which(name) for name in ("tinyproxy", "microsocks")}
        for name, program in programs.items():
            if not program:
                sys.exit(f"no {name}: run `Scripts/install-dependencies --with-servers`")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-proxies."))
        self.processes = {}
        try:
            self.http_port, self.socks_port = lasting_ports(2)
            configuration = self.folder / "tinyproxy.conf"
            configuration.write_text(TINYPROXY.format(port=self.http_port, folder=self.folder, user=USER, password=PASSWORD))
            self._start("tinyproxy", self.http_port, [programs["tinyproxy"], "-d", "-c", str(configuration)])
            self._start("microsocks", self.socks_port, [programs["microsocks"], "-i", "127.0.0.1", "-p", str(self.socks_port),
                                                       "-u", USER, "-P", PASSWORD])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name, port, command):
        self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL)
        if not wait_until_listening(self.processes[name], [port]):
            sys.exit(f"{name} did not start")

    @property
    def urls(self):
        return [f"http://{USER}:{PASSWORD}@127.0.0.1:{self.http_port}", f"socks5h://{USER}:{PASSWORD}@127.0.0.1:{self.socks_port}"]

    def ended(self):
        """The names of the proxies that are no longer running."""
        return [name for name, process in self.processes.items() if process.poll() is not None]
