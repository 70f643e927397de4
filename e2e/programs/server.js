// A Node server of the component tests: `node server.js PORT`.
'use strict';
const http = require('node:http');

function pattern(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at * 31 + 7) & 0xff;
  return bytes;
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const path = request.url.split('?')[0];
    if (path === '/none') {
      response.writeHead(204).end();
    } else if (path === '/echo') {
      response.end(Buffer.concat(parts));
    } else {
      response.end(pattern(Number(path.split('/')[2])));
    }
  });
});
server.keepAliveTimeout = 600000;
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
