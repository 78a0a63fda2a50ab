import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { identities, type Question, questions } from './questions.ts';

const file = fileURLToPath(new URL('expected-decisions.txt', import.meta.url));
const words: Readonly<Record<string, readonly string[]>> = {
  read: ['get', 'list', 'watch'],
  write: ['create', 'update', 'patch', 'delete', 'deletecollection'],
};

/** What the data file allows: one line `identity about verb,verb` per identity and thing, verbs in the order of the questions. */
export function expectedLines(): readonly string[] {
  const allowed = new Set<string>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [identity = '', about = '', verbs = ''] = line.split(' ');
    if (!(identity in identities)) throw new Error(`the data file names an unknown identity: ${line}`);
    const asked = about === '*' ? questions : questions.filter((question) => question.about === about);
    if (asked.length === 0) throw new Error(`the data file is about something nobody asks: ${line}`);
    const wanted = verbs === '*' ? undefined : verbs.split(',').flatMap((verb) => words[verb] ?? [verb]);
    const unknown = wanted?.find((verb) => !asked.some((question) => question.verb === verb));
    if (unknown !== undefined) throw new Error(`the data file has a verb that nobody asks, ${unknown}: ${line}`);
    for (const question of asked) if (!wanted || wanted.includes(question.verb)) allowed.add(keyOf(identity, question));
  }
  return linesOf((identity, question) => allowed.has(keyOf(identity, question)));
}

/** The lines of a matrix: what is denied does not appear. */
export function linesOf(isAllowed: (identity: string, question: Question) => boolean): readonly string[] {
  const lines = new Map<string, string[]>();
  for (const identity of Object.keys(identities)) {
    for (const question of questions) {
      if (!isAllowed(identity, question)) continue;
      const key = `${identity} ${question.about}`;
      lines.set(key, [...(lines.get(key) ?? []), question.verb]);
    }
  }
  return [...lines].map(([key, verbs]) => `${key} ${verbs.join(',')}`).sort();
}

export function keyOf(identity: string, { about, verb }: Question): string {
  return `${identity} ${about} ${verb}`;
}
