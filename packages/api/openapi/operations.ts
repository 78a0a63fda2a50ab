import type { ResourceInfo, SubresourceInfo } from '../catalog/resource.ts';
import type { BuiltInSchemaTable } from '../schema/schema-table.ts';
import { type Dialect, patchSchema, type SchemaCollector } from './type-schemas.ts';

/**
 * The paths of a resource as OpenAPI operations. What clients look for is exact: paths, methods, `x-kubernetes-action`,
 * `x-kubernetes-group-version-kind`, parameters and content types.
 */
export interface PathDeps {
  readonly table: BuiltInSchemaTable;
  readonly schemas: SchemaCollector;
  readonly dialect: Dialect;
}

interface Target {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly description: string;
  readonly type: 'string' | 'boolean' | 'integer';
}

const text = (name: string, description: string): Parameter => ({ name, in: 'query', description, type: 'string' });
const flag = (name: string, description: string): Parameter => ({ name, in: 'query', description, type: 'boolean' });
const count = (name: string, description: string): Parameter => ({ name, in: 'query', description, type: 'integer' });

const pretty = text('pretty', "If 'true', then the output is pretty printed.");
const dryRun = text('dryRun', 'Runs all stages of the request but the last: nothing is stored. The only valid value is All.');
const fieldManager = text('fieldManager', 'Name of the actor or program that makes this change.');
const fieldValidation = text('fieldValidation', 'What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.');
const force = flag('force', 'Takes over fields that other managers own. Only for apply requests.');
const listParameters: readonly Parameter[] = [
  flag('allowWatchBookmarks', 'Asks a watch for BOOKMARK events.'),
  text('continue', 'Continues a list where an earlier answer with the same parameters ended.'),
  text('fieldSelector', 'Restricts the list to objects with these field values.'),
  text('labelSelector', 'Restricts the list to objects with these labels.'),
  count('limit', 'The largest number of items in one answer.'),
  text('resourceVersion', 'The version that the answer must have at least or exactly, see resourceVersionMatch.'),
  text('resourceVersionMatch', 'How resourceVersion is meant: NotOlderThan or Exact.'),
  flag('sendInitialEvents', 'Starts a watch with the objects that exist.'),
  count('timeoutSeconds', 'Ends a list or watch after this time.'),
  flag('watch', 'Sends changes as a stream of events instead of a list.'),
];
const deleteParameters: readonly Parameter[] = [
  dryRun,
  count('gracePeriodSeconds', 'Seconds before the object is deleted; zero means at once.'),
  flag('ignoreStoreReadErrorWithClusterBreakingPotential', 'Deletes an object that cannot be read from the store.'),
  flag('orphanDependents', 'Deprecated: use propagationPolicy.'),
  text('propagationPolicy', 'What happens to dependents: Orphan, Background or Foreground.'),
];
const namespaceParameter: Parameter = {
  name: 'namespace',
  in: 'path',
  description: 'object name and auth scope, such as for teams and projects',
  type: 'string',
};

const pathParameter: Parameter = { name: 'path', in: 'path', description: 'path to the resource', type: 'string' };
const proxyMethods = ['get', 'post', 'put', 'delete', 'options', 'head', 'patch'] as const;

const patchTypes = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];
const answerTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const bodyTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];

/** Path templates and their items, for one resource with its subresources. */
export function resourcePaths(resource: ResourceInfo, deps: PathDeps): Record<string, object> {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced ? '/namespaces/{namespace}' : '';
  const collection = `${root}${scope}/${resource.resource}`;
  const item = `${collection}/{name}`;
  const paths: Record<string, object> = {};
  const builder = new OperationBuilder(resource, deps);

  paths[collection] = builder.collection();
  if (resource.verbs.includes('get')) paths[item] = builder.item();
  for (const subresource of resource.subresources) {
    paths[`${item}/${subresource.name}`] = builder.subresource(subresource);
    if (subresource.name === 'proxy') paths[`${item}/proxy/{path}`] = builder.subresource(subresource, true);
  }
  if (resource.namespaced && resource.verbs.includes('list')) paths[`${root}/${resource.resource}`] = builder.acrossNamespaces();
  return paths;
}

class OperationBuilder {
  readonly #resource: ResourceInfo;
  readonly #deps: PathDeps;
  readonly #kind: Target;
  readonly #scopeParameters: readonly Parameter[];
  readonly #nameParameter: Parameter;
  readonly #tag: string;
  readonly #idPrefix: string;
  readonly #idName: string;

