// A server that does nothing but write the body of a PATCH, in an event as large as Coffer's, to every open watch: what the fan-out of
// Coffer is compared with. node bench/fan-out-server.mjs KEY.pem CERTIFICATE.pem; prints the port it listens on.
import fs from 'node:fs';
import https from 'node:https';

const [key, cert] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const watchers = new Set();
const padding = { k: 'x'.repeat(900), others: 'y'.repeat(400) };

const server = https.createServer({ key, cert }, (request, response) => {
  if (request.method === 'PATCH') {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const { data } = JSON.parse(Buffer.concat(chunks));
      const line = `${JSON.stringify({ type: 'MODIFIED', object: { data: { ...padding, ...data } } })}\n`;
      const frame = Buffer.from(`${line.length.toString(16)}\r\n${line}\r\n`);
      for (const watcher of watchers) watcher.socket?.write(frame);
      response.end('{}');
    });
  } else if (request.url?.includes('watch=true')) {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    watchers.add(response);
    response.on('close', () => watchers.delete(response));
  } else {
    response.end('{"metadata":{"resourceVersion":"1"}}');
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
