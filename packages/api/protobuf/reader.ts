/**
 * Reads the protobuf wire format from untrusted bytes. Every length is checked before use; anything wrong is a ProtobufError with
 * the message that gogo/protobuf, and so the API server, gives.
 */
export class ProtobufError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtobufError';
  }
}

export const WIRE_VARINT = 0;
export const WIRE_64_BIT = 1;
export const WIRE_BYTES = 2;
const WIRE_32_BIT = 5;
const WIRE_START_GROUP = 3;
const WIRE_END_GROUP = 4;

/** An unsigned number of 64 bits, in two halves. */
export interface Varint {
  readonly low: number;
  readonly high: number;
}

/** The number as Go's int32 holds it: its lower half, signed. */
export function toInt32(value: Varint): number {
  return value.low | 0;
}

/** The number as Go's int64 holds it, rounded to a double beyond 2⁵³. */
export function toInt64(value: Varint): number {
  return (value.high | 0) * 0x1_0000_0000 + value.low;
}

export class ProtobufReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Field number and wire type of the next field. */
  tag(messageName: string): { readonly number: number; readonly wireType: number } {
    const { low, high } = this.varint();
    const number = (low >>> 3) | (high << 29);
    const wireType = low & 7;
    if (wireType === WIRE_END_GROUP) throw new ProtobufError(`proto: ${messageName}: wiretype end group for non-group`);
    if (number <= 0) {
      const tag = (BigInt(high) << 32n) | BigInt(low);
      throw new ProtobufError(`proto: ${messageName}: illegal tag ${number} (wire type ${tag})`);
    }
    return { number, wireType };
  }

  /** 64 bits. In two halves because optimised 64-bit BigInt loops crash the V8 of Node 20. */
  varint(): Varint {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return { low: low >>> 0, high: 0 };
    }
    const middle = this.#byte();
    low = (low | ((middle & 0x7f) << 28)) >>> 0;
    let high = (middle & 0x7f) >>> 4;
    if (middle < 0x80) return { low, high };
    for (let shift = 3; shift < 35; shift += 7) {
      const byte = this.#byte();
      // Of the tenth byte one bit belongs to the number; a shift by 31 keeps just that one.
      high |= (byte & 0x7f) << shift;
      if (byte < 0x80) return { low, high: high >>> 0 };
    }
    throw new ProtobufError('proto: integer overflow');
  }

  bytes(): Uint8Array {
    const length = toInt64(this.varint());
    if (length < 0) throw new ProtobufError('proto: negative length found during unmarshaling');
    if (length > this.#bytes.length - this.#at) throw new ProtobufError('unexpected EOF');
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }

  double(): number {
    const part = this.#fixed(8);
    return new DataView(part.buffer, part.byteOffset, 8).getFloat64(0, true);
  }

  /** Passes over a field that nobody knows. */
  skip(wireType: number, depth = 0): void {
    switch (wireType) {
      case WIRE_VARINT:
        this.varint();
        return;
      case WIRE_64_BIT:
        this.#fixed(8);
        return;
      case WIRE_BYTES:
        this.bytes();
        return;
      case WIRE_32_BIT:
        this.#fixed(4);
        return;
      case WIRE_START_GROUP:
        if (depth > 100) throw new ProtobufError('proto: integer overflow');
        for (;;) {
          const inner = this.varint().low & 7;
          if (inner === WIRE_END_GROUP) return;
          this.skip(inner, depth + 1);
        }
      default:
        throw new ProtobufError(`proto: illegal wireType ${wireType}`);
    }
  }

  #fixed(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new ProtobufError('unexpected EOF');
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new ProtobufError('unexpected EOF');
    this.#at++;
    return byte;
  }
}