  constructor(resource: ResourceInfo, deps: PathDeps) {
    this.#resource = resource;
    this.#deps = deps;
    this.#kind = { group: resource.group, version: resource.version, kind: resource.kind };
    this.#scopeParameters = resource.namespaced ? [namespaceParameter] : [];
    this.#nameParameter = { name: 'name', in: 'path', description: `name of the ${resource.kind}`, type: 'string' };
    const words = (resource.group === '' ? 'core' : resource.group.replace(/\.k8s\.io$/, '')).split('.');
    const group = words.map(capital).join('');
    this.#tag = `${group[0]?.toLowerCase()}${group.slice(1)}_${resource.version}`;
    this.#idPrefix = `${group}${capital(resource.version)}`;
    this.#idName = `${resource.namespaced ? 'Namespaced' : ''}${resource.kind}`;
  }

  collection(): object {
    const { verbs, kind, listKind } = this.#resource;
    const listed = { ...this.#kind, kind: listKind };
    return this.#pathItem([...this.#scopeParameters, pretty], {
      ...(verbs.includes('list')
        ? { get: this.#operation('list', this.#idName, 'list', `list or watch objects of kind ${kind}`, listParameters, undefined, listed) }
        : {}),
      ...(verbs.includes('create')
        ? {
            post: this.#operation(
              'create',
              this.#idName,
              'post',
              `create a ${kind}`,
              [dryRun, fieldManager, fieldValidation],
              this.#kind,
              this.#kind,
            ),
          }
        : {}),
      ...(verbs.includes('deletecollection')
        ? {
            delete: this.#operation(
              'delete',
              `Collection${this.#idName}`,
              'deletecollection',
              `delete collection of ${kind}`,
              [...listParameters.filter((p) => p.name !== 'watch' && p.name !== 'allowWatchBookmarks'), ...deleteParameters],
              'delete-options',
              'status',
            ),
          }
        : {}),
    });
  }

  item(): object {
    const { kind } = this.#resource;
    return this.#pathItem([this.#nameParameter, ...this.#scopeParameters, pretty], {
      get: this.#operation('read', this.#idName, 'get', `read the specified ${kind}`, [], undefined, this.#kind),
      ...this.#writes(this.#idName, kind, this.#resource.verbs, this.#kind),
      ...(this.#resource.verbs.includes('delete')
        ? { delete: this.#operation('delete', this.#idName, 'delete', `delete a ${kind}`, deleteParameters, 'delete-options', 'status') }
        : {}),
    });
  }

  acrossNamespaces(): object {
    const { kind, listKind } = this.#resource;
    const operation = this.#operation('list', `${kind}ForAllNamespaces`, 'list', `list or watch objects of kind ${kind}`, [], undefined, {
      ...this.#kind,
      kind: listKind,
    });
    return this.#pathItem([...listParameters, pretty], { get: operation });
  }

  /** `withPath`: what is behind the subresource as well. */
  subresource(subresource: SubresourceInfo, withPath = false): object {
    const { kind } = this.#resource;
    const target: Target = {
      group: subresource.group ?? this.#resource.group,
      version: subresource.version ?? this.#resource.version,
      kind: subresource.kind,
    };
    const id = `${this.#idName}${capital(subresource.name)}${withPath ? 'WithPath' : ''}`;
    const about = `${subresource.name} of the specified ${kind}`;
    const connect = subresource.kind.endsWith('Options');
    const operations: Record<string, object> = {};
    if (connect) {
      const methods = subresource.name === 'proxy' ? proxyMethods : (['get', 'post'] as const);
      for (const method of methods) {
        const idPrefix = `connect${capital(method)}`;
        operations[method] = this.#operation(idPrefix, id, 'connect', `connect to ${about}`, [], undefined, 'text', target);
      }
    } else {
      if (subresource.verbs.includes('get')) {
        const answer = subresource.name === 'log' ? 'text' : target;
        operations.get = this.#operation('read', id, 'get', `read ${about}`, [], undefined, answer, target);
      }
      if (subresource.verbs.includes('create')) {
        const parameters = [dryRun, fieldManager, fieldValidation];
        operations.post = this.#operation('create', id, 'post', `create ${about}`, parameters, target, target, target);
      }
      Object.assign(operations, this.#writes(id, about, subresource.verbs, target));
    }
    const parameters = connect || subresource.name === 'log' ? this.#optionParameters(subresource) : [pretty];
    const path = withPath ? [pathParameter, ...parameters.filter(({ name }) => name !== 'path')] : parameters;
    return this.#pathItem([this.#nameParameter, ...this.#scopeParameters, ...path], operations);
  }

  /** Options of logs, exec and the like are query parameters. */
  #optionParameters(subresource: SubresourceInfo): Parameter[] {
    const optionsKind = subresource.name === 'log' ? 'PodLogOptions' : subresource.kind;
    const options = this.#deps.table.kind('', 'v1', optionsKind);
    return (options?.fieldList ?? [])
      .filter((field) => field.name !== 'kind' && field.name !== 'apiVersion')
      .map(({ name, type }) => {
        const isScalar = type.kind === 'scalar' && (type.type === 'boolean' || type.type === 'integer');
        return { name, in: 'query', description: `${name} of ${optionsKind}`, type: isScalar ? type.type : 'string' } as Parameter;
      });
  }

  #writes(id: string, about: string, verbs: readonly string[], target: Target): Record<string, object> {
    const write = [dryRun, fieldManager, fieldValidation];
    return {
      ...(verbs.includes('update')
        ? { put: this.#operation('replace', id, 'put', `replace ${about}`, write, target, target, target) }
        : {}),
      ...(verbs.includes('patch')
        ? {
            patch: this.#operation('patch', id, 'patch', `partially update ${about}`, [...write, force], 'patch', target, target),
          }
        : {}),
    };
  }

  #operation(
    idVerb: string,
    idRest: string,
    action: string,
    description: string,
    parameters: readonly Parameter[],
    body: Target | 'delete-options' | 'patch' | undefined,
    answer: Target | 'status' | 'text',
    gvk: Target = this.#kind,
  ): object {
    const id = `${idVerb}${this.#idPrefix}${idRest}`;
    const watches = action === 'list' ? ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'] : [];
    const answers = answer === 'text' ? ['*/*'] : [...answerTypes, ...watches];
    const bodySchema = body === undefined ? undefined : this.#deps.schemas.reference(this.#bodyName(body));
    const answerSchema =
      answer === 'text'
        ? { type: 'string' }
        : this.#deps.schemas.reference(answer === 'status' ? 'io.k8s.apimachinery.pkg.apis.meta.v1.Status' : this.#schemaName(answer));
    const common = { tags: [this.#tag], description, operationId: id };
    const extensions = { 'x-kubernetes-action': action, 'x-kubernetes-group-version-kind': gvk };
    const codes = action === 'post' ? ['200', '201', '202'] : action === 'put' || action === 'patch' ? ['200', '201'] : ['200'];
    const reason: Readonly<Record<string, string>> = { '200': 'OK', '201': 'Created', '202': 'Accepted', '401': 'Unauthorized' };
    if (this.#deps.dialect === 'v2') {
      const bodyParameter =
        bodySchema === undefined ? [] : [{ name: 'body', in: 'body', required: body !== 'delete-options', schema: bodySchema }];
      const responses = Object.fromEntries(codes.map((code) => [code, { description: reason[code], schema: answerSchema }]));
      return {
        ...common,
        consumes: body === 'patch' ? patchTypes : ['*/*'],
        produces: answers,
        schemes: ['https'],
        ...nonEmpty('parameters', [...bodyParameter, ...parameters.map(parameterV2)]),
        responses: { ...responses, '401': { description: reason['401'] } },
        ...extensions,
      };
    }
    const content = (types: readonly string[], schema: object) => Object.fromEntries(types.map((type) => [type, { schema }]));
    const types = body === 'patch' ? patchTypes : body === undefined ? [] : bodyTypes;
    const responses = codes.map((code) => [code, { description: reason[code], content: content(answers, answerSchema) }]);
    return {
      ...common,
      ...nonEmpty('parameters', parameters.map(parameterV3)),
      ...(bodySchema === undefined
        ? {}
        : { requestBody: { content: content(types, bodySchema), ...(body === 'delete-options' ? {} : { required: true }) } }),
      responses: { ...Object.fromEntries(responses), '401': { description: reason['401'] } },
      ...extensions,
    };
  }

  #bodyName(body: Target | 'delete-options' | 'patch'): string {
    if (body === 'patch') return patchSchema;
    return body === 'delete-options' ? 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions' : this.#schemaName(body);
  }

  #schemaName(target: Target): string {
    const struct = this.#deps.table.kind(target.group, target.version, target.kind);
    if (struct === undefined) throw new Error(`no schema for ${target.group}/${target.version} ${target.kind}`);
    return struct.name;
  }

  #pathItem(parameters: readonly Parameter[], operations: Record<string, object>): object {
    const write = this.#deps.dialect === 'v2' ? parameterV2 : parameterV3;
    return { ...operations, ...nonEmpty('parameters', parameters.map(write)) };
  }
}

function parameterV2(parameter: Parameter): object {
  const { name, description, type } = parameter;
  return { name, in: parameter.in, description, type, uniqueItems: true, ...(parameter.in === 'path' ? { required: true } : {}) };
}

function parameterV3(parameter: Parameter): object {
  const { name, description, type } = parameter;
  return {
    name,
    in: parameter.in,
    description,
    ...(parameter.in === 'path' ? { required: true } : {}),
    schema: { type, uniqueItems: true },
  };
}

function nonEmpty(name: string, list: readonly object[]): object {
  return list.length === 0 ? {} : { [name]: list };
}

function capital(word: string): string {
  return `${word[0]?.toUpperCase() ?? ''}${word.slice(1)}`;
}
