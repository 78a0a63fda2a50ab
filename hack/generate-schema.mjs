#!/usr/bin/env node
// Generates packages/api/generated/schema.ts and descriptions.ts from packages/api/schema/facts/*.txt (shapes) and from the dev
// dependency @kubernetes/client-node (descriptions; its field names must agree with the facts). The output is not committed.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const factsDir = path.join(root, 'packages/api/schema/facts');
const models = path.join(root, 'node_modules/@kubernetes/client-node/dist/gen/models');
const generated = path.join(root, 'packages/api/generated');

/** Flags of a field; `schema-table.ts` reads them. */
const REQUIRED = 1;
const OMIT_EMPTY = 2;
const OMIT_ZERO = 4;
const POINTER = 8;
const ATOMIC = 16;

const scalars = new Map([
  ['string', 's'],
  ['int32', 'i'],
  ['int64', 'l'],
  ['float64', 'n'],
  ['bool', 'b'],
  ['[]byte', 'y'],
]);
const specials = new Map([
  ['types.UID', 's'],
  ['types.NodeName', 's'],
  ['resource.Quantity', 'q'],
  ['intstr.IntOrString', 'x'],
  ['meta.Time', 't'],
  ['meta.MicroTime', 'm'],
  ['meta.Duration', 'd'],
  ['meta.FieldsV1', 'f'],
  ['runtime.RawExtension', 'r'],
  ['interface{}', 'a'],
]);

/** package short name → { openapi, aliases, structs } */
const packages = new Map();
for (const file of fs.readdirSync(factsDir).sort()) readFacts(path.join(factsDir, file));

function readFacts(file) {
  let pkg;
  let struct;
  for (const line of fs.readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const words = line.trim().split(' ');
    if (line.startsWith('  ...'))
      struct.embedded.push({ type: words[0].slice(3), number: Number(words[2] ?? 0), at: struct.fields.length });
    else if (line.startsWith('  ')) struct.fields.push(readField(words));
    else if (words[0] === 'package') {
      const [group, version] = words[3].includes('/') ? words[3].split('/') : ['', words[3]];
      pkg = { name: words[1], openapi: words[2], group, version, aliases: new Map(), structs: new Map() };
      packages.set(pkg.name, pkg);
    } else if (words[0] === 'type') pkg.aliases.set(words[1], words[2]);
    else {
      struct = { name: words[1], kind: words[0] === 'kind', atomic: words[2] === 'atomic', fields: [], embedded: [] };
      pkg.structs.set(struct.name, struct);
    }
  }
}

function readField(words) {
  const name = words[0].replace(/\??\??:$/, '');
  const field = { name, goType: words[1], number: 0, flags: 0, extra: {} };
  if (words[0].endsWith('?:')) field.flags |= OMIT_EMPTY;
  if (words[0].endsWith('??:')) field.flags |= OMIT_ZERO;
  if (field.goType.startsWith('*')) {
    field.flags |= POINTER;
    field.goType = field.goType.slice(1);
  }
  for (let i = 2; i < words.length; i++) {
    const [, word, argument] = /^([\w=-]+)(?:\((.*)\))?$/.exec(words[i]);
    if (word === '=') field.number = Number(words[++i]);
    else if (word === 'required') field.flags |= REQUIRED;
    else if (word === 'atomic') field.flags |= ATOMIC;
    else if (word === 'set') field.extra.l = 'set';
    else if (word === 'atomic-list') field.extra.l = 'atomic';
    else if (word === 'map') Object.assign(field.extra, { l: 'map', k: argument.split(',') });
    else if (word === 'patch') field.extra.p = argument.split(',');
    else if (word === 'key') field.extra.m = argument;
    else throw new Error(`unknown word ${words[i]}`);
  }
  return field;
}

