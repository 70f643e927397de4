// A Node server of the component tests: `node server.js PORT [CERTIFICATE KEY]`.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');

function pattern(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at * 31 + 7) & 0xff;
  return bytes;
}

function answer(request, response) {
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
}

const [port, certificate, key] = process.argv.slice(2);
const server = certificate
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, answer)
  : http.createServer(answer);
server.keepAliveTimeout = 600000;
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
