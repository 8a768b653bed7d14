// A remote store in memory, with faults on demand.
import { readFileSync, writeFileSync } from 'node:fs';
import { nameValue, type ObjectName } from '../../../src/ir/name.ts';
import type { PackHints } from '../../../src/store/remote/packs/packs.ts';
import {
  type BlobSource,
  type RemoteAddress,
  type RemoteCounters,
  RemoteError,
  type RemoteStore,
} from '../../../src/store/remote/remote.ts';
import type { Reduction } from '../../../src/store/store.ts';

export class MemoryRemote implements RemoteStore {
  readonly address: RemoteAddress = { kind: 's3', bucket: 'b', prefix: 'p', region: 'r' };
  readonly counters: RemoteCounters = {
    putCount: 0,
    getCount: 0,
    listCount: 0,
    retryCount: 0,
    sentBytes: 0,
    receivedBytes: 0,
  };
  readonly blobs = new Map<ObjectName, Buffer>();
  readonly reductions = new Map<ObjectName, Reduction>();
  /** Thrown by the next calls, until it is taken away. */
  fault: RemoteError | undefined;
  readonly #known = new Set<ObjectName>();

  known(name: ObjectName): boolean {
    return this.#known.has(name);
  }

  async prepare(): Promise<void> {}

  async put(name: ObjectName, source: BlobSource): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fault) throw this.fault;
    this.counters.putCount++;
    const bytes = Buffer.from('absPath' in source ? readFileSync(source.absPath) : source);
    if (nameValue(bytes) !== name) throw new RemoteError('digest-mismatch', name);
    this.blobs.set(name, bytes);
    this.#known.add(name);
    this.counters.sentBytes += bytes.length;
  }

  async putAll(blobs: Iterable<readonly [ObjectName, () => BlobSource | undefined]>): Promise<void> {
    for (const [name, open] of blobs) {
      const source = open();
      if (source !== undefined) await this.put(name, source);
    }
  }

  async get(name: ObjectName): Promise<Buffer> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fault) throw this.fault;
    this.counters.getCount++;
    const bytes = this.blobs.get(name);
    if (!bytes) throw new RemoteError('missing-blob', `GET ${name}: not there`);
    if (nameValue(bytes) !== name) throw new RemoteError('digest-mismatch', `GET ${name}: other bytes`);
    return bytes;
  }

  async getFile(name: ObjectName, absPath: string): Promise<void> {
    writeFileSync(absPath, await this.get(name), { flag: 'wx' });
  }

  forget(name: ObjectName): void {
    this.#known.delete(name);
  }

  noteStored(name: ObjectName): void {
    this.#known.add(name);
  }

  hints(): PackHints {
    return {};
  }

  learn(): void {}

  async reduction(thunk: ObjectName): Promise<Reduction | undefined> {
    return this.reductions.get(thunk);
  }

  async putReduction(reduction: Reduction): Promise<void> {
    this.reductions.set(reduction.thunk, reduction);
  }

  async close(): Promise<void> {}
}
