// A Node client of the component tests: `node client.js URL REQUESTS CONNECTIONS`. It begins with
// a line on its standard input, and says what it got.
'use strict';
const https = require('node:https');

function pattern(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at * 31 + 7) & 0xff;
  return bytes;
}

function exchange(agent, url, number) {
  return new Promise((resolve, reject) => {
    const body = pattern((number * 37) % 40000);
    const request = https.request(`${url}/echo?${number}`, { agent, method: 'POST' }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => {
        if (!Buffer.concat(parts).equals(body)) console.log('wrong answer to', number);
        resolve();
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main(url, each, connections) {
  const tasks = Array.from({ length: connections }, async (_, at) => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    for (let next = 0; next < each; next += 1) await exchange(agent, url, at * each + next);
    agent.destroy();
  });
  await Promise.all(tasks);
  console.log('done');
}

const [url, each, connections] = process.argv.slice(2);
process.stdin.once('data', () => {
  process.stdin.destroy();
  main(url, Number(each), Number(connections));
});
