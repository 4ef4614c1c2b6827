"""The real proxies: how each is configured, started and killed. All listen on 127.0.0.1 and connect to loopback only."""

import contextlib
import os
import pwd
import signal
import subprocess
import urllib.parse

from harness.http2 import programs
from harness.identities import make_resolver
from harness.proxies.origins import NAME

USER = "app"
# No report of the tool may contain it.
SECRET = "canary7"


class Proxy:
    """A proxy that asks for user and password, unless a subclass says otherwise."""

    scheme = "http"
    package = None
    password = SECRET
    asks_for_credentials = True
    # Whether the proxy refuses the port of `Setting.forbidden_port`.
    has_rules = True
    # The status of the answer to wrong credentials; None: it has no status.
    status_of_wrong_credentials = 407

    def __init__(self, setting, port):
        self.setting = setting
        self.port = port
        # For each proxy its own: two proxies may be the same program.
        self.folder = setting.folder / f"proxy-{port}"
        self.folder.mkdir()
        # Some proxies give up root's rights before they write here.
        self.folder.chmod(0o777)
        self.log = self.folder / "out"
        self.process = None

    def start(self):
        self.process = programs.start(self.name, self.command(), [self.port], self.log)

    def kill(self):
        """Kills the proxy and waits until it has ended."""
        if self.process is None:
            return
        # Some proxies start more processes; all of them are in the session that `setsid` made.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def url(self, password=None, has_credentials=True, scheme=None):
        """The URL for the tool; with the right credentials unless the arguments say otherwise."""
        user = ""
        if has_credentials and self.asks_for_credentials:
            user = f"{USER}:{urllib.parse.quote(password or self.password, safe='')}@"
        return f"{scheme or self.scheme}://{user}127.0.0.1:{self.port}"

    @property
    def shown(self):
        """How the tool names the proxy."""
        return self.shown_as(self.scheme)

    def shown_as(self, scheme):
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def is_http(self):
        return self.scheme in ("http", "https")

    def count_of_connections_to(self, host, port):
        """How often clients have asked for a connection to this host, by the proxy's log; None: the log does not say."""
        return None

    def version(self):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.package], capture_output=True, text=True)
        return done.stdout.strip() or "unknown"

    def _resolving(self, command):
        """The command with a resolver that gives each name the loopback address, in a session of its own."""
        return ["setsid", "env", f"LD_PRELOAD={self.setting.resolver}", *command]


class Setting:
    """What the proxies share: the folder, the resolver, and the ports that they treat differently."""

    def __init__(self, folder, origins, forbidden_port):
        self.folder = folder
        self.resolver = make_resolver(folder)
        self.forbidden_port = forbidden_port
        # The ports to which HTTP proxies open tunnels. The port of the origin without TLS is not among them: a request
        # without TLS succeeds only if it does not use a tunnel.
        self.tunnel_ports = (origins.tls_port, origins.closed_port)


SQUID = """\
{listen}
pid_filename none
pinger_enable off
cache deny all
cache_mem 8 MB
coredump_dir {own}
access_log stdio:{own}/access.log
cache_log {own}/cache.log
shutdown_lifetime 0 seconds
hosts_file {own}/hosts
visible_hostname localhost
auth_param basic program {helper} {own}/passwords
auth_param basic children 4 startup=1
acl known proxy_auth REQUIRED
acl forbidden port {forbidden}
acl tunnels port {tunnels}
http_access deny forbidden
http_access deny CONNECT !tunnels
http_access allow known
http_access deny all
"""


class Squid(Proxy):
    name = "squid"
    package = "squid"
    # Each of these characters is percent-encoded in the URL.
    password = f"p@ss/w:rd%{SECRET}"
    listen = "http_port 127.0.0.1:{port}"

    def command(self):
        digest = subprocess.run(["openssl", "passwd", "-apr1", self.password], capture_output=True, text=True, check=True)
        (self.folder / "passwords").write_text(f"{USER}:{digest.stdout}")
        (self.folder / "hosts").write_text(f"127.0.0.1 {NAME}\n")
        (self.folder / "squid.conf").write_text(SQUID.format(
            listen=self.listen.format(port=self.port, folder=self.setting.folder), own=self.folder,
            helper="/usr/lib/squid/basic_ncsa_auth", forbidden=self.setting.forbidden_port,
            tunnels=" ".join(map(str, self.setting.tunnel_ports))))
        # -N: one process. -n: the name of its shared memory.
        return ["setsid", "squid", "-N", "-n", f"bowline{self.port}", "-f", self.folder / "squid.conf"]

    def kill(self):
        super().kill()
        for name in os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []:
            if name.startswith(f"bowline{self.port}-"):
                with contextlib.suppress(OSError):
                    os.unlink(f"/dev/shm/{name}")


class SquidOverTLS(Squid):
    name = "squid over TLS"
    scheme = "https"
    listen = "https_port 127.0.0.1:{port} tls-cert={folder}/both.pem"


TINYPROXY = """\
Port {port}
Listen 127.0.0.1
Timeout 60
LogLevel Connect
MaxClients 500
Allow 127.0.0.1
BasicAuth {user} {password}
{tunnels}
"""


class Tinyproxy(Proxy):
    name = "tinyproxy"
    package = "tinyproxy-bin"
    status_of_wrong_credentials = 401

    def command(self):
        (self.folder / "tinyproxy.conf").write_text(TINYPROXY.format(
            port=self.port, user=USER, password=self.password,
            tunnels="\n".join(f"ConnectPort {port}" for port in self.setting.tunnel_ports)))
        return self._resolving(["tinyproxy", "-d", "-c", self.folder / "tinyproxy.conf"])


class Microsocks(Proxy):
    name = "microsocks"
    scheme = "socks5h"
    package = "microsocks"
    password = f"p@ss/w:rd%{SECRET}"
    has_rules = False
    status_of_wrong_credentials = None

    def command(self):
        return self._resolving(["microsocks", "-i", "127.0.0.1", "-p", self.port, *self._credentials()])

    def _credentials(self):
        return ["-u", USER, "-P", self.password]

    def count_of_connections_to(self, host, port):
        return self.log.read_text(errors="replace").count(f"connected to {host}:{port}\n")


class OpenMicrosocks(Microsocks):
    name = "microsocks without credentials"
    asks_for_credentials = False

    def _credentials(self):
        return []


DANTE = """\
logoutput: stdout
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: {privileged}
user.unprivileged: {unprivileged}
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 0.0.0.0/0 port = {forbidden} }}
socks pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
    command: connect
}}
"""


class Dante(Proxy):
    """Without credentials: Dante compares user and password with the system's accounts, which this check leaves alone."""

    name = "Dante"
    scheme = "socks5h"
    package = "dante-server"
    asks_for_credentials = False

    def command(self):
        user = pwd.getpwuid(os.geteuid()).pw_name
        (self.folder / "danted.conf").write_text(DANTE.format(
            own=self.folder, port=self.port, forbidden=self.setting.forbidden_port, privileged=user,
            unprivileged="nobody" if user == "root" else user))
        return self._resolving(["danted", "-f", self.folder / "danted.conf", "-p", self.folder / "pid"])


ALL = (Squid, SquidOverTLS, Tinyproxy, Microsocks, OpenMicrosocks, Dante)
