/**
 * The forms in which a value could lie in a file by mistake: as it is, in base64 (at each of the three offsets it may have inside
 * something longer), escaped as in JSON (as Node and as Go write it), and in hexadecimal. Only what is certain whatever stands
 * before and behind the value is part of a form.
 */
export interface Needle {
  readonly form: NeedleForm;
  readonly bytes: Buffer;
}

export type NeedleForm = 'plain' | 'base64' | 'json' | 'hex';

/** Shorter values are not searched: they occur by chance. */
export const minValueBytes = 8;

/**
 * Longer forms are represented by two pieces, the middle and the end: a piece that is left of a value is a leak as well, while
 * the beginnings of keys and certificates are the same everywhere.
 */
export const maxNeedleBytes = 64;

export function needlesOf(value: Buffer): Needle[] {
  const forms = new Map<string, NeedleForm>();
  const add = (form: NeedleForm, bytes: Buffer) => {
    const text = bytes.toString('latin1');
    if (bytes.length >= minValueBytes && !forms.has(text)) forms.set(text, form);
  };
  add('plain', value);
  for (const offset of [0, 1, 2]) add('base64', Buffer.from(certainBase64(value, offset)));
  for (const text of jsonForms(value)) add('json', Buffer.from(text));
  const hex = value.toString('hex');
  add('hex', Buffer.from(hex));
  add('hex', Buffer.from(hex.toUpperCase()));
  return [...forms].flatMap(([text, form]) => pieces(Buffer.from(text, 'latin1')).map((bytes) => ({ form, bytes })));
}

/** The base64 characters that depend on nothing but `value`, when `offset` (0 to 2) bytes stand before it in a group of three. */
function certainBase64(value: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), value]).toString('base64');
  return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + value.length) * 8) / 6));
}

function jsonForms(value: Buffer): string[] {
  const text = value.toString('utf8');
  if (!Buffer.from(text).equals(value)) return [];
  const escaped = JSON.stringify(text).slice(1, -1);
  const html = escaped.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return [escaped, html];
}

function pieces(bytes: Buffer): Buffer[] {
  if (bytes.length <= maxNeedleBytes) return [bytes];
  const middle = Math.floor((bytes.length - maxNeedleBytes) / 2);
  return [bytes.subarray(middle, middle + maxNeedleBytes), bytes.subarray(bytes.length - maxNeedleBytes)];
}
