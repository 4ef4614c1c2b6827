"""Makes Docs/Interop.md from the table."""

import textwrap

PAGE = """\
# Interoperability

What the client does with real servers. `Scripts/interop --write` makes this page: it starts each server on loopback, drives the tool
[`bowline`](Tool.md) against it, and writes down what it saw. `make interop` prints the same table without writing it.

`ok`: seen, by every protocol that the server speaks (HTTP/1.1 in the clear, HTTP/2 over TLS), or by those in parentheses. `n/a`: the server
cannot do it, and why. `FAILED` would make the script exit with 1.

{table}

## The servers

| server | version | protocols |
|---|---|---|
{versions}

nginx, Apache httpd and lighttpd serve files themselves and hand the other targets to a server behind them; HAProxy hands on everything. The
others answer by themselves.

## What each row shows

{explanations}

## Cells that need a sentence

{notes}
"""

EXPLANATIONS = [
    "**Connection reuse**: two requests travel over one connection, counted in front of the server too.",
    "**TLS**: with the authority's certificate the request succeeds. With a name that is not in the certificate, and "
    "without the authority, the tool refuses the handshake.",
    "**HTTP/2**: no option asks for it; ALPN settles it. 40 requests by 8 workers are 40 streams of one connection.",
    "**gzip**: the decoded text is the file, and the undecoded answer is gzip.",
    "**Chunked**: 256 KiB without a length each way, hashed by the side that receives them. Over HTTP/2 these are bodies "
    "without a length.",
    "**Redirects**: a 302 leads to a 301 and that to the file. A 307 has the body, 256 KiB, sent once more.",
    "**Expect**: the body leaves after `100 Continue` and not before, seen on the wire.",
    "**{amount}**: hashed by the side that receives it, while the tool's peak memory stays below {peak} MiB.",
    "**Slow answers**: a body in 16 pieces, 0.1 s apart, takes longer than `--body-idle-timeout` and arrives whole.",
    "**Reload**: {reloads} reloads while 8 workers send paced GETs: none fails.",
    "**Restart**: the server is killed and started again {restarts} under the same load. Requests that nothing answers are "
    "retried. None fails except those whose response had begun, which report `responseStarted`.",
    "**Drain**: the server ends gracefully with 8 GETs in flight, and each finishes at its first attempt. 8 more succeed "
    "once the server is back.",
]


def _list(items):
    """A list whose items are wrapped as the other pages are."""
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
