/** Writes the protobuf wire format: just what the OpenAPI document needs. Default values are left out, as proto3 does. */
export class ProtobufWriter {
  #buffer = Buffer.allocUnsafe(128);
  #length = 0;

  string(number: number, value: string): void {
    if (value === '') return;
    const length = Buffer.byteLength(value);
    this.#head(number, length);
    this.#buffer.write(value, this.#length);
    this.#length += length;
  }

  bool(number: number, value: boolean): void {
    if (!value) return;
    this.#reserve(11);
    this.#varint(number << 3);
    this.#varint(1);
  }

  /** A message or raw bytes; an empty message is written too, its presence says something. */
  bytes(number: number, value: Uint8Array): void {
    this.#head(number, value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #head(number: number, length: number): void {
    this.#reserve(length + 20);
    this.#varint((number << 3) | 2);
    this.#varint(length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }
}
