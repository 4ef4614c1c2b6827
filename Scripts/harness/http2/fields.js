// The Node server of Scripts/http2-fields: node's own http2 module, with its limits on field sections raised.
// Arguments: port, TLS port, key, certificate. Prints a line of JSON for each request: its target and its fields as received.
'use strict';
const fs = require('fs');
const http2 = require('http2');

const [port, tlsPort, key, cert] = process.argv.slice(2);
const options = {
    settings: { maxHeaderListSize: 1 << 20, maxFrameSize: 1 << 20 },
    maxHeaderListPairs: 10000,
    maxSendHeaderBlockLength: 1 << 20,
    maxSessionMemory: 1000,
};

// Returns the same fields as `answer_fields` in fields.py.
function answerFields(number, count) {
    const size = Math.max(16, Math.ceil(count / 15) - 'x-answer-'.length - 2);
    const fields = {};
    for (let index = 0, bytes = 0; bytes < count; index += 1) {
        const name = `x-answer-${String(index).padStart(2, '0')}`;
        const unit = `${number}-${index}.`;
        fields[name] = unit.repeat(Math.floor(size / unit.length) + 1).slice(0, size);
        bytes += name.length + size;
    }
    return fields;
}

function serve(stream, headers, flags, rawHeaders) {
    const fields = [];
    for (let index = 0; index < rawHeaders.length; index += 2) fields.push([rawHeaders[index], rawHeaders[index + 1]]);
    const target = headers[':path'];
    console.log(JSON.stringify([target, fields.filter(([name]) => !name.startsWith(':'))]));
    const query = new URL(target, 'http://localhost').searchParams;
    const number = Number(query.get('number'));
    stream.respond({ ':status': 200, ...answerFields(number, Number(query.get('answer'))) });
    stream.end(`${number}\n`);
}

const plain = http2.createServer(options);
const tls = http2.createSecureServer({ ...options, key: fs.readFileSync(key), cert: fs.readFileSync(cert) });
for (const server of [plain, tls]) {
    server.on('stream', serve);
    server.on('sessionError', (error) => console.error(error));
}
plain.listen(Number(port), '127.0.0.1');
tls.listen(Number(tlsPort), '127.0.0.1');
