"""How nginx, HAProxy and nghttpd are configured, started and stopped for checks over HTTP/2.

Each keeps its files in a folder in which `certificates.make` has put a certificate. A check adds its own settings: the ports on
which a server listens, the servers to which it forwards requests, and its limits.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness.ports import wait_until_listening

NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/{log} warn;
events {{ worker_connections 2048; }}
http {{
{log_format}    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{files}    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
{servers}}}
"""
FILES = """\
    default_type application/octet-stream;
    sendfile on;
    root {folder}/files;
"""

HAPROXY = """\
global
    tune.h2.max-concurrent-streams 200
{tuning}defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
{rest}"""


def nginx(folder, servers, log="error.log", log_format="", has_files=False, **names):
    """Writes the configuration. `servers` are the `server` blocks, in which `names` are replaced by their values.

    `has_files`: nginx serves the folder `files`. Returns the command.
    """
    configuration = NGINX.format(
        folder=folder, log=log, log_format=log_format, user="user root;" if os.geteuid() == 0 else "",
        files=FILES.format(folder=folder) if has_files else "", servers=servers.format(folder=folder, **names))
    (folder / "nginx.conf").write_text(configuration)
    return ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / log]


def haproxy(folder, rest, tuning="", **names):
    """Writes the configuration. `rest` is the frontend and the backends, in which `names` are replaced by their values.

    `tuning`: more lines of the section `global`. Returns the command.
    """
    (folder / "haproxy.cfg").write_text(HAPROXY.format(tuning=tuning, rest=rest.format(folder=folder, **names)))
    return ["haproxy", "-f", folder / "haproxy.cfg"]


def nghttpd(folder, port, is_tls, *options):
    """The command of a server that serves the folder `files`."""
    return ["nghttpd", *([] if is_tls else ["--no-tls"]), *options, "-a", "127.0.0.1", "-d", folder / "files", port,
            *([folder / "server.key", folder / "server.pem"] if is_tls else [])]


def start(name, command, ports, log):
    """Starts a server that writes to `log`, and waits until it listens."""
    with open(log, "ab") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=subprocess.STDOUT)
    if wait_until_listening(process, ports):
        return process
    status = process.poll()
    stop([process])
    said = log.read_text(errors="replace")[-300:]
    if status is not None:
        raise RuntimeError(f"{name} ended with status {status}: is its port taken? {said}")
    raise RuntimeError(f"{name} did not start: {said}")


def stop(processes):
    for process in processes:
        with contextlib.suppress(OSError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def make_folder(prefix):
    """A folder for servers. Workers without root's rights can read the configuration, the certificate and the files in it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    os.chmod(folder, 0o755)
    return folder


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
