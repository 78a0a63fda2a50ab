#!/usr/bin/env node
// Writes packages/api/schema/line-breaks.txt: where the documentation of types and fields has line breaks, which the generated
// client has lost. One documentation per line: its struct and field, and for each break the number of the words before it and what
// stands there (n for a line break, t for a tab, s for a blank). Run it by hand when a new Kubernetes release is taken in; its
// output is committed.
//   node hack/extract-line-breaks.mjs <directory that contains k8s.io/api and k8s.io/apimachinery>
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const source = process.argv[2];
if (source === undefined) {
  console.error('usage: extract-line-breaks.mjs <directory that contains k8s.io/api and k8s.io/apimachinery>');
  process.exit(2);
}
const schemaDir = path.join(path.dirname(fileURLToPath(import.meta.url)), '../packages/api/schema');
const lines = [];
for (const file of fs.readdirSync(path.join(schemaDir, 'facts')).sort()) {
  const text = fs.readFileSync(path.join(schemaDir, 'facts', file), 'utf8');
  const [, , openapi] = text.slice(0, text.indexOf('\n')).split(' ');
  const docs = path.join(
    source,
    openapi
      .replace(/^io\.k8s\./, 'k8s_io.')
      .replaceAll('.', '/')
      .replace('k8s_io', 'k8s.io'),
  );
  const structs = new Set([...text.matchAll(/^(?:kind|struct) (\w+)/gm)].map((m) => m[1]));
  const generated = path.join(docs, 'types_swagger_doc_generated.go');
  if (fs.existsSync(generated)) readDocs(fs.readFileSync(generated, 'utf8'), openapi, structs);
}
fs.writeFileSync(path.join(schemaDir, 'line-breaks.txt'), `${lines.join('\n')}\n`);

function readDocs(text, openapi, structs) {
  for (const [, struct, body] of text.matchAll(/^var map_(\w+) = map\[string\]string\{\n([\s\S]*?)^\}/gm)) {
    if (!structs.has(struct)) continue;
    for (const [, field, quoted] of body.matchAll(/^\s+"([^"]*)":\s+("(?:[^"\\]|\\.)*"),$/gm)) {
      const breaks = lineBreaks(JSON.parse(quoted));
      if (breaks.length > 0) lines.push([`${openapi}.${struct}${field === '' ? '' : `.${field}`}`, ...breaks].join(' '));
    }
  }
}

function lineBreaks(text) {
  const parts = text.trim().split(/(\s+)/);
  const breaks = [];
  for (let i = 1; i < parts.length; i += 2) {
    if (parts[i].includes('\n')) breaks.push(`${(i + 1) / 2}${parts[i].replaceAll('\n', 'n').replaceAll('\t', 't').replaceAll(' ', 's')}`);
  }
  return breaks;
}
