#!/usr/bin/env node
// Checks every import of packages/ and cmd/ against hack/import-fences.json. Test files may import anything.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const fences = JSON.parse(fs.readFileSync(path.join(root, 'hack/import-fences.json'), 'utf8'));
const importPattern = /(?:from\s+|import\s*\(\s*|import\s+)'([^']+)'/g;
const problems = [];
let files = 0;

function* sources(directory) {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'generated') continue;
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* sources(file);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') && !/\/(testing|bench)\//.test(file)) yield file;
  }
}

function check(owner, directory, allowed) {
  for (const file of sources(directory)) {
    files++;
    const text = fs.readFileSync(file, 'utf8');
    const where = path.relative(root, file);
    for (const [, target] of text.matchAll(importPattern)) {
      const ours = /^@coffer\/([^/]+)/.exec(target);
      if (ours && ours[1] !== owner && !allowed.includes(ours[1])) problems.push(`${where}: ${owner} must not import ${target}`);
      if (target.startsWith('.')) {
        const resolved = path.resolve(path.dirname(file), target);
        if (!resolved.startsWith(`${directory}${path.sep}`)) problems.push(`${where}: relative import ${target} leaves the package`);
        else if (!fs.existsSync(resolved)) problems.push(`${where}: ${target} does not exist`);
      }
      const restricted = fences.npm[target.split('/')[0]];
      if (restricted && !restricted.includes(owner)) problems.push(`${where}: only ${restricted.join(', ')} may import ${target}`);
    }
  }
}

for (const [name, allowed] of Object.entries(fences.packages)) check(name, path.join(root, 'packages', name), allowed);
check('cmd', path.join(root, 'cmd/coffer'), fences.cmd);
for (const problem of problems) console.error(problem);
console.log(`verify-imports: ${files} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 || files === 0 ? 1 : 0;
