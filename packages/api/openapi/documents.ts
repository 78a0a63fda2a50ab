import { createHash } from 'node:crypto';
import type { Catalog } from '../catalog/catalog.ts';
import type { ResourceInfo } from '../catalog/resource.ts';
import { descriptionsJson } from '../generated/descriptions.ts';
import { schemaJson } from '../generated/schema.ts';
import { type BuiltInSchemaTable, builtInSchemaTable } from '../schema/schema-table.ts';
import { encodeOpenApiV2 } from './gnostic.ts';
import { resourcePaths } from './operations.ts';
import { type Dialect, type GroupVersionName, SchemaCollector } from './type-schemas.ts';

/**
 * The OpenAPI documents of the server: `/openapi/v3` (an index and one document per group version, named by its hash) and
 * `/openapi/v2` (one document for everything). Each is built on first use and kept. Their hashes are made from what they are built
 * from, so that the index does not have to build them all.
 */
export interface OpenApiDocument {
  readonly body: Uint8Array;
  /** For `ETag`, without the quotes. */
  readonly etag: string;
}

/** Part of every hash; to be raised when the code that shapes the documents changes what it writes. */
const layout = 1;

export interface OpenApiDeps {
  readonly catalog: Catalog;
  /** Kubernetes version for `info.version`: `v1.36.0`. */
  readonly version: string;
  readonly table?: BuiltInSchemaTable;
}

export class OpenApiDocuments {
  readonly #catalog: Catalog;
  readonly #version: string;
  readonly #table: BuiltInSchemaTable;
  readonly #built = new Map<string, OpenApiDocument>();
  #base: string | undefined;

  constructor(deps: OpenApiDeps) {
    this.#catalog = deps.catalog;
    this.#version = deps.version;
    this.#table = deps.table ?? builtInSchemaTable();
  }

  /** `/openapi/v3`: where the documents are. */
  index(): OpenApiDocument {
    return this.#once('index', () => {
      const paths: Record<string, object> = {};
      for (const name of this.v3Names()) {
        paths[name] = { serverRelativeURL: `/openapi/v3/${name}?hash=${this.hash(name)}` };
      }
      return json({ paths });
    });
  }

  /** Names of the version 3 documents: `api/v1`, `apis/apps/v1`, …, sorted. */
  v3Names(): string[] {
    const names = this.#groupVersions().map(({ group, version }) => (group === '' ? `api/${version}` : `apis/${group}/${version}`));
    return names.sort();
  }

  /** What a request for a document names in its query to get an answer that may be cached for good. */
  hash(name: string): string {
    const groupVersion = parseName(name);
    const rows =
      groupVersion === undefined ? this.#catalog.resources : this.#catalog.inGroupVersion(groupVersion.group, groupVersion.version);
    this.#base ??= createHash('sha512').update(schemaJson).update(descriptionsJson).digest('hex');
    const facts = JSON.stringify([layout, this.#base, this.#version, name, this.#groupVersions(), rows]);
    return createHash('sha512').update(facts).digest('hex').toUpperCase();
  }

  /** `/openapi/v3/<name>`; undefined when there is no such document. */
  v3(name: string): OpenApiDocument | undefined {
    const groupVersion = parseName(name);
    if (groupVersion === undefined) return undefined;
    const resources = this.#catalog.inGroupVersion(groupVersion.group, groupVersion.version);
    if (resources.length === 0) return undefined;
    return this.#once(name, () => json(this.#v3Tree(resources)));
  }

  /** `/openapi/v2` in JSON. */
  v2(): OpenApiDocument {
    return this.#once('v2', () => json(this.#v2Tree()));
  }

  /** `/openapi/v2` in gnostic's protobuf form. */
  v2Protobuf(): OpenApiDocument {
    return this.#once('v2-protobuf', () => encodeOpenApiV2(this.#v2Tree()));
  }

  #v3Tree(resources: readonly ResourceInfo[]): object {
    const { paths, schemas } = this.#content(resources, 'v3');
    return {
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: this.#version },
      paths,
      components: { schemas, securitySchemes: { BearerToken: bearerToken } },
    };
  }

  #v2Tree(): object {
    const { paths, schemas } = this.#content(this.#catalog.resources, 'v2');
    return {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: this.#version },
      paths,
      definitions: schemas,
      securityDefinitions: { BearerToken: bearerToken },
      security: [{ BearerToken: [] }],
    };
  }

  #content(resources: readonly ResourceInfo[], dialect: Dialect): { paths: Record<string, object>; schemas: Record<string, object> } {
    const collector = new SchemaCollector(this.#table, dialect, this.#groupVersions());
    const paths: Record<string, object> = {};
    for (const resource of resources) {
      Object.assign(paths, resourcePaths(resource, { table: this.#table, schemas: collector, dialect }));
    }
    const sorted = Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1)));
    return { paths: sorted, schemas: collector.schemas() };
  }

  #groupVersions(): GroupVersionName[] {
    return this.#catalog.groups().flatMap((group) => group.versions.map((version) => ({ group: group.name, version })));
  }

  #once(key: string, build: () => Uint8Array): OpenApiDocument {
    const known = this.#built.get(key);
    if (known !== undefined) return known;
    const body = build();
    const document = { body, etag: this.hash(key) };
    this.#built.set(key, document);
    return document;
  }
}

const bearerToken = { description: 'Bearer Token authentication', in: 'header', name: 'authorization', type: 'apiKey' };

function parseName(name: string): GroupVersionName | undefined {
  const [root, first = '', second = '', ...rest] = name.split('/');
  if (rest.length > 0) return undefined;
  if (root === 'api' && second === '') return { group: '', version: first };
  return root === 'apis' && first !== '' ? { group: first, version: second } : undefined;
}

function json(document: object): Uint8Array {
  return Buffer.from(JSON.stringify(document));
}
