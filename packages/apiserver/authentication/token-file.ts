import { hash } from 'node:crypto';
import type { UserInfo } from '@coffer/base/http/handler';
import { type TokenAuthenticator, withOwnAudiences } from './authenticator.ts';

/**
 * kube-apiserver's static token file: CSV lines `token,user,uid,"group1,group2"`. Tokens are kept and looked up only as SHA-256
 * digests, so that a comparison tells nothing about how much of a guess was right.
 */
export function tokenFileAuthenticator(csv: string, apiAudiences: readonly string[]): TokenAuthenticator {
  const users = new Map<string, UserInfo>();
  for (const [index, line] of csv.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [token, name, uid, groups] = parseCsvLine(line);
    if (token === undefined || name === undefined || uid === undefined) {
      throw new Error(`token file line ${index + 1}: expected at least 3 columns (token, user name, user uid)`);
    }
    if (token === '') throw new Error(`token file line ${index + 1}: the token is empty`);
    const digest = digestOf(token);
    if (users.has(digest)) throw new Error(`token file line ${index + 1}: the same token stands on an earlier line`);
    users.set(digest, { name, uid, groups: (groups ?? '').split(',').filter((group) => group !== '') });
  }
  return {
    authenticateToken(token, audiences) {
      const user = users.get(digestOf(token));
      return user && withOwnAudiences(user, audiences, apiAudiences);
    },
  };
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64');
}

/** One CSV record (RFC 4180 quotes); blanks around a field are dropped. */
function parseCsvLine(line: string): string[] {
  const fields: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(,|$)/gy;
  for (;;) {
    const match = pattern.exec(line);
    if (!match) throw new Error('token file: a line is not valid CSV');
    fields.push(match[1] !== undefined ? match[1].replaceAll('""', '"') : (match[2] ?? '').trim());
    if (match[3] === '') return fields;
  }
}
