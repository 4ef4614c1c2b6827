// The service behind the five servers of `make chaos`. Each server has its own port here, and each port its own mode:
//
//     usual   answers after 10 to 20 ms
//     slow    answers after 100 to 200 ms
//     503     answers 503 at once, and executes nothing
//
//     node service.js CONTROL_PORT PORT…
//
// The service also says how late its timer was for each call: that shows how busy the machine was with other things.
//
// A call is `GET /calls/ID` or `POST /calls/ID`. The service counts by ID how often a call has arrived, and how often it was executed.
// The control port takes `PUT /mode/SERVER/MODE`, `PUT /reset`, `GET /elapsed`, `GET /busiest` and `GET /counts`.
const http = require('http');

const [control, ...ports] = process.argv.slice(2).map(Number);
const modes = ports.map(() => 'usual');
const slowness = { usual: 1, slow: 10 };
let state;

function reset() {
  state = { first: null, arrived: {}, executed: {}, late: {}, answered: { usual: 0, slow: 0, 503: 0 }, times: ports.map(() => []) };
  modes.fill('usual');
}
reset();

function serve(index, request, response) {
  const id = request.url.split('/').pop();
  const now = performance.now();
  state.first ??= now;
  state.arrived[id] = (state.arrived[id] || 0) + 1;
  state.times[index].push(now);
  const mode = modes[index];
  state.answered[mode] += 1;
  request.resume();
  if (mode === '503') {
    response.statusCode = 503;
    response.end('busy\n');
    return;
  }
  // A service executes a request even if the client has given up by the time the answer is ready.
  state.executed[id] = (state.executed[id] || 0) + 1;
  const work = (10 + 10 * Math.random()) * slowness[mode];
  const { late } = state;
  setTimeout(() => {
    late[id] = performance.now() - now - work;
    response.end('done\n');
  }, work);
}

// The server that got the most requests in the last second.
function busiest() {
  const since = performance.now() - 1000;
  const counts = state.times.map((times) => times.filter((time) => time >= since).length);
  return counts.indexOf(Math.max(...counts));
}

function answer(request) {
  const [name, server, mode] = request.url.split('/').slice(1);
  if (request.method === 'PUT' && name === 'mode') modes[Number(server)] = mode;
  if (request.method === 'PUT' && name === 'reset') reset();
  if (name === 'elapsed') return state.first === null ? null : performance.now() - state.first;
  if (name === 'busiest') return busiest();
  if (name === 'counts') return { arrived: state.arrived, executed: state.executed, late: state.late, answered: state.answered };
  return true;
}

ports.forEach((port, index) => {
  const server = http.createServer((request, response) => serve(index, request, response));
  server.keepAliveTimeout = 600_000;
  server.listen(port, '127.0.0.1', 4096);
});
http.createServer((request, response) => response.end(JSON.stringify(answer(request)))).listen(control, '127.0.0.1');
