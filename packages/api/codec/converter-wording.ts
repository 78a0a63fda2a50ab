/**
 * What upstream's converter from maps to Go structs says about values of the wrong type. It reads the result of a strategic merge
 * patch, which never becomes JSON text: its words are not the JSON decoder's.
 */
import type { TypeSchema } from '../schema/schema.ts';

/** `goType` is the name of the Go type the value was meant for. */
export function converterMessage(value: unknown, type: TypeSchema, goType: string): string {
  const given = kindOf(value);
  switch (type.kind) {
    case 'struct':
      return `cannot restore struct from: ${given}`;
    case 'map':
      return `cannot restore map from ${given}`;
    case 'list':
      return `cannot restore slice from ${given}`;
    case 'special':
      return `unrecognized type: ${goType}`;
    case 'scalar': {
      if (type.format === 'byte') return `cannot restore slice from ${given}`;
      const convertible = (type.type === 'string' && given === 'int64') || (type.type === 'integer' && given === 'float64');
      return convertible ? `cannot convert ${given} to ${goType}` : `unrecognized type: ${scalarKind(type)}`;
    }
  }
}

/** Go's kind of a value that was read from JSON. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'slice';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'string' ? 'string' : 'map';
}

function scalarKind(type: TypeSchema & { kind: 'scalar' }): string {
  switch (type.type) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'number':
      return 'float64';
    case 'integer':
      return type.format === 'int32' ? 'int32' : 'int64';
  }
}
