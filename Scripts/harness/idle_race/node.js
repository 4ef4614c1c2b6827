// A server on Node's own http module: answers each request with its id and writes "METHOD ID" into a log before it answers.
//
//     node node.js PORT KEEP_ALIVE_MILLISECONDS LOG [hint]
//
// With `hint` Node announces when it closes an unused connection (Keep-Alive: timeout); without it, Node announces nothing.
const fs = require('fs');
const http = require('http');

const [port, keepAlive, path, hint] = process.argv.slice(2);
const log = fs.openSync(path, 'a');
const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const id = request.headers['x-id'] || '-';
    fs.writeSync(log, `${request.method} ${id}\n`);
    if (!hint) response.setHeader('Connection', 'keep-alive');
    response.setHeader('X-Id', id);
    response.end('ok\n');
  });
});
server.keepAliveTimeout = Number(keepAlive);
// Newer versions of Node close a second later than they announce.
server.keepAliveTimeoutBuffer = 0;
server.listen(Number(port), '127.0.0.1', 4096);
