"""The table of certificate names in Tests/Corpus/tls-identities.jsonl: certificates made from its rows, a server that presents them,
and the verdicts of curl and the tool."""

import ipaddress
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "Tests/Corpus/tls-identities.jsonl"

# Resolves every name to the loopback interface, except addresses.
RESOLVER = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    lookup real = (lookup)dlsym(RTLD_NEXT, "getaddrinfo");
    unsigned char bytes[16];
    if (node && inet_pton(AF_INET, node, bytes) != 1 && inet_pton(AF_INET6, node, bytes) != 1) node = "127.0.0.1";
    return real(node, service, hints, result);
}
"""


def load():
    return [json.loads(line) for line in TABLE.read_text().splitlines()]


def store(rows):
    TABLE.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _element(tag, content):
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _general_name(text):
    """RFC 5280 §4.2.1.6, encoded by hand, because no tool makes the unusual names."""
    kind, _, value = text.partition(":")
    value_bytes = value.encode("latin-1")
    if kind == "dns":
        return _element(0x82, value_bytes)
    if kind == "ip":
        return _element(0x87, ipaddress.ip_address(value).packed)
    if kind == "raw-ip":
        return _element(0x87, bytes.fromhex(value))
    if kind == "uri":
        return _element(0x86, value_bytes)
    if kind == "email":
        return _element(0x81, value_bytes)
    if kind == "rid":
        return _element(0x88, bytes([0x2A, 0x03]))
    if kind == "dir":
        attribute = _element(0x06, bytes([0x55, 0x04, 0x03])) + _element(0x0C, value_bytes)
        return _element(0xA4, _element(0x30, _element(0x31, _element(0x30, attribute))))
    if kind == "srv":
        name = _element(0x06, bytes([0x2B, 6, 1, 5, 5, 7, 8, 7])) + _element(0xA0, _element(0x16, value_bytes))
        return _element(0xA0, name)
    raise ValueError(f"no such kind of name: {text}")


def make_resolver(folder):
    """A library for LD_PRELOAD in which each name has the loopback address."""
    library = folder / "names.so"
    if not library.exists():
        (folder / "names.c").write_text(RESOLVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, folder / "names.c", "-ldl"], check=True)
    return str(library)


class Authority:
    """The certificate authority of one run, in its own folder."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="identities-")
        self.path = pathlib.Path(self._folder.name)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Identities",
                      "-addext", "basicConstraints=critical,CA:TRUE")
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "leaf.key")
        self.certificate = str(self.path / "ca.pem")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.path)

    def context(self, names, common_name):
        """A TLS context for a server with a certificate for these names."""
        self._openssl("req", "-new", "-key", "leaf.key", "-out", "leaf.csr", "-subj", f"/CN={common_name or 'leaf'}")
        extensions = "basicConstraints=CA:FALSE\n"
        if names:
            encoded = _element(0x30, b"".join(map(_general_name, names)))
            extensions += "subjectAltName=DER:" + ":".join(f"{byte:02x}" for byte in encoded) + "\n"
        (self.path / "extensions").write_text(extensions)
        self._openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                      "leaf.pem", "-days", "2", "-extfile", "extensions")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path / "leaf.pem", self.path / "leaf.key")
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def resolver(self):
        return make_resolver(self.path)


class Server:
    """Answers one request on each connection with 200, over the negotiated protocol, and counts the bytes it decrypted."""

    def __init__(self, context, host="127.0.0.1"):
        self.context, self.received = context, 0
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(10)
        try:
            with self.context.wrap_socket(connection, server_side=True) as stream:
                (self._http2 if stream.selected_alpn_protocol() == "h2" else self._http1)(stream)
        except OSError:
            pass

    def _read(self, stream):
        data = stream.recv(65536)
        self.received += len(data)
        return data

    def _http1(self, stream):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._read(stream)
            if not data:
                return
            head += data
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        while self._read(stream):
            pass

    def _http2(self, stream):
        stream.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        buffer = b""
        while data := self._read(stream):
            buffer += data
            if buffer.startswith(b"PRI "):
                buffer = buffer[24:] if len(buffer) >= 24 else buffer
            while len(buffer) >= 9 and not buffer.startswith(b"PRI ") and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                length, kind, flags = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
                if kind == 4 and not flags & 1:
                    stream.sendall(bytes([0, 0, 0, 4, 1, 0, 0, 0, 0]))
                if kind == 1:
                    stream.sendall(bytes([0, 0, 1, 1, 5]) + buffer[5:9] + b"\x88")
                buffer = buffer[9 + length:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def url(host, port):
    return f"https://[{host.replace('%', '%25')}]:{port}/" if ":" in host else f"https://{host}:{port}/"


def curl(row, authority):
    """`accepted` or `refused`; `-` if curl fails before it checks the certificate."""
    with Server(authority.context(row["names"], row.get("cn"))) as server:
        run = subprocess.run(
            ["curl", "-sS", "--http1.1", "-o", os.devnull, "--max-time", "5", "--noproxy", "*", "--cacert", authority.certificate,
             "--connect-to", f"::127.0.0.1:{server.port}", url(row["host"], server.port)], capture_output=True)
    return {0: "accepted", 51: "refused", 60: "refused"}.get(run.returncode, "-")


def is_reachable(host):
    """Whether a server on the loopback interface can represent the host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "%" not in host and host.strip(".") != "" and ".." not in host and not host.startswith(".")
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def tool(path, row, authority, protocol):
    """The tool's result, and how many bytes the server could decrypt."""
    host = row["host"]
    is_ipv6 = ":" in host and not getattr(ipaddress.ip_address(host), "ipv4_mapped", None)
    with Server(authority.context(row["names"], row.get("cn")), "::1" if is_ipv6 else "127.0.0.1") as server:
        environment = dict(os.environ, LD_PRELOAD=authority.resolver())
        run = subprocess.run(
            [path, "request", "--json", protocol, "--cacert", authority.certificate, url(host, server.port)],
            capture_output=True, timeout=60, env=environment)
        lines = [json.loads(line) for line in run.stdout.decode().splitlines() if line.startswith("{")]
        outcome = next((line for line in lines if "index" in line), {})
        return outcome, server.received
