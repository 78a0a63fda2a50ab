import type { UserInfo } from '@coffer/base/http/handler';
import type { JWTPayload } from 'jose';
import { type CompiledExpression, compileExpression } from '../../expressions/compile-expression.ts';
import type { ClaimMapping, ClaimRule, IssuerConfig } from './issuer-config.ts';

type Claims = Readonly<Record<string, unknown>>;
type Mapping = (claims: Claims) => unknown;

/** The user that verified claims describe, by the mappings and rules of an issuer. Throws when a rule or mapping does not hold. */
export class ClaimsReader {
  readonly #username: Mapping;
  readonly #groups: Mapping;
  readonly #uid: Mapping;
  readonly #extra: readonly (readonly [key: string, mapping: Mapping])[];
  readonly #claimRules: readonly ((claims: Claims) => void)[];
  readonly #userRules: readonly { readonly expression: CompiledExpression; readonly message: string }[];

  /** Compiles every expression: throws for those that are not CEL. */
  constructor(issuer: IssuerConfig) {
    this.#username = mapping(issuer.username, 'claimMappings.username');
    this.#groups = issuer.groups ? mapping(issuer.groups, 'claimMappings.groups') : () => undefined;
    this.#uid = issuer.uid ? mapping(issuer.uid, 'claimMappings.uid') : () => undefined;
    this.#extra = issuer.extra.map(({ key, expression }, index) => {
      return [key, mapping({ from: 'expression', expression }, `claimMappings.extra[${index}]`)] as const;
    });
    this.#claimRules = issuer.claimValidationRules.map((rule, index) => claimRule(rule, `claimValidationRules[${index}]`));
    this.#userRules = issuer.userValidationRules.map(({ expression, message }, index) => ({
      expression: compileExpression(expression, 'user', `userValidationRules[${index}]`),
      message,
    }));
  }

  read(payload: JWTPayload): UserInfo {
    const claims = payload as Claims;
    const name = this.#username(claims);
    if (typeof name !== 'string' || name === '') throw new Error('the username claim is missing or no string');
    for (const check of this.#claimRules) check(claims);
    const groups = stringsOf(this.#groups(claims), 'groups');
    const uid = stringsOf(this.#uid(claims), 'uid')[0];
    const extra = this.#extra
      .map(([key, value]) => [key, stringsOf(value(claims), `extra ${key}`)] as const)
      .filter(([, values]) => values.length > 0);
    const user: UserInfo = {
      name,
      groups,
      ...(uid ? { uid } : {}),
      ...(extra.length > 0 ? { extra: Object.fromEntries(extra) } : {}),
    };
    this.#checkUser(user);
    return user;
  }

  #checkUser(user: UserInfo): void {
    if (this.#userRules.length === 0) return;
    const variable = { username: user.name, uid: user.uid ?? '', groups: user.groups, extra: user.extra ?? {} };
    for (const { expression, message } of this.#userRules) {
      if (expression.evaluate(variable) !== true) throw new Error(message);
    }
  }
}

function mapping(config: ClaimMapping, where: string): Mapping {
  if (config.from === 'expression') {
    const expression = compileExpression(config.expression, 'claims', where);
    return (claims) => expression.evaluate(claims);
  }
  const { claim, prefix } = config;
  const isName = where === 'claimMappings.username';
  return (claims) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    // As upstream: an address counts as a name only when the issuer does not say it is unverified.
    if (isName && claim === 'email' && Object.hasOwn(claims, 'email_verified') && claims.email_verified !== true) {
      throw new Error('email not verified');
    }
    if (Array.isArray(value)) return value.map((item) => (typeof item === 'string' ? prefix + item : item));
    return typeof value === 'string' ? prefix + value : value;
  };
}

function claimRule(rule: ClaimRule, where: string): (claims: Claims) => void {
  if (rule.from === 'claim') {
    return (claims) => {
      const value = Object.hasOwn(claims, rule.claim) ? claims[rule.claim] : undefined;
      if (value !== rule.requiredValue) throw new Error(`required claim ${rule.claim} is not present or has another value`);
    };
  }
  const expression = compileExpression(rule.expression, 'claims', where);
  return (claims) => {
    if (expression.evaluate(claims) !== true) throw new Error(rule.message);
  };
}

/** A string or a list of strings; nothing and the empty string are no values. */
function stringsOf(value: unknown, what: string): readonly string[] {
  if (value === undefined || value === null || value === '') return [];
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((item): item is string => typeof item === 'string')) throw new Error(`${what}: expected strings`);
  return list.filter((item) => item !== '');
}
