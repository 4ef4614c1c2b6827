"""Apache httpd and lighttpd: they serve files themselves and get the rest from the origin."""

import os
import pathlib
import signal

from harness.interop.server import Server, Unavailable

APACHE = """\
ServerRoot {own}
DefaultRuntimeDir {own}
PidFile {own}/httpd.pid
ErrorLog {own}/error.log
LogLevel warn
ServerName localhost
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{tls}
{modules}
StartServers 1
ServerLimit 8
ThreadsPerChild 32
MaxRequestWorkers 256
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestBody 0
DocumentRoot {files}
<Directory {files}>
    Require all granted
</Directory>
TypesConfig /dev/null
AddType text/plain .txt
AddOutputFilterByType DEFLATE text/plain
RedirectMatch 302 ^/redirect$ /further
RedirectMatch 301 ^/further$ /1k
RedirectMatch 307 ^/again$ /upload
ProxyPass /upload http://127.0.0.1:{origin}/upload
ProxyPass /chunked http://127.0.0.1:{origin}/chunked
ProxyPass /slow http://127.0.0.1:{origin}/slow flushpackets=on
Protocols h2 http/1.1
<VirtualHost 127.0.0.1:{plain}>
</VirtualHost>
<VirtualHost 127.0.0.1:{tls}>
    SSLEngine on
    SSLCertificateFile {stage}/server.pem
    SSLCertificateKeyFile {stage}/server.key
</VirtualHost>
"""

# Some of these modules are built into Debian's program.
APACHE_MODULES = ("mpm_event", "unixd", "authz_core", "mime", "filter", "deflate", "alias", "proxy", "proxy_http",
                  "socache_shmcb", "ssl", "http2")
APACHE_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")


class Apache(Server):
    name = "Apache httpd"
    programs = ("apache2", "httpd")
    notes = {
        "reload": "Over HTTP/2 a graceful restart ends connections that have requests in flight. The tool sends these requests again.",
    }
    drain_signal = signal.SIGWINCH

    def prepare(self):
        folder = next((pathlib.Path(path) for path in APACHE_FOLDERS if os.path.isdir(path)), None)
        if folder is None:
            raise Unavailable("Apache's modules are in none of " + ", ".join(APACHE_FOLDERS))
        modules = "\n".join(f"LoadModule {name}_module {folder}/mod_{name}.so" for name in APACHE_MODULES
                            if (folder / f"mod_{name}.so").exists())
        (self.folder / "httpd.conf").write_text(APACHE.format(
            own=self.folder, stage=self.stage.folder, files=self.contents.folder, origin=self.stage.origin.port,
            plain=self.plain_port, tls=self.tls_port, modules=modules))

    def commands(self):
        return [self._command("-DFOREGROUND")]

    def _command(self, *more):
        return [self.program, "-d", self.folder, "-f", self.folder / "httpd.conf", *more]

    def order_reload(self):
        """Does what `apachectl graceful` does."""
        self.run(self._command("-k", "graceful"))


LIGHTTPD = """\
server.modules = ("mod_redirect", "mod_proxy", "mod_deflate", "mod_openssl")
server.bind = "127.0.0.1"
server.port = {plain}
server.document-root = "{files}"
server.errorlog = "{own}/error.log"
server.upload-dirs = ("{own}")
server.max-keep-alive-requests = 60000
server.max-keep-alive-idle = 60
server.max-request-size = 0
server.stream-request-body = 2
server.stream-response-body = 2
mimetype.assign = (".txt" => "text/plain", "" => "application/octet-stream")
deflate.mimetypes = ("text/plain")
deflate.allowed-encodings = ("gzip")
$SERVER["socket"] == "127.0.0.1:{tls}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{stage}/server.pem"
    ssl.privkey = "{stage}/server.key"
}}
$HTTP["url"] == "/redirect" {{
    url.redirect = ("" => "/further")
    url.redirect-code = 302
}}
$HTTP["url"] == "/further" {{
    url.redirect = ("" => "${{url.scheme}}://${{url.authority}}/1k")
    url.redirect-code = 301
}}
$HTTP["url"] == "/again" {{
    url.redirect = ("" => "/upload")
    url.redirect-code = 307
}}
$HTTP["url"] =~ "^/(upload|chunked|slow)$" {{
    proxy.server = ("" => (("host" => "127.0.0.1", "port" => {origin})))
}}
"""


class Lighttpd(Server):
    name = "lighttpd"
    programs = ("lighttpd",)
    notes = {
        "http2": "lighttpd allows eight streams at a time. For more streams the tool opens another connection.",
        "chunked up": "Over HTTP/2 lighttpd answers 411 to a POST without a length, and accepts a PUT. So this row sends "
                      "PUTs.",
    }
    drain_signal = signal.SIGINT
    reload_signal = signal.SIGUSR1

    def prepare(self):
        (self.folder / "lighttpd.conf").write_text(LIGHTTPD.format(
            own=self.folder, stage=self.stage.folder, files=self.contents.folder, origin=self.stage.origin.port,
            plain=self.plain_port, tls=self.tls_port))

    def commands(self):
        return [[self.program, "-D", "-f", self.folder / "lighttpd.conf"]]

    def generation(self):
        """How often lighttpd has logged a start: it reloads in the same process."""
        return (self.folder / "error.log").read_text(errors="replace").count("server started")
