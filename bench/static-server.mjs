// A server that does nothing but answer with one body, on the HTTP stack of Coffer: what LIST is compared with.
// node bench/static-server.mjs KEY.pem CERTIFICATE.pem BODY-FILE; prints the port it listens on.
import fs from 'node:fs';
import { createSecureServer } from 'node:http2';

const [key, cert, body] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const server = createSecureServer({ key, cert, allowHTTP1: true }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
