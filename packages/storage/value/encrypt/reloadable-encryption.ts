import type { Transformer } from '../transformer.ts';
import type { Encryption } from './encryption.ts';

/**
 * Encryption whose configuration can be replaced while the server runs. The transformers it hands out stay valid; objects that
 * were written under the old first provider become stale at the moment of the exchange.
 */
export class ReloadableEncryption {
  #current: Encryption;

  constructor(initial: Encryption) {
    this.#current = initial;
  }

  get current(): Encryption {
    return this.#current;
  }

  transformerFor(group: string, resource: string): Transformer {
    const current = () => this.#current.transformerFor(group, resource);
    return {
      get writeId() {
        return current().writeId ?? '';
      },
      fromStorage: (stored, context) => current().fromStorage(stored, context),
      toStorage: (plain, context) => current().toStorage(plain, context),
    };
  }

  /** Uses `next` from now on. The caller closes the old one (returned) when nothing can be using it any more. */
  replace(next: Encryption): Encryption {
    const old = this.#current;
    this.#current = next;
    return old;
  }
}
