import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

/** Random values that must not show anywhere, and the search for them in every encoding they may show in. */

const beginningLength = 6;

/** A value with characters that URL and base64 encodings change. */
export function canary(): string {
  const text = (length: number) =>
    randomBytes(length * 2)
      .toString('base64')
      .replace(/[^A-Za-z0-9]/g, '')
      .slice(0, length);
  return `${text(12)}+${text(8)}/${text(8)}`;
}

/** The forms a value may show in: plain, hex, URL encoding, base64 at any alignment. */
export function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const shifted = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last characters depend on the neighbours.
    return encoded.slice(shift === 0 ? 0 : shift + 1, bytes.length % 3 === 0 && shift === 0 ? undefined : -2);
  });
  const base64 = shifted.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]);
  return [...new Set([value, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), encodeURIComponent(value), ...base64])];
}

/** `place: which value` for every value that a text holds in any form. One pass over the text, however many values there are. */
export class CanarySearch {
  /** Forms by their first characters. */
  readonly #byBeginning = new Map<string, (readonly [value: string, form: string])[]>();

  constructor(values: readonly string[]) {
    for (const value of values) {
      for (const form of formsOf(value)) {
        const beginning = form.slice(0, beginningLength);
        const same = this.#byBeginning.get(beginning);
        if (same) same.push([value, form]);
        else this.#byBeginning.set(beginning, [[value, form]]);
      }
    }
  }

  in(place: string, text: string): string[] {
    const found = new Set<string>();
    for (let i = 0; i + beginningLength <= text.length; i++) {
      const candidates = this.#byBeginning.get(text.slice(i, i + beginningLength));
      for (const [value, form] of candidates ?? []) if (text.startsWith(form, i)) found.add(value);
    }
    return [...found].map((value) => `${place}: ${value}`);
  }
}

/** What everybody on the machine could see of a process. */
export async function visibleParts(pid: number): Promise<readonly (readonly [place: string, text: string])[]> {
  const files = ['cmdline', 'environ', 'comm', 'status'];
  return Promise.all(files.map(async (file) => [`/proc/${pid}/${file}`, await readFile(`/proc/${pid}/${file}`, 'latin1')] as const));
}

/** Argument lists of every process there is: helpers that were started and ended included only while they run. */
export async function argumentLists(): Promise<readonly (readonly [place: string, text: string])[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lists = await Promise.all(
    pids.map(async (pid) => [`/proc/${pid}/cmdline`, await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')] as const),
  );
  return lists.filter(([, text]) => text !== '');
}
