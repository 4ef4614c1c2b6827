"""The nginx that every client is measured against: one worker, no log, files from the page cache."""

import gzip
import random
import re
import urllib.request

from ..nginx import Nginx

CONFIGURATION = """\
daemon off;
master_process on;
worker_processes 1;
worker_rlimit_nofile 20000;
{user}
pid {prefix}/nginx.pid;
error_log {prefix}/error.log crit;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_buffer_size 256k;
    http2_max_concurrent_streams 1024;
    server {{
        listen 127.0.0.1:{plain_port} backlog=16384;
        # For balancing over two addresses.
        listen 127.0.0.2:{plain_port} backlog=16384;
        listen 127.0.0.1:{tls_port} ssl http2 backlog=16384;
        ssl_certificate {prefix}/server.pem;
        ssl_certificate_key {prefix}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
        root {prefix}/files;
        location /post {{ return 200 "taken"; }}
        location /gzip/ {{ alias {prefix}/files/; gzip_static on; }}
        location /closing/ {{ alias {prefix}/files/; keepalive_timeout 0; }}
        location /slow/ {{ alias {prefix}/files/; limit_rate 1000; }}
        location /slower/ {{ alias {prefix}/files/; limit_rate 100; }}
        location = /status {{ stub_status; }}
    }}
    # Takes every client for a new one: no session is resumed.
    server {{
        listen 127.0.0.1:{strangers_port} ssl http2 backlog=16384;
        ssl_certificate {prefix}/server.pem;
        ssl_certificate_key {prefix}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets off;
        root {prefix}/files;
        location /closing/ {{ alias {prefix}/files/; keepalive_timeout 0; }}
    }}
    server {{
        listen 127.0.0.1:{h2c_port} http2;
        root {prefix}/files;
        # Else the head and the body are written apart, and the second waits 40 ms for the first's acknowledgement.
        sendfile off;
    }}
}}
"""


class Server(Nginx):
    configuration = CONFIGURATION

    def __init__(self, core):
        super().__init__(prefix_command=["taskset", "-c", str(core)], large_bytes=1)

    def _make_files(self):
        super()._make_files()
        files = self.folder / "files"
        # About as compressible as JSON: about 5 to 1.
        words = random.Random(1)
        text = b"".join(b'{"id":%d,"name":"%s","is_open":true},\n' % (words.randrange(10**6), b"order" * words.randrange(1, 4))
                        for _ in range(4000))[:100_000]
        (files / "100k").write_bytes(text)
        (files / "100k.gz").write_bytes(gzip.compress(text, 6))

    def strangers(self, path):
        """Connections over TLS without session resumption."""
        return f"https://localhost:{self.strangers_port}{path}"

    def connections(self):
        """How many connections the server has open, without the connection that asks."""
        with urllib.request.urlopen(self.plain("/status")) as answer:
            return int(re.search(r"Active connections: (\d+)", answer.read().decode())[1]) - 1
