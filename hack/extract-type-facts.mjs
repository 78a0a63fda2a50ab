#!/usr/bin/env node
// Writes packages/api/schema/facts/*.txt: the shape of every Go type that a served kind reaches, read from the type declarations
// of the Kubernetes modules. Run it by hand when a new Kubernetes release is taken in; its output is committed.
//   node hack/extract-type-facts.mjs <directory that contains k8s.io/api and k8s.io/apimachinery>
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const source = process.argv[2];
if (source === undefined) {
  console.error('usage: extract-type-facts.mjs <directory that contains k8s.io/api and k8s.io/apimachinery>');
  process.exit(2);
}
const outDir = path.join(path.dirname(fileURLToPath(import.meta.url)), '../packages/api/schema/facts');

const meta = 'k8s.io/apimachinery/pkg/apis/meta/v1';
/** Go package → OpenAPI prefix, API group version, and the kinds to start from. */
const packages = {
  'k8s.io/api/core/v1': {
    openapi: 'io.k8s.api.core.v1',
    groupVersion: 'v1',
    kinds:
      'Binding ConfigMap Endpoints Event LimitRange Namespace Node NodeProxyOptions Pod PodAttachOptions PodExecOptions PodLogOptions PodPortForwardOptions PodProxyOptions PodTemplate ReplicationController ResourceQuota Secret ServiceAccount Service ServiceProxyOptions',
  },
  'k8s.io/api/apps/v1': { openapi: 'io.k8s.api.apps.v1', groupVersion: 'apps/v1', kinds: 'Deployment ReplicaSet' },
  'k8s.io/api/autoscaling/v1': { openapi: 'io.k8s.api.autoscaling.v1', groupVersion: 'autoscaling/v1', kinds: 'Scale' },
  'k8s.io/api/authentication/v1': {
    openapi: 'io.k8s.api.authentication.v1',
    groupVersion: 'authentication.k8s.io/v1',
    kinds: 'SelfSubjectReview TokenRequest TokenReview',
  },
  'k8s.io/api/authorization/v1': {
    openapi: 'io.k8s.api.authorization.v1',
    groupVersion: 'authorization.k8s.io/v1',
    kinds: 'LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview',
  },
  'k8s.io/api/certificates/v1': {
    openapi: 'io.k8s.api.certificates.v1',
    groupVersion: 'certificates.k8s.io/v1',
    kinds: 'CertificateSigningRequest',
  },
  'k8s.io/api/coordination/v1': { openapi: 'io.k8s.api.coordination.v1', groupVersion: 'coordination.k8s.io/v1', kinds: 'Lease' },
  'k8s.io/api/discovery/v1': { openapi: 'io.k8s.api.discovery.v1', groupVersion: 'discovery.k8s.io/v1', kinds: 'EndpointSlice' },
  'k8s.io/api/events/v1': { openapi: 'io.k8s.api.events.v1', groupVersion: 'events.k8s.io/v1', kinds: 'Event' },
  'k8s.io/api/node/v1': { openapi: 'io.k8s.api.node.v1', groupVersion: 'node.k8s.io/v1', kinds: 'RuntimeClass' },
  'k8s.io/api/policy/v1': { openapi: 'io.k8s.api.policy.v1', groupVersion: 'policy/v1', kinds: 'Eviction PodDisruptionBudget' },
  'k8s.io/api/rbac/v1': {
    openapi: 'io.k8s.api.rbac.v1',
    groupVersion: 'rbac.authorization.k8s.io/v1',
    kinds: 'ClusterRole ClusterRoleBinding Role RoleBinding',
  },
  'k8s.io/api/scheduling/v1': {
    openapi: 'io.k8s.api.scheduling.v1',
    groupVersion: 'scheduling.k8s.io/v1',
    kinds: 'PriorityClass',
  },
  [meta]: {
    openapi: 'io.k8s.apimachinery.pkg.apis.meta.v1',
    groupVersion: 'meta.k8s.io/v1',
    kinds:
      'APIGroup APIGroupList APIResourceList APIVersions CreateOptions DeleteOptions GetOptions ListOptions PartialObjectMetadata PartialObjectMetadataList PatchOptions Status Table UpdateOptions WatchEvent',
  },
};
/** Types with a JSON form of their own; the generator knows them by these names. */
const special = new Set([
  'meta.Time',
  'meta.MicroTime',
  'meta.Duration',
  'meta.FieldsV1',
  'resource.Quantity',
  'intstr.IntOrString',
  'runtime.RawExtension',
  'runtime.Object',
  'types.UID',
  'types.NodeName',
  'interface{}',
]);
const primitives = new Set(['string', 'bool', 'int', 'int32', 'int64', 'uint8', 'byte', 'float64', 'uint32', 'uint64', 'uint16']);

