// Gathers small blobs of whoever stores some at about the same time into packs.
import type { ObjectName } from '../../../ir/name.ts';
import { PackBuilder } from './packs.ts';

export type NamedBlob = readonly [ObjectName, Uint8Array];

/** Milliseconds the first blob of a pack waits for others: little beside the request that follows, and many come in it. */
const LINGER_MS = 20;
/** Packs being sent before those who have more must wait. */
const PACKS_AHEAD_MAX = 8;

interface Batch {
  readonly promise: Promise<void>;
  readonly settle: (sent: Promise<void>) => void;
}

export class Packer {
  readonly #send: (blobs: readonly NamedBlob[]) => Promise<void>;
  readonly #builder = new PackBuilder();
  readonly #sending = new Set<Promise<void>>();
  #batch: Batch | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (blobs: readonly NamedBlob[]) => Promise<void>) {
    this.#send = send;
  }

  /** Resolves when there is room for more. */
  async ready(): Promise<void> {
    while (this.#sending.size >= PACKS_AHEAD_MAX) await Promise.race(this.#sending);
  }

  /** @returns the promise that the blob is stored; the same one for all blobs of a pack. */
  add(name: ObjectName, bytes: Uint8Array): Promise<void> {
    if (!this.#batch) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#batch = { promise, settle: (sent) => sent.then(resolve, reject) };
      this.#timer = setTimeout(() => this.#flush(), LINGER_MS);
    }
    const { promise } = this.#batch;
    if (this.#builder.add(name, bytes)) this.#flush();
    return promise;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    const sent = this.#send(this.#builder.take());
    this.#batch!.settle(sent);
    this.#batch = undefined;
    const watched = sent.catch(() => {}).finally(() => this.#sending.delete(watched));
    this.#sending.add(watched);
  }
}
