// The least a server of this kind can do, on the HTTP stack and the store of Coffer: looks a token up, parses, adds metadata, writes
// durably (Secrets encrypted), serialises. No authorization, validation, field ownership, audit, history or watches. What rates are
// compared with: on a busy machine both fall. node bench/bare-server.mjs KEY.pem CERTIFICATE.pem DIRECTORY TOKEN; prints its port.
import { createCipheriv, randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { createSecureServer } from 'node:http2';
import { open } from 'lmdb';

const [keyFile, certificateFile, directory, token] = process.argv.slice(2);
const users = new Map([[`Bearer ${token}`, { name: 'admin' }]]);
const db = open({ path: directory, encoding: 'binary', cache: false });
const cache = new Map();
const dataKey = randomBytes(32);
let revision = 1;

const encrypt = (bytes) => {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce);
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
};

async function write(path, object) {
  object.metadata.resourceVersion = String(++revision);
  const bytes = Buffer.from(JSON.stringify(object));
  const written = db.put(path, path.includes('/secrets/') ? encrypt(bytes) : bytes);
  await written;
  await (written.flushed ?? db.flushed);
  cache.set(path, bytes);
  return bytes;
}

async function serve(method, path, body) {
  if (method === 'GET') return [200, cache.get(path)];
  const sent = JSON.parse(body);
  if (method === 'PATCH') {
    const object = JSON.parse(cache.get(path));
    return [200, await write(path, { ...object, data: { ...object.data, ...sent.data } })];
  }
  const metadata = { ...sent.metadata, namespace: 'bench', uid: randomUUID(), creationTimestamp: new Date().toISOString() };
  return [201, await write(`${path}/${sent.metadata.name}`, { ...sent, metadata })];
}

const tls = { key: fs.readFileSync(keyFile), cert: fs.readFileSync(certificateFile), allowHTTP1: true };
const server = createSecureServer(tls, (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const known = users.has(request.headers.authorization);
    const [status, body] = known ? await serve(request.method, request.url, Buffer.concat(chunks).toString()) : [401, ''];
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
