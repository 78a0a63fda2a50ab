/**
 * Scalars with a JSON form of their own, read as Go's types read them: base64, RFC 3339 times. Each function returns the
 * canonical form or throws a ScalarError with Go's message. Quantities are in `quantity/`.
 */
export class ScalarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ScalarError';
  }
}

const canonicalBase64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Standard base64 with padding; line breaks are allowed and removed. */
export function canonicalizeBase64(text: string): string {
  if (canonicalBase64.test(text)) {
    // Unused bits of the last character are ignored by Go and gone when it writes the bytes again.
    if (!text.endsWith('=')) return text;
    const tail = text.slice(-4);
    return text.slice(0, -4) + Buffer.from(tail, 'base64').toString('base64');
  }
  const position = firstCorruptByte(Buffer.from(text));
  if (position >= 0) throw new ScalarError(`illegal base64 data at input byte ${position}`);
  return Buffer.from(text, 'base64').toString('base64');
}

/** Where Go's decoder gives up: the offset it reports, or -1 when the text is fine. */
function firstCorruptByte(source: Uint8Array): number {
  const end = source.length;
  const isNewline = (at: number): boolean => source[at] === 10 || source[at] === 13;
  let at = 0;
  for (;;) {
    // One quantum of four characters.
    for (let taken = 0; taken < 4; ) {
      if (at === end) return taken === 0 ? -1 : at - taken;
      const byte = source[at++] ?? 0;
      if (isAlphabet(byte)) {
        taken++;
        continue;
      }
      if (byte === 10 || byte === 13) continue;
      if (byte !== 61 || taken < 2) return at - 1;
      if (taken === 2) {
        while (at < end && isNewline(at)) at++;
        if (at === end) return end;
        if (source[at] !== 61) return at - 1;
        at++;
      }
      while (at < end && isNewline(at)) at++;
      return at < end ? at : -1;
    }
  }
}

function isAlphabet(byte: number): boolean {
  return (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || byte === 43 || byte === 47;
}

const secondsLayout = '2006-01-02T15:04:05Z07:00';
const microsLayout = '2006-01-02T15:04:05.000000Z07:00';

/** meta/v1 Time: UTC, whole seconds. Undefined for Go's zero time, which is written as null. */
export function canonicalizeTime(text: string): string | undefined {
  if (canonicalTimes.has(text)) return text;
  const time = new TimeReader(text, secondsLayout).read();
  const whole = new Date(Math.floor(time.seconds * 1000)).toISOString();
  if (time.isZero) return undefined;
  const canonical = `${goYear(whole)}Z`;
  if (canonicalTimes.size >= maxCanonicalTimes) canonicalTimes.clear();
  canonicalTimes.add(canonical);
  return canonical;
}

/** Times that need no change: the few of the last seconds come again and again, in creationTimestamp and managedFields. */
const canonicalTimes = new Set<string>();
const maxCanonicalTimes = 1024;

/** meta/v1 MicroTime: UTC, six decimals. */
export function canonicalizeMicroTime(text: string): string | undefined {
  const time = new TimeReader(text, microsLayout).read();
  if (time.isZero) return undefined;
  return `${goYear(new Date(time.seconds * 1000).toISOString())}.${time.fraction}Z`;
}

/** `2020-01-02T03:04:05` of an ISO string; times before year 0 or after 9999 do not occur because the year has four digits. */
function goYear(iso: string): string {
  return iso.slice(0, iso.indexOf('.'));
}

interface ReadTime {
  readonly seconds: number;
  /** Six digits. */
  readonly fraction: string;
  readonly isZero: boolean;
}

class TimeReader {
  readonly #text: string;
  readonly #layout: string;
  #rest: string;

  constructor(text: string, layout: string) {
    this.#text = text;
    this.#layout = layout;
    this.#rest = text;
  }

  read(): ReadTime {
    const year = this.#number('2006', 4);
    this.#literal('-');
    const month = this.#number('01', 2, 1, 12, 'month');
    this.#literal('-');
    const day = this.#number('02', 2);
    this.#literal('T');
    const hour = this.#number('15', 2, 0, 23, 'hour');
    this.#literal(':');
    const minute = this.#number('04', 2, 0, 59, 'minute');
    this.#literal(':');
    const second = this.#number('05', 2, 0, 59, 'second');
    const fraction = this.#fraction();
    const offsetMinutes = this.#zone();
    if (this.#rest !== '') this.#fail(`: extra text: ${quote(this.#rest)}`);
    if (day < 1 || day > daysIn(year, month)) this.#fail(': day out of range');
    const date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    date.setUTCHours(hour, minute - offsetMinutes, second);
    const seconds = date.getTime() / 1000;
    return { seconds, fraction, isZero: seconds === zeroTimeSeconds && /^0*$/.test(fraction) };
  }

  #number(element: string, digits: number, min = 0, max = Number.POSITIVE_INFINITY, name = ''): number {
    const text = this.#rest.slice(0, digits);
    if (text.length < digits || !/^\d+$/.test(text)) this.#cannotParse(element);
    const value = Number(text);
    if (value < min || value > max) this.#fail(`: ${name} out of range`);
    this.#rest = this.#rest.slice(digits);
    return value;
  }

  #literal(char: string): void {
    if (!this.#rest.startsWith(char)) this.#cannotParse(char);
    this.#rest = this.#rest.slice(char.length);
  }

  #fraction(): string {
    if (this.#layout === microsLayout) {
      const exact = /^[.,](\d{6})/.exec(this.#rest);
      if (exact === null) this.#cannotParse('.000000');
      this.#rest = this.#rest.slice(7);
      return exact[1] ?? '';
    }
    const found = /^[.,](\d+)/.exec(this.#rest);
    if (found === null) return '000000';
    this.#rest = this.#rest.slice(found[0].length);
    return (found[1] ?? '').slice(0, 6).padEnd(6, '0');
  }

  #zone(): number {
    if (this.#rest.startsWith('Z')) {
      this.#rest = this.#rest.slice(1);
      return 0;
    }
    const found = /^([+-])(\d\d):(\d\d)/.exec(this.#rest);
    if (found === null) this.#cannotParse('Z07:00');
    const hours = Number(found[2]);
    const minutes = Number(found[3]);
    if (hours > 24) this.#fail(': time zone offset hour out of range');
    if (minutes > 60) this.#fail(': time zone offset minute out of range');
    this.#rest = this.#rest.slice(6);
    return (hours * 60 + minutes) * (found[1] === '-' ? -1 : 1);
  }

  #cannotParse(element: string): never {
    const message = `parsing time ${quote(this.#text)} as ${quote(this.#layout)}: cannot parse ${quote(this.#rest)} as ${quote(element)}`;
    throw new ScalarError(message);
  }

  #fail(detail: string): never {
    throw new ScalarError(`parsing time ${quote(this.#text)}${detail}`);
  }
}

const zeroTimeSeconds = -62135596800;

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Go's time package escapes quotes, backslashes and everything that is not printable ASCII, byte by byte. */
function quote(text: string): string {
  let out = '"';
  for (const byte of Buffer.from(text)) {
    if (byte === 34 || byte === 92) out += `\\${String.fromCharCode(byte)}`;
    else if (byte < 0x20 || byte >= 0x7f) out += `\\x${byte.toString(16).padStart(2, '0')}`;
    else out += String.fromCharCode(byte);
  }
  return `${out}"`;
}
