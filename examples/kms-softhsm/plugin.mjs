// A KMS v2 plugin whose keys live in a PKCS#11 token (here SoftHSM; any module will do). The API server sends it seeds of 32 bytes, a
// few in its life; each is encrypted with AES-CBC and authenticated with HMAC-SHA256 by two keys that never leave the token:
//
//   ciphertext = IV (16) ‖ AES-CBC-PAD(seed) ‖ HMAC-SHA256(key ID ‖ IV ‖ AES-CBC-PAD(seed))
//
// The token is reached through pkcs11-tool, so no native code is built. The key ID is the label of the keys in the token; a label must
// never be used for other keys later.
//
// node plugin.mjs SOCKET KEY_LABEL      environment: PKCS11_MODULE, TOKEN_LABEL, HSM_PIN
import { spawn } from 'node:child_process';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const [socket, keyLabel] = process.argv.slice(2);
const { PKCS11_MODULE: pkcs11Module, TOKEN_LABEL: tokenLabel, HSM_PIN: pin } = process.env;
if (!socket || !keyLabel || !pkcs11Module || !tokenLabel || !pin) {
  console.error('usage: PKCS11_MODULE=… TOKEN_LABEL=… HSM_PIN=… node plugin.mjs SOCKET KEY_LABEL');
  process.exit(2);
}

const ivBytes = 16;
const macBytes = 32;
const tokenTimeoutMs = 5000;
const labelPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Lets the token work on `input` with the key of this label. The PIN goes through the environment, data through pipes. */
function inToken(args, label, input) {
  const id = Buffer.from(label).toString('hex');
  const all = ['--module', pkcs11Module, '--token-label', tokenLabel, '--login', '--pin', 'env:HSM_PIN', ...args, '--id', id];
  return new Promise((resolve, reject) => {
    const child = spawn('pkcs11-tool', all, { stdio: ['pipe', 'pipe', 'pipe'], timeout: tokenTimeoutMs });
    const output = [];
    let problem = '';
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => (problem += chunk));
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(new Error(`the token refused: ${problem.trim().split('\n').at(-1) ?? code}`));
    });
    child.stdin.end(input);
  });
}

async function mac(label, ...parts) {
  const code = await inToken(['--sign', '--mechanism', 'SHA256-HMAC'], `${label}-mac`, Buffer.concat([Buffer.from(label), ...parts]));
  if (code.length !== macBytes) throw new Error(`the token's code has ${code.length} bytes`);
  return code;
}

const cbc = (direction, iv) => [direction, '--mechanism', 'AES-CBC-PAD', '--iv', iv.toString('hex')];

async function encrypt({ plaintext }) {
  const iv = randomBytes(ivBytes);
  const encrypted = await inToken(cbc('--encrypt', iv), keyLabel, plaintext);
  return { ciphertext: Buffer.concat([iv, encrypted, await mac(keyLabel, iv, encrypted)]), keyId: keyLabel };
}

async function decrypt({ ciphertext, keyId }) {
  if (!labelPattern.test(keyId)) throw new Error('not a key of this token');
  if (ciphertext.length < ivBytes + macBytes) throw new Error('the ciphertext is too short');
  const iv = ciphertext.subarray(0, ivBytes);
  const encrypted = ciphertext.subarray(ivBytes, -macBytes);
  if (!timingSafeEqual(await mac(keyId, iv, encrypted), ciphertext.subarray(-macBytes))) throw new Error('the ciphertext was changed');
  return { plaintext: await inToken(cbc('--decrypt', iv), keyId, encrypted) };
}

/** Well means that the token answers and has the keys. */
async function readStatus() {
  const healthz = await mac(keyLabel, Buffer.from('status')).then(
    () => 'ok',
    (error) => error.message,
  );
  return { version: 'v2', healthz, keyId: keyLabel };
}

function serve(server, root, method, handle) {
  const request = root.lookupType(`v2.${method}Request`);
  const response = root.lookupType(`v2.${method}Response`);
  const definition = {
    path: `/v2.KeyManagementService/${method}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.toObject(request.decode(bytes), { defaults: true }),
    responseSerialize: (message) => Buffer.from(response.encode(response.fromObject(message)).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
  const implementation = (call, callback) => {
    handle(call.request).then(
      (answer) => callback(null, answer),
      (error) => callback({ code: status.INTERNAL, message: error.message }),
    );
  };
  server.addService({ [method]: definition }, { [method]: implementation });
}

const root = protobuf.loadSync(path.join(import.meta.dirname, 'kms.proto'));
const server = new Server();
serve(server, root, 'Status', readStatus);
serve(server, root, 'Encrypt', encrypt);
serve(server, root, 'Decrypt', decrypt);

// Whoever can open the socket can have seeds decrypted: nobody but this user.
process.umask(0o077);
rmSync(socket, { force: true });
server.bindAsync(`unix:${path.resolve(socket)}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log(`KMS v2 plugin at ${socket} with the keys "${keyLabel}" of the token "${tokenLabel}"`);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.forceShutdown() ?? process.exit(0));
