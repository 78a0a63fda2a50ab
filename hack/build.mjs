#!/usr/bin/env node
// Generates what is not committed and bundles cmd/coffer into one executable file, dist/coffer.mjs. Only packages with native
// code stay outside of the bundle.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

/** The commit the bundle was built from, or `unknown` outside of a git checkout. */
function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return 'unknown';
  }
}

const started = performance.now();
execFileSync(process.execPath, [path.join(root, 'hack/generate.mjs')], { stdio: 'inherit' });
const outfile = path.join(root, 'dist/coffer.mjs');
await build({
  ...JSON.parse(fs.readFileSync(path.join(root, 'hack/esbuild.json'), 'utf8')),
  entryPoints: [path.join(root, 'cmd/coffer/main.ts')],
  outfile,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  define: { __COFFER_VERSION__: JSON.stringify(version), __COFFER_COMMIT__: JSON.stringify(commit()) },
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
});
// V8 keeps a source with a single character beyond Latin-1 as two bytes per character: megabytes of memory for a typographic dot.
const exotic = /.{0,40}[^\x00-\xff].{0,20}/.exec(fs.readFileSync(outfile, 'utf8'))?.[0];
if (exotic !== undefined) console.warn(`the bundle is not Latin-1, which doubles the memory of its source: ${exotic}`);
fs.chmodSync(outfile, 0o755);
console.log(`built dist/coffer.mjs (${Math.round(fs.statSync(outfile).size / 1024)} KiB) in ${Math.round(performance.now() - started)} ms`);
