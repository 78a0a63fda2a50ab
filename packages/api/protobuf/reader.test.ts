import { describe, expect, it } from 'vitest';
import { ProtobufError, ProtobufReader, toInt32, toInt64 } from './reader.ts';

describe('ProtobufReader.varint', () => {
  const ones = Array.from({ length: 9 }, () => 0xff);
  it.each([
    { bytes: [0], low: 0, high: 0 },
    { bytes: [0xac, 0x02], low: 300, high: 0 },
    { bytes: [0xff, 0xff, 0xff, 0xff, 0x0f], low: 0xffff_ffff, high: 0 },
    { bytes: [0x80, 0x80, 0x80, 0x80, 0x10], low: 0, high: 1 },
    { bytes: [...ones, 0x01], low: 0xffff_ffff, high: 0xffff_ffff },
    { bytes: [...ones, 0x7f], low: 0xffff_ffff, high: 0xffff_ffff },
    { bytes: [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], low: 0, high: 0x8000_0000 },
  ])('reads $bytes', ({ bytes, low, high }) => {
    expect(new ProtobufReader(Uint8Array.from(bytes)).varint()).toEqual({ low, high });
  });

  it('refuses an eleventh byte and a missing one', () => {
    expect(() => new ProtobufReader(Uint8Array.from([...ones, 0xff, 0x01])).varint()).toThrow(new ProtobufError('proto: integer overflow'));
    expect(() => new ProtobufReader(Uint8Array.from([0x80])).varint()).toThrow(new ProtobufError('unexpected EOF'));
  });

  it('stays right once it is compiled for speed', () => {
    for (let i = 0; i < 200_000; i++) {
      const length = 1 + (i % 10);
      const bytes = new Uint8Array(length).fill(0x81);
      bytes[length - 1] = 1;
      const { low, high } = new ProtobufReader(bytes).varint();
      if (low % 2 !== 1 || (length < 5 && high !== 0)) expect({ length, low, high }).toBeUndefined();
    }
  });

  it('knows signed numbers', () => {
    expect(toInt64({ low: 0xffff_fffe, high: 0xffff_ffff })).toBe(-2);
    expect(toInt64({ low: 5, high: 1 })).toBe(4_294_967_301);
    expect(toInt32({ low: 0xffff_ffff, high: 0xffff_ffff })).toBe(-1);
  });
});
