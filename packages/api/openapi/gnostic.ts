import { ProtobufWriter } from '../protobuf/writer.ts';

/**
 * An OpenAPI v2 document (the JSON tree of `documents.ts`) in the protobuf form that client-go asks for:
 * `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`, messages of package `openapi.v2`. Only the parts that our documents
 * have are written; a field nobody planned for is a programming error and throws.
 */
type Json = unknown;
type JsonObject = Readonly<Record<string, Json>>;

/** How a field of a JSON object becomes a field of the message. */
type FieldRule = readonly [number: number, kind: FieldKind];
type FieldKind = 'string' | 'strings' | 'bool' | ((value: Json) => Uint8Array) | { readonly each: (value: Json) => Uint8Array };

export function encodeOpenApiV2(document: object): Uint8Array {
  return message(document as JsonObject, {
    swagger: [1, 'string'],
    info: [2, (info) => message(info as JsonObject, { title: [1, 'string'], version: [2, 'string'] })],
    paths: [8, (paths) => named(paths as JsonObject, 2, pathItem)],
    definitions: [9, (definitions) => named(definitions as JsonObject, 1, schema)],
    security: [12, { each: (security) => named(security as JsonObject, 1, (scopes) => strings(1, scopes as readonly string[])) }],
    securityDefinitions: [13, (definitions) => named(definitions as JsonObject, 1, apiKeySecurity)],
  });
}

/** The fields by their rules; `x-` extensions go to `extensionNumber`. */
function message(object: JsonObject, rules: Readonly<Record<string, FieldRule>>, extensionNumber?: number): Uint8Array {
  const writer = new ProtobufWriter();
  for (const [name, value] of Object.entries(object)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule !== undefined) writeField(writer, rule, value);
    else if (extensionNumber !== undefined && name.startsWith('x-')) writer.bytes(extensionNumber, namedAny(name, value));
    else throw new Error(`no protobuf form for ${name} in an OpenAPI document`);
  }
  return writer.finish();
}

function writeField(writer: ProtobufWriter, [number, kind]: FieldRule, value: Json): void {
  if (kind === 'string') writer.string(number, value as string);
  else if (kind === 'bool') writer.bool(number, value as boolean);
  else if (kind === 'strings') for (const item of value as readonly string[]) writer.string(number, item);
  else if (typeof kind === 'function') writer.bytes(number, kind(value));
  else for (const item of value as readonly Json[]) writer.bytes(number, kind.each(item));
}

/** A map as a repeated field of (name, value) messages. */
function named(object: JsonObject, number: number, encode: (value: Json) => Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  for (const [name, value] of Object.entries(object)) writer.bytes(number, pair(name, encode(value)));
  return writer.finish();
}

function pair(name: string, value: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  writer.string(1, name);
  writer.bytes(2, value);
  return writer.finish();
}

function wrap(number: number, value: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  writer.bytes(number, value);
  return writer.finish();
}

function strings(number: number, values: readonly string[]): Uint8Array {
  const writer = new ProtobufWriter();
  for (const value of values) writer.string(number, value);
  return writer.finish();
}

/** `Any`: the value as YAML, of which JSON is a part. */
function any(value: Json): Uint8Array {
  return strings(2, [`${JSON.stringify(value)}\n`]);
}

function namedAny(name: string, value: Json): Uint8Array {
  return pair(name, any(value));
}

function apiKeySecurity(value: Json): Uint8Array {
  const rules = { type: [1, 'string'], name: [2, 'string'], in: [3, 'string'], description: [4, 'string'] } as const;
  return wrap(2, message(value as JsonObject, rules));
}

function pathItem(value: Json): Uint8Array {
  return message(value as JsonObject, {
    get: [2, operation],
    put: [3, operation],
    post: [4, operation],
    delete: [5, operation],
    options: [6, operation],
    head: [7, operation],
    patch: [8, operation],
    parameters: [9, { each: parametersItem }],
  });
}

function operation(value: Json): Uint8Array {
  const rules: Readonly<Record<string, FieldRule>> = {
    tags: [1, 'strings'],
    description: [3, 'string'],
    operationId: [5, 'string'],
    produces: [6, 'strings'],
    consumes: [7, 'strings'],
    parameters: [8, { each: parametersItem }],
    responses: [9, (responses) => named(responses as JsonObject, 1, (response) => wrap(1, responseMessage(response)))],
    schemes: [10, 'strings'],
  };
  return message(value as JsonObject, rules, 13);
}

function responseMessage(value: Json): Uint8Array {
  return message(value as JsonObject, { description: [1, 'string'], schema: [2, (item) => wrap(1, schema(item))] });
}

function parametersItem(value: Json): Uint8Array {
  const parameter = value as JsonObject;
  if (parameter.in === 'body') {
    const body = message(parameter, {
      description: [1, 'string'],
      name: [2, 'string'],
      in: [3, 'string'],
      required: [4, 'bool'],
      schema: [5, schema],
    });
    return wrap(1, wrap(1, body));
  }
  const isQuery = parameter.in === 'query';
  const rules: Readonly<Record<string, FieldRule>> = {
    required: [1, 'bool'],
    in: [2, 'string'],
    description: [3, 'string'],
    name: [4, 'string'],
    type: [isQuery ? 6 : 5, 'string'],
    uniqueItems: [isQuery ? 20 : 19, 'bool'],
  };
  return wrap(1, wrap(2, wrap(isQuery ? 3 : 4, message(parameter, rules))));
}

function schema(value: Json): Uint8Array {
  const rules: Readonly<Record<string, FieldRule>> = {
    $ref: [1, 'string'],
    format: [2, 'string'],
    description: [4, 'string'],
    default: [5, any],
    required: [19, 'strings'],
    additionalProperties: [21, (item) => wrap(1, schema(item))],
    type: [22, (type) => strings(1, [type as string])],
    items: [23, (item) => wrap(1, schema(item))],
    properties: [25, (properties) => named(properties as JsonObject, 1, schema)],
  };
  return message(value as JsonObject, rules, 31);
}
