'use strict';

const http = require('node:http');
const { describe } = require('./duration');

/** GET /?duration=2%20days answers with HTML, GET /healthz with "ok". */
function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/healthz') {
    response.end('ok\n');
  } else if (url.pathname === '/') {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(`${describe(url.searchParams.get('duration') ?? '')}\n`);
  } else {
    response.statusCode = 404;
    response.end('not found\n');
  }
}

const server = http.createServer(answer);

if (require.main === module) {
  server.listen(Number(process.env.PORT ?? 3000), () => {
    console.log(`listening on port ${server.address().port}`);
  });
  // As the first process of a container nobody else takes care of signals.
  process.on('SIGTERM', () => server.close());
}

module.exports = { server };