/** The struct or alias a Go type name stands for, seen from a package. */
function resolve(pkg, type) {
  const [prefix, name] = type.includes('.') ? type.split('.') : [pkg.name, type];
  const target = packages.get(prefix);
  if (target === undefined) throw new Error(`unknown package in ${type}`);
  if (target.structs.has(name)) return { struct: `${target.openapi}.${name}`, go: `v1.${name}` };
  if (target.aliases.has(name)) return { alias: target.aliases.get(name), target, go: `v1.${name}` };
  throw new Error(`unknown type ${type} in ${pkg.name}`);
}

/** Compact code of a type (see `schema-table.ts`) and what Go's reflection prints for it. */
function typeOf(pkg, type) {
  if (type === 'interface{}') return { code: 'a', go: 'interface {}' };
  if (scalars.has(type)) return { code: scalars.get(type), go: type === '[]byte' ? '[]uint8' : type };
  if (specials.has(type)) return { code: specials.get(type), go: type.replace(/^meta\./, 'v1.') };
  if (type.startsWith('[]')) {
    const element = typeOf(pkg, type.slice(2));
    return { code: `[${element.code}`, go: `[]${element.go}` };
  }
  const map = /^map\[([\w.]+)\](.+)$/.exec(type);
  if (map) {
    const value = typeOf(pkg, map[2]);
    const key = map[1] === 'string' ? 'string' : resolve(pkg, map[1]).go;
    return { code: `{${value.code}`, go: `map[${key}]${value.go}` };
  }
  const found = resolve(pkg, type);
  if (found.struct !== undefined) return { code: `#${found.struct}`, go: found.go };
  return { code: typeOf(found.target, found.alias).code, go: found.go };
}

/** What the reader of the table assumes when no Go type is given. Must agree with `defaultGoType` of `schema-table.ts`. */
function defaultGoType(code) {
  const plain = { s: 'string', i: 'int32', l: 'int64', n: 'float64', b: 'bool', y: '[]uint8', a: 'interface {}' };
  const others = { q: 'resource.Quantity', x: 'intstr.IntOrString', t: 'v1.Time', m: 'v1.MicroTime', d: 'v1.Duration', f: 'v1.FieldsV1' };
  if (code === 'r') return 'runtime.RawExtension';
  if (code.startsWith('#')) return `v1.${code.split('.').at(-1)}`;
  if (code.startsWith('[')) return `[]${defaultGoType(code.slice(1))}`;
  if (code.startsWith('{')) return `map[string]${defaultGoType(code.slice(1))}`;
  return plain[code] ?? others[code];
}

function compactField(pkg, field, embeddedIndex) {
  const { code, go } = typeOf(pkg, field.goType);
  const extra = { ...field.extra };
  if (go !== defaultGoType(code)) extra.t = go;
  if (embeddedIndex >= 0) extra.v = embeddedIndex;
  const row = [field.name, code, field.number, field.flags];
  return Object.keys(extra).length === 0 ? row : [...row, extra];
}

/** Fields in the order in which Go writes them, embedded structs opened in place. */
function compactStruct(pkg, struct) {
  const fields = [];
  const embedded = [];
  const open = (at) => {
    for (const e of struct.embedded.filter((x) => x.at === at)) {
      const { struct: full } = resolve(pkg, e.type);
      const [owner, name] = e.type.includes('.') ? e.type.split('.') : [pkg.name, e.type];
      const target = packages.get(owner);
      const index = embedded.length;
      embedded.push([name, e.number, full]);
      for (const field of target.structs.get(name).fields) fields.push(compactField(target, field, index));
    }
  };
  struct.fields.forEach((field, i) => {
    open(i);
    fields.push(compactField(pkg, field, -1));
  });
  open(struct.fields.length);
  return {
    f: fields,
    ...(embedded.length > 0 ? { e: embedded } : {}),
    ...(struct.atomic ? { a: 1 } : {}),
    ...(struct.kind ? { g: [pkg.group, pkg.version, struct.name] } : {}),
  };
}

