#!/usr/bin/env node
// Unpacks Debian's golang-k8s-api-dev and golang-k8s-apimachinery-dev into .cache/gocode, for `extract-type-facts.mjs` and for the
// test that reads upstream's sample objects. The packages are in newer suites than this machine's: they are looked up with an apt
// directory of their own, from the mirror that the machine already uses. Installs nothing. Needs apt-get and dpkg.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = path.join(path.dirname(fileURLToPath(import.meta.url)), '../.cache');
const packages = ['golang-k8s-api-dev', 'golang-k8s-apimachinery-dev'];
const suites = ['forky', 'sid'];

/** The mirror of the main archive that this machine uses. */
function mirror() {
  const dir = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...fs.readdirSync(dir).map((name) => path.join(dir, name))].filter((file) => fs.existsSync(file));
  for (const file of files) {
    const uri = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(https?:\/\/\S+\/debian)\/?(?:\s|$)/m.exec(fs.readFileSync(file, 'utf8'))?.[1];
    if (uri !== undefined) return uri;
  }
  throw new Error('no Debian mirror in the apt configuration of this machine');
}

const apt = path.join(cache, 'apt');
for (const dir of ['state/lists/partial', 'cache/archives/partial', 'debs']) fs.mkdirSync(path.join(apt, dir), { recursive: true });
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
fs.writeFileSync(path.join(apt, 'sources.list'), suites.map((suite) => `deb [signed-by=${keyring}] ${mirror()} ${suite} main\n`).join(''));
const configuration = [
  ['Dir::Etc::sourcelist', path.join(apt, 'sources.list')],
  ['Dir::Etc::sourceparts', '/nonexistent'],
  ['Dir::State', path.join(apt, 'state')],
  ['Dir::State::status', '/var/lib/dpkg/status'],
  ['Dir::Cache', path.join(apt, 'cache')],
  ['Acquire::Languages', 'none'],
];
fs.writeFileSync(path.join(apt, 'apt.conf'), configuration.map(([name, value]) => `${name} "${value}";\n`).join(''));

const options = { cwd: path.join(apt, 'debs'), env: { ...process.env, APT_CONFIG: path.join(apt, 'apt.conf') }, stdio: 'inherit' };
execFileSync('apt-get', ['-q', 'update'], options);
execFileSync('apt-get', ['-q', 'download', ...packages], options);
const unpacked = path.join(cache, 'gocode');
fs.rmSync(unpacked, { recursive: true, force: true });
for (const file of fs.readdirSync(options.cwd).filter((name) => name.endsWith('.deb'))) {
  execFileSync('dpkg', ['-x', file, path.join(apt, 'unpacked')], options);
}
fs.renameSync(path.join(apt, 'unpacked/usr/share/gocode/src'), unpacked);
fs.rmSync(apt, { recursive: true, force: true });
console.log(`unpacked into ${path.relative(process.cwd(), unpacked)}`);
