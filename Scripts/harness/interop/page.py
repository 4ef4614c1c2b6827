"""Makes Docs/Interop.md from the table."""

import textwrap

PAGE = """\
# Interoperability

This page shows how Bowline works with real servers. `Scripts/interop --write` generates it: it starts each server on loopback, runs the
tool [`bowline`](Tool.md) against it, and records the results. `make interop` prints the same table and does not write it.

`ok`: it works over every protocol that the server speaks (HTTP/1.1 without TLS, HTTP/2 over TLS), or over the protocols in parentheses. `n/a`:
the server does not support it, with the reason. If a cell were `FAILED`, the script would exit with 1.

{table}

## The servers

| server | version | protocols |
|---|---|---|
{versions}

nginx, Apache httpd and lighttpd serve files themselves and pass other requests to a server behind them. HAProxy passes on all requests. The
other servers answer all requests themselves.

## What each row shows

{explanations}

## Notes on single cells

{notes}
"""

EXPLANATIONS = [
    "**Connection reuse**: two requests use one connection, which a counter in front of the server confirms.",
    "**TLS**: with the authority's certificate the request succeeds. With a name that is not in the certificate, and "
    "without the authority, the tool refuses the handshake.",
    "**HTTP/2**: ALPN selects it; no option asks for it. 40 requests by 8 workers are 40 streams of one connection.",
    "**gzip**: the decoded text equals the file, and the undecoded response is gzip.",
    "**Chunked**: a body of 256 KiB without a length in each direction. A hash shows that the body arrived unchanged.",
    "**Redirects**: a 302 leads to a 301, and the 301 to the file. A 307 makes the tool send the body, 256 KiB, once more.",
    "**Expect**: the tool sends the body after `100 Continue` and not before; checked on the wire.",
    "**{amount}**: a hash shows that the body arrived unchanged. The tool's peak memory stays below {peak} MiB.",
    "**Slow answers**: a body comes in 16 pieces, 0.1 s apart. It arrives whole, although all pieces together take longer than "
    "`--body-idle-timeout`.",
    "**Reload**: {reloads} reloads while 8 workers send paced GETs. No GET fails.",
    "**Restart**: the server is killed and started again {restarts} under the same load. The tool retries requests without a "
    "response. A request fails only if its response had begun, and then reports `responseStarted`.",
    "**Drain**: the server shuts down gracefully with 8 GETs in flight, and each succeeds at its first attempt. 8 more GETs "
    "succeed once the server is back.",
]


def _list(items):
    """A list whose items are wrapped like the other pages."""
    return "\n".join(textwrap.fill(f"- {item}", 140, subsequent_indent="  ", break_long_words=False,
                                   break_on_hyphens=False) for item in items)


def page(table, amount, peak, versions, reloads, restarts):
    lines = [f"| {server.name} | {versions[server.name]} | {', '.join(f'HTTP/{p}' for p in server.protocols)} |"
             for server, _ in table.columns]
    rows = {behaviour.key: behaviour.words for behaviour in table.behaviours}
    notes = [f"**{server.name}, {rows[key]}**: {sentence}" for server, _ in table.columns
             for key, sentence in server.notes.items()]
    figures = {"amount": amount, "peak": peak, "reloads": reloads, "restarts": restarts}
    return PAGE.format(table=table.markdown(), versions="\n".join(lines), notes=_list(notes) or "None.",
                       explanations=_list(item.format(**figures) for item in EXPLANATIONS))
