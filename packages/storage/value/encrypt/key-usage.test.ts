import { describe, expect, it } from 'vitest';
import { KeyUsage, maxWrites } from './key-usage.ts';

class MemoryFile {
  saved: Readonly<Record<string, number>>;

  constructor(saved: Readonly<Record<string, number>> = {}) {
    this.saved = saved;
  }

  async load() {
    return this.saved;
  }

  async save(counts: Readonly<Record<string, number>>) {
    this.saved = { ...counts };
  }
}

describe('KeyUsage', () => {
  it('counts over restarts, exactly when they are orderly and never too low by a crash', async () => {
    const file = new MemoryFile();
    const usage = await KeyUsage.open(file);
    await usage.remember(['k']);
    for (let i = 0; i < 15_000; i++) {
      usage.counterOf('k').add();
      await new Promise((resolve) => setImmediate(resolve));
      expect(file.saved.k).toBeGreaterThanOrEqual(i + 1);
    }
    expect(file.saved.k).toBeLessThanOrEqual(25_000);
    await usage.close();
    expect(file.saved.k).toBe(15_000);
    expect((await KeyUsage.open(file)).counterOf('k').count).toBe(15_000);
  });

  it('knows a key only once it was accepted', async () => {
    const file = new MemoryFile({ old: 3 });
    const usage = await KeyUsage.open(file);
    usage.counterOf('refused');
    await usage.remember(['new']);
    expect([...usage.known]).toEqual(['old', 'new']);
    expect(file.saved).toEqual({ old: 3, new: 0 });
  });

  it('refuses a key after 2³² writes', async () => {
    const usage = await KeyUsage.open(new MemoryFile({ k: maxWrites - 1 }));
    usage.counterOf('k').add();
    expect(() => usage.counterOf('k').add()).toThrow('must be replaced');
    await usage.close();
  });
});