/** Declarations of one Go package: name → { kind: 'struct', fields, tags } or { kind: 'alias', type }. */
function readPackage(name) {
  const dir = path.join(source, name);
  const found = new Map();
  const files = fs.readdirSync(dir).filter((f) => f.endsWith('.go') && !f.endsWith('_test.go') && !f.includes('generated'));
  for (const file of files) readFile(fs.readFileSync(path.join(dir, file), 'utf8'), found);
  return found;
}

function readFile(text, found) {
  const imports = new Map();
  for (const m of text.matchAll(/^\s+(?:(\w+) )?"(k8s\.io\/[^"]+)"$/gm)) {
    const parts = m[2].split('/');
    imports.set(m[1] ?? parts.at(-1), m[2]);
  }
  let comments = [];
  const lines = text.replace(/\/\*[\s\S]*?\*\//g, '').split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line.startsWith('//')) {
      comments.push(line);
      continue;
    }
    const struct = /^type (\w+) struct \{$/.exec(line);
    if (struct) {
      const fields = [];
      let fieldComments = [];
      for (i++; lines[i] !== '}'; i++) {
        const inner = lines[i].trim();
        if (inner.startsWith('//')) fieldComments.push(inner);
        else if (inner !== '') {
          const field = readField(inner, fieldComments, imports);
          if (field !== undefined) fields.push(field);
          fieldComments = [];
        }
      }
      found.set(struct[1], { kind: 'struct', fields, tags: tagsOf(comments) });
    }
    const alias = /^type (\w+) =? ?(\S+)$/.exec(line);
    if (alias && alias[2] !== 'struct') found.set(alias[1], { kind: 'alias', type: qualify(alias[2], imports) });
    // A blank line separates a detached comment block, whose markers still belong to the type in generated documentation.
    if (line !== '') comments = [];
  }
}

function tagsOf(comments) {
  const tags = new Map();
  for (const line of comments) {
    const m = /^\/\/\s*\+([\w:]+)(?:=(\S*))?/.exec(line);
    if (m) tags.set(m[1], [...(tags.get(m[1]) ?? []), m[2] ?? '']);
  }
  return tags;
}

function readField(line, comments, imports) {
  const m = /^(?:(\w+)\s+)?(\S+)\s+`(.*)`/.exec(line);
  // Fields without tags belong to types that are no API types.
  if (!m) return undefined;
  const tag = (name) => new RegExp(`(?:^| )${name}:"([^"]*)"`).exec(m[3])?.[1];
  const json = tag('json')?.split(',') ?? [];
  if (json[0] === '-') return undefined;
  const type = qualify(m[2], imports);
  const goName = m[1] ?? m[2].split('.').at(-1);
  const number = /^\w+,(\d+)/.exec(tag('protobuf') ?? '')?.[1];
  return {
    goName,
    embedded: json[0] === '' && json.includes('inline'),
    json: json[0],
    omitEmpty: json.includes('omitempty'),
    omitZero: json.includes('omitzero'),
    type,
    number,
    strategy: tag('patchStrategy'),
    mergeKey: tag('patchMergeKey'),
    tags: tagsOf(comments),
  };
}

function qualify(type, imports) {
  return type.replace(/\b(\w+)\.(\w+)/g, (_, alias, name) => {
    const pkg = imports.get(alias) ?? alias;
    if (pkg === meta) return `meta.${name}`;
    if (packages[pkg] !== undefined) return `${path.basename(path.dirname(pkg))}.${name}`;
    return `${pkg.split('/').at(-1)}.${name}`;
  });
}

