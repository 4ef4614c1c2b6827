"""nginx and HAProxy, in front of the origin."""

import signal

from harness.interop.server import Server

NGINX = """\
daemon off;
worker_processes 1;
pid {own}/nginx.pid;
error_log {own}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    sendfile on;
    gzip on;
    gzip_types text/plain;
    keepalive_requests 100000000;
    client_max_body_size 0;
    absolute_redirect off;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_buffering off;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl http2;
        ssl_certificate {stage}/server.pem;
        ssl_certificate_key {stage}/server.key;
        root {files};
        location = /redirect {{ return 302 /further; }}
        location = /further {{ return 301 $scheme://$http_host/1k; }}
        location = /again {{ return 307 /upload; }}
        location ~ ^/(upload|chunked|slow)$ {{ proxy_pass http://127.0.0.1:{origin}; }}
    }}
}}
"""


class Nginx(Server):
    name = "nginx"
    programs = ("nginx",)
    drain_signal = signal.SIGQUIT
    sends_no_continue = ("2",)
    notes = {"continue": "Over HTTP/2 nginx sends no `100 Continue`. The tool sends the body after a second."}

    def prepare(self):
        (self.folder / "nginx.conf").write_text(NGINX.format(
            own=self.folder, stage=self.stage.folder, files=self.contents.folder, origin=self.stage.origin.port,
            plain=self.plain_port, tls=self.tls_port))

    def commands(self):
        return [self._command()]

    def _command(self, *more):
        return [self.program, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log",
                *more]

    def order_reload(self):
        self.run(self._command("-s", "reload"))


HAPROXY = """\
global
    stats socket {own}/admin.sock level admin expose-fd listeners
    hard-stop-after 30s
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend front
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{tls} ssl crt {stage}/both.pem alpn h2,http/1.1
    filter compression
    compression algo gzip
    compression type text/plain
    http-request redirect location /further code 302 if {{ path /redirect }}
    http-request redirect location https://%[req.hdr(host)]/1k code 301 if {{ path /further }} {{ ssl_fc }}
    http-request redirect location http://%[req.hdr(host)]/1k code 301 if {{ path /further }}
    http-request redirect location /upload code 307 if {{ path /again }}
    default_backend origin
backend origin
    http-reuse always
    server one 127.0.0.1:{origin}
"""


class HAProxy(Server):
    name = "HAProxy"
    programs = ("haproxy",)
    notes = {"redirects": "Over HTTP/2 HAProxy answers with the 307 before it reads the request's body, and never gives back the "
                          "part of the connection's window that this body took. When the window is used up, the connection "
                          "takes no more requests, and the tool follows the 307 on another connection."}
    drain_signal = signal.SIGUSR1

    def prepare(self):
        (self.folder / "haproxy.cfg").write_text(HAPROXY.format(
            own=self.folder, stage=self.stage.folder, origin=self.stage.origin.port, plain=self.plain_port,
            tls=self.tls_port))

    def commands(self):
        return [self._command()]

    def _command(self, *more):
        return [self.program, "-db", "-f", self.folder / "haproxy.cfg", *more]

    def generation(self):
        """How often an old process has logged that it stopped listening. The new process asks for that after its start."""
        return (self.folder / "output").read_text(errors="replace").count("Proxy front stopped")

    def order_reload(self):
        """`-sf`: the new process takes over the listening sockets and asks the old one to finish."""
        old = self.processes[0]
        self.processes.insert(0, self.launch(self._command("-x", self.folder / "admin.sock", "-sf", old.pid)))
