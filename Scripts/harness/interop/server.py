"""Base of the servers of the table: processes in their own groups, ports, starting, stopping, reloading."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import time

from harness.ports import established, is_listening, lasting_ports


class Unavailable(Exception):
    """The server is not installed, or did not start."""


class Server:
    """A subclass defines how its processes start and which behaviours they lack."""

    name = ""
    # The names under which the program may be installed.
    programs = ()
    # The arguments that print the version.
    version_arguments = ("-v",)
    protocols = ("1.1", "2")
    # Why the server cannot show a behaviour: by the behaviour's key, or by "key/protocol".
    lacks = {}
    # The protocols over which the server does not answer `Expect`.
    sends_no_continue = ()
    # The protocols over which its graceful end cuts off responses that have begun.
    cuts_off = ()
    # A sentence below the table about a cell, by the behaviour's key.
    notes = {}
    # Options of the tool that a behaviour needs with this server, by the behaviour's key.
    options = {}
    # The file that the client sends twice because of a 307.
    repeated = "pieces"
    # The targets that differ from the other servers' targets.
    targets = {}
    # The signal that ends the server after the requests in flight.
    drain_signal = signal.SIGTERM
    # The signal that makes the first process reload; None if a subclass overrides `reload`, or cannot reload.
    reload_signal = None
    # Whether it runs as `nobody` when the script runs as root; false if the program may be in a folder that only root reads.
    drops_rights = True

    def __init__(self, stage):
        self.stage = stage
        self.contents = stage.contents
        self.folder = stage.folder / re.sub(r"\W+", "-", self.name.lower())
        self.folder.mkdir()
        self.plain_port, self.tls_port = lasting_ports(2)
        self.processes = []

    def __enter__(self):
        self.program = self._find()
        self.prepare()
        if self._is_demoted:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, "nobody")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    # Overridden by subclasses.

    def prepare(self):
        """Writes the configuration."""

    def commands(self):
        """The command lines, one for each process to start."""
        raise NotImplementedError

    def environment(self):
        return {}

    def generation(self):
        """A value that a reload changes; by default, the processes that the first process has started."""
        process = self.processes[0].pid
        with contextlib.suppress(OSError):
            return frozenset(pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split())
        return None

    # How the client reaches the server.

    def arguments(self, protocol):
        """The tool's options for this protocol, and the beginning of the URL."""
        if protocol == "1.1":
            return ["--http1"], f"http://127.0.0.1:{self.plain_port}"
        return ["--http2", "--cacert", self.stage.authority], f"https://localhost:{self.tls_port}"

    def port(self, protocol):
        return self.plain_port if protocol == "1.1" else self.tls_port

    def has_tls(self):
        return "tls" not in self.lacks

    def receipt(self, name):
        """The hash of the text with which the server confirms an upload of that file."""
        return self.contents.receipt(name)

    def in_use(self, protocol):
        return established(self.port(protocol))

    # Start and stop.

    def start(self):
        self.processes = [self.launch(command) for command in self.commands()]
        end = time.monotonic() + 20
        while not all(is_listening(port) for port in self.ports()):
            ended = [process for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > end:
                raise Unavailable(f"{self.name} did not start: {self.last_words()}")
            time.sleep(0.02)

    def ports(self):
        ports = [self.plain_port] if "1.1" in self.protocols else []
        return ports + ([self.tls_port] if self.has_tls() else [])

    def launch(self, command):
        """Starts a process in its own session, so that all its child processes can be ended together."""
        rights = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if self._is_demoted else {}
        with open(self.folder / "output", "ab") as output:
            return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=output, cwd=self.folder, start_new_session=True,
                                    env={**os.environ, **self.environment()}, **rights)

    def run(self, command):
        """Runs a command to its end, with the server's rights."""
        process = self.launch(command)
        if process.wait(20) != 0:
            raise RuntimeError(f"{' '.join(str(word) for word in command)}: {self.last_words()}")

    def kill(self):
        """Kills all processes of the server at once."""
        for process in self.processes:
            # If the process has ended, its id may belong to another process.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes = []

    def drain(self, seconds=30):
        """Asks for a graceful end; returns whether all processes ended in time."""
        for process in self.processes:
            process.send_signal(self.drain_signal)
        end = time.monotonic() + seconds
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))
        ended = all(process.poll() is not None for process in self.processes)
        self.kill()
        return ended

    def reload(self):
        """Reloads, and returns when the new generation runs."""
        before = self.generation()
        self.order_reload()
        end = time.monotonic() + 10
        while self.generation() == before:
            if time.monotonic() > end:
                raise RuntimeError("no sign of a reload within 10 s")
            time.sleep(0.02)

    def order_reload(self):
        self.processes[0].send_signal(self.reload_signal)

    def version(self):
        """The first number with dots in the program's output about itself."""
        done = subprocess.run([self._find(), *self.version_arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        found = re.search(r"\d+(\.\d+)+", done.stdout)
        return found[0] if found else "unknown"

    def last_words(self):
        words = ""
        for path in (self.folder / "output", self.folder / "error.log"):
            if path.is_file():
                words += path.read_text(errors="replace")[-400:]
        return words.strip() or "it printed nothing"

    @property
    def _is_demoted(self):
        return self.drops_rights and os.geteuid() == 0

    def _find(self):
        places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        for program in self.programs:
            if path := shutil.which(program, path=places):
                return path
        raise Unavailable(f"no {self.programs[0]}: run `Scripts/install-dependencies --with-servers`")