/** The class of client-node for a struct, when it has one. */
function modelFile(pkg, struct) {
  const prefix = pkg.name[0].toUpperCase() + pkg.name.slice(1);
  const names = [`${prefix}V1${struct.name}`, `V1${struct.name}`];
  return names.map((name) => path.join(models, `${name}.d.ts`)).find((file) => fs.existsSync(file));
}

/** Comments have quotes and backslashes escaped, and no end of a comment. */
const clean = (text) =>
  text
    .replace(/\\(["'\\])/g, '$1')
    .replaceAll('*_/', '*/')
    .trim();

/** [description of the type, description of each field by JSON name]. */
function describe(pkg, struct, rows) {
  const file = modelFile(pkg, struct);
  if (file === undefined) return undefined;
  const text = fs.readFileSync(file, 'utf8');
  const type = /\/\*\*\n\* ([^\n]*)\n\*\/\nexport declare class/.exec(text)?.[1] ?? '';
  const source = fs.readFileSync(file.replace('.d.ts', '.js'), 'utf8');
  const baseNames = new Map([...source.matchAll(/"name": "([^"]+)",\s*"baseName": "([^"]+)"/g)].map((m) => [m[1], m[2]]));
  const fields = {};
  for (const m of text.matchAll(/ {4}\/\*\*\n {4}\* ([^\n]*)\n {4}\*\/\n {4}'([^']+)'/g)) {
    const field = baseNames.get(m[2]) ?? m[2];
    fields[field] = withLineBreaks(`${pkg.openapi}.${struct.name}.${field}`, clean(m[1]));
  }
  const ours = rows.map((row) => row[0]).sort();
  const theirs = [...baseNames.values()].sort();
  if (ours.join() !== theirs.join()) {
    throw new Error(`${pkg.openapi}.${struct.name}: the facts name ${ours}, the generated models ${theirs}`);
  }
  return [withLineBreaks(`${pkg.openapi}.${struct.name}`, clean(type)), fields];
}

/** Struct, or struct and field → where its documentation has line breaks; see `extract-line-breaks.mjs`. */
const lineBreaks = new Map();
for (const line of fs.readFileSync(path.join(root, 'packages/api/schema/line-breaks.txt'), 'utf8').trimEnd().split('\n')) {
  const [name, ...breaks] = line.split(' ');
  lineBreaks.set(
    name,
    breaks.map((text) => /^(\d+)([nst]+)$/.exec(text)).map((m) => ({ words: Number(m[1]), space: m[2] })),
  );
}

function withLineBreaks(name, text) {
  const parts = text.split(/(\s+)/);
  for (const { words, space } of lineBreaks.get(name) ?? []) {
    if (words * 2 - 1 >= parts.length) throw new Error(`${name}: its documentation is shorter than its line breaks`);
    parts[words * 2 - 1] = space.replaceAll('n', '\n').replaceAll('t', '\t').replaceAll('s', ' ');
  }
  return parts.join('');
}

const structs = {};
const descriptions = {};
for (const pkg of packages.values()) {
  for (const struct of pkg.structs.values()) {
    const name = `${pkg.openapi}.${struct.name}`;
    structs[name] = compactStruct(pkg, struct);
    const described = describe(pkg, struct, structs[name].f);
    if (described !== undefined) descriptions[name] = described;
  }
}

fs.mkdirSync(generated, { recursive: true });
const asModule = (script, constant, value) =>
  `// Generated by hack/${script}; do not edit.\n\n/** JSON, parsed on first use: cheaper at start-up than an object literal of that size. */\nexport const ${constant} =\n  ${JSON.stringify(JSON.stringify(value))};\n`;
fs.writeFileSync(path.join(generated, 'schema.ts'), asModule('generate-schema.mjs', 'schemaJson', structs));
fs.writeFileSync(path.join(generated, 'descriptions.ts'), asModule('generate-schema.mjs', 'descriptionsJson', descriptions));
