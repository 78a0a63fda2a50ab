import { type CelInput, celEnv, isCelError, isCelList, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { isRecord } from '@coffer/api/meta/safe-object';

/** A CEL expression of a configuration file, compiled once. */
export interface CompiledExpression {
  /** Throws when the expression fails for this value of the variable; the error names no values. */
  evaluate(value: Readonly<Record<string, unknown>>): unknown;
}

/** Compiles an expression over one variable. Throws for what is not CEL. */
export function compileExpression(expression: string, variable: 'claims' | 'user' | 'request', where: string): CompiledExpression {
  let run: ReturnType<typeof plan>;
  try {
    run = plan(celEnv({ funcs: strings }), parse(expression));
  } catch (error) {
    throw new Error(`${where}: ${JSON.stringify(expression)} is no valid CEL expression`, { cause: error });
  }
  return {
    evaluate(value) {
      const result = run({ [variable]: toCel(value) as CelInput });
      if (isCelError(result)) throw new Error(`${where}: the expression failed`);
      return isCelList(result) ? [...result] : result;
    },
  };
}

/** JSON data in the shapes CEL takes: whole numbers as int, objects as maps. */
function toCel(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toCel);
  if (isRecord(value)) return new Map(Object.entries(value).map(([key, item]) => [key, toCel(item)]));
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  return value;
}