const shortName = (pkg) => (pkg === meta ? 'meta' : path.basename(path.dirname(pkg)));
const byShortName = new Map(Object.keys(packages).map((pkg) => [shortName(pkg), pkg]));
const declarations = new Map(Object.keys(packages).map((pkg) => [pkg, readPackage(pkg)]));
const reached = new Map(Object.keys(packages).map((pkg) => [pkg, new Set()]));

function reach(pkg, name) {
  const seen = reached.get(pkg);
  if (seen.has(name)) return;
  const declaration = declarations.get(pkg).get(name);
  if (declaration === undefined) throw new Error(`${pkg} declares no ${name}`);
  seen.add(name);
  const types = declaration.kind === 'struct' ? declaration.fields.map((f) => f.type) : [declaration.type];
  for (const type of types) for (const m of type.replaceAll('interface{}', '').matchAll(/[\w.]+/g)) reachType(pkg, m[0]);
}

function reachType(pkg, type) {
  if (primitives.has(type) || type === 'map' || special.has(type)) return;
  if (pkg === meta && special.has(`meta.${type}`)) return;
  const [prefix, name] = type.includes('.') ? type.split('.') : [shortName(pkg), type];
  const target = byShortName.get(prefix);
  if (target === undefined) throw new Error(`unknown package of ${type} in ${pkg}`);
  reach(target, name);
}

for (const [pkg, { kinds }] of Object.entries(packages)) for (const kind of kinds.split(' ')) reach(pkg, kind);
// Lists are served for every kind that has one.
for (const [pkg, { kinds }] of Object.entries(packages)) {
  for (const kind of kinds.split(' ')) if (declarations.get(pkg).has(`${kind}List`)) reach(pkg, `${kind}List`);
}

function fieldLine(pkg, field) {
  let type = field.type.replace(/\bmap\[([\w.]+)\]/g, 'map[$1]');
  if (pkg === meta) type = type.replace(/(?<![\w.])(Time|MicroTime|Duration|FieldsV1)\b/g, 'meta.$1');
  if (field.embedded) return `  ...${type}${field.number === undefined ? '' : ` = ${field.number}`}`;
  const words = [`  ${field.json}${field.omitZero ? '??' : field.omitEmpty ? '?' : ''}: ${type}`];
  if (field.number !== undefined) words.push(`= ${field.number}`);
  if (field.tags.has('required') || (!field.omitEmpty && !field.tags.has('optional'))) words.push('required');
  const listType = field.tags.get('listType')?.[0];
  if (listType === 'map') words.push(`map(${field.tags.get('listMapKey').join(',')})`);
  else if (listType === 'set') words.push('set');
  else if (listType === 'atomic') words.push('atomic-list');
  if ((field.tags.get('mapType') ?? field.tags.get('structType'))?.[0] === 'atomic') words.push('atomic');
  if (field.strategy !== undefined) words.push(`patch(${field.strategy})`);
  if (field.mergeKey !== undefined) words.push(`key(${field.mergeKey})`);
  return words.join(' ');
}

for (const [pkg, { openapi, groupVersion, kinds }] of Object.entries(packages)) {
  const lines = [`package ${shortName(pkg)} ${openapi} ${groupVersion}`];
  const roots = new Set(kinds.split(' ').flatMap((kind) => [kind, `${kind}List`]));
  const names = [...reached.get(pkg)].sort();
  for (const name of names) {
    const declaration = declarations.get(pkg).get(name);
    if (declaration.kind === 'alias') lines.push(`type ${name} ${declaration.type}`);
  }
  for (const name of names) {
    const declaration = declarations.get(pkg).get(name);
    if (declaration.kind !== 'struct') continue;
    const words = [roots.has(name) ? 'kind' : 'struct', name];
    if ((declaration.tags.get('mapType') ?? declaration.tags.get('structType'))?.[0] === 'atomic') words.push('atomic');
    lines.push(words.join(' '), ...declaration.fields.map((field) => fieldLine(pkg, field)));
  }
  fs.mkdirSync(outDir, { recursive: true });
  fs.writeFileSync(path.join(outDir, `${shortName(pkg)}.txt`), `${lines.join('\n')}\n`);
}
