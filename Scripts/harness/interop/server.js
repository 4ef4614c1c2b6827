// The Node server of Scripts/interop: node's own http and http2 modules.
// Arguments: files, port, TLS port, key, certificate, pieces, pause in milliseconds.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const path = require('path');
const { pipeline } = require('stream');
const zlib = require('zlib');

const [files, port, tlsPort, key, cert, pieces, pause] = process.argv.slice(2);

function sendFile(request, response, name) {
    const file = path.join(files, name);
    const fields = { 'content-type': name.endsWith('.txt') ? 'text/plain' : 'application/octet-stream' };
    if (name.endsWith('.txt') && /gzip/.test(request.headers['accept-encoding'] || '')) {
        response.writeHead(200, { ...fields, 'content-encoding': 'gzip' });
        pipeline(fs.createReadStream(file), zlib.createGzip(), response, () => {});
    } else {
        response.writeHead(200, { ...fields, 'content-length': fs.statSync(file).size });
        pipeline(fs.createReadStream(file, { highWaterMark: 1 << 18 }), response, () => {});
    }
}

async function sendPieces(response, milliseconds) {
    const body = fs.readFileSync(path.join(files, 'pieces'));
    const step = body.length / Number(pieces);
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    for (let at = 0; at < body.length; at += step) {
        response.write(body.subarray(at, at + step));
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
    }
    response.end();
}

function receive(request, response) {
    const digest = crypto.createHash('sha256');
    let count = 0;
    request.on('data', (piece) => {
        digest.update(piece);
        count += piece.length;
    });
    request.on('end', () => response.end(`${count} ${digest.digest('hex')}\n`));
}

function redirect(response, status, location) {
    response.writeHead(status, { location });
    response.end();
}

function serve(request, response) {
    const scheme = request.socket.encrypted ? 'https' : 'http';
    const authority = request.headers[':authority'] || request.headers.host;
    switch (request.url) {
    case '/1k':
    case '/text.txt':
    case '/large':
        return sendFile(request, response, request.url.slice(1));
    case '/chunked': return sendPieces(response, 0);
    case '/slow': return sendPieces(response, Number(pause));
    case '/upload': return receive(request, response);
    case '/redirect': return redirect(response, 302, '/further');
    case '/further': return redirect(response, 301, `${scheme}://${authority}/1k`);
    case '/again':
        request.resume();
        return redirect(response, 307, '/upload');
    default:
        response.writeHead(404);
        return response.end();
    }
}

const plain = http.createServer({ keepAliveTimeout: 60000, requestTimeout: 0 }, serve);
const tls = http2.createSecureServer(
    { key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true }, serve);
const sessions = new Set();
tls.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
});
plain.listen(Number(port), '127.0.0.1');
tls.listen(Number(tlsPort), '127.0.0.1');

// A graceful end: accepts no new connections, closes idle ones, sends GOAWAY on each session, and exits when all are closed.
process.on('SIGTERM', () => {
    plain.close();
    plain.closeIdleConnections();
    // A connection whose last response ends later would otherwise stay open.
    setInterval(() => plain.closeIdleConnections(), 50).unref();
    tls.close();
    for (const session of sessions) session.close();
});
