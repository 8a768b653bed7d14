// The worker's warm store: verified blobs as read-only files, the least recently used ones removed above a limit.
//
//   DIRECTORY/blobs/HH/NAME   HH: the first two hex digits of the hash; mode 0555, since the toolchain's programs are linked
//                             from here, and one mtime, since results may depend on differences between them
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type ObjectName, parseRef, sizeOf } from '../../ir/name.ts';
import { hashFile } from '../../store/local/local.ts';
import { Vouched } from '../../store/local/vouched.ts';
import { BlobError, type BlobFetcher } from './blobs.ts';

/** Seconds; every file a tool reads has this mtime but those of another class (root.ts). */
export const BLOB_MTIME_S = 1_000_000_000;
/** Room for a toolchain of 120 MB and the inputs of big links in the smallest /tmp of a Lambda (512 MB), outputs aside. */
export const CACHE_BYTES_MAX = 384 * 1024 * 1024;
/** Fetches at once: enough to hide latency, few enough for 1,024 descriptors. */
const FETCHES_MAX = 32;

export interface CacheCounters {
  /** Blobs asked for that were there. */
  warmBlobs: number;
  fetchedBlobs: number;
  fetchedBytes: number;
}

export class BlobCache {
  readonly counters: CacheCounters = { warmBlobs: 0, fetchedBlobs: 0, fetchedBytes: 0 };
  readonly #directory: string;
  readonly #bytesMax: number;
  /** Least recently used first. */
  readonly #held = new Map<ObjectName, { pins: number }>();
  readonly #vouched = new Vouched();
  readonly #coming = new Map<ObjectName, Promise<void>>();
  #bytes = 0;
  #serial = 0;

  constructor(directory: string, bytesMax = CACHE_BYTES_MAX) {
    this.#directory = join(directory, 'blobs');
    this.#bytesMax = bytesMax;
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    // Fetches that an earlier process did not finish.
    for (const file of readdirSync(directory))
      if (/^blob-\d+-\d+(?:\.zst)?$/.test(file)) rmSync(join(directory, file), { force: true });
    for (const sub of readdirSync(this.#directory))
      for (const file of readdirSync(join(this.#directory, sub))) {
        const path = join(this.#directory, sub, file);
        if (parseRef(file)?.type === 'V' && statSync(path).size === sizeOf(file)) {
          this.#held.set(file as ObjectName, { pins: 0 });
          this.#bytes += sizeOf(file);
        } else rmSync(path, { force: true });
      }
  }

  get bytes(): number {
    return this.#bytes;
  }

  path(name: ObjectName): string {
    return join(this.#directory, name.slice(1, 3), name);
  }

  /**
   * Has all of these here and keeps them until `release`.
   * @param inline base64 of blobs that came with the request
   * @throws BlobError; nothing is kept then.
   */
  async hold(
    names: Iterable<ObjectName>,
    fetcher: BlobFetcher,
    inline: Readonly<Record<string, string>> = {},
  ): Promise<readonly ObjectName[]> {
    const all = [...new Set(names)];
    const held: ObjectName[] = [];
    let next = 0;
    let failure: unknown;
    const lane = async (): Promise<void> => {
      while (next < all.length && failure === undefined) {
        const name = all[next++]!;
        try {
          await this.#one(name, fetcher, inline[name]);
          held.push(name);
        } catch (error) {
          failure ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(FETCHES_MAX, all.length) }, lane));
    if (failure !== undefined) {
      this.release(held);
      throw failure;
    }
    return held;
  }

  release(names: Iterable<ObjectName>): void {
    for (const name of names) {
      const entry = this.#held.get(name);
      if (entry) entry.pins--;
    }
  }

  async #one(name: ObjectName, fetcher: BlobFetcher, inline: string | undefined): Promise<void> {
    for (;;) {
      const entry = this.#held.get(name);
      if (entry && this.#verify(name)) {
        entry.pins++;
        this.#held.delete(name);
        this.#held.set(name, entry);
        this.counters.warmBlobs++;
        return;
      }
      const coming = this.#coming.get(name);
      if (!coming) break;
      await coming;
    }
    const fetching = this.#bring(name, fetcher, inline);
    this.#coming.set(
      name,
      fetching.catch(() => {}),
    );
    try {
      await fetching;
    } finally {
      this.#coming.delete(name);
    }
  }

  /** Whatever ran here since may have written to the file: it is read again unless its identity says that nobody did. */
  #verify(name: ObjectName): boolean {
    const path = this.path(name);
    try {
      const stat = lstatSync(path, { bigint: true });
      if (stat.isFile() && this.#vouched.holds(name, stat)) return true;
      if (stat.isFile() && hashFile(path) === name) {
        this.#vouched.add(name, stat);
        return true;
      }
    } catch {
      // gone
    }
    this.#drop(name);
    return false;
  }

  async #bring(name: ObjectName, fetcher: BlobFetcher, inline: string | undefined): Promise<void> {
    if (parseRef(name)?.type !== 'V') throw new BlobError('missing-blob', `${name} is not a value`);
    this.#makeRoom(sizeOf(name));
    const temporary = join(this.#directory, '..', `blob-${process.pid}-${this.#serial++}`);
    try {
      if (inline === undefined) {
        await fetcher.fetch(name, temporary);
        this.counters.fetchedBlobs++;
        this.counters.fetchedBytes += fetcher.travelBytes?.(name) ?? sizeOf(name);
      } else writeFileSync(temporary, Buffer.from(inline, 'base64'));
      if (hashFile(temporary) !== name) throw new BlobError('digest-mismatch', name);
      this.#enter(name, temporary).pins++;
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  /** Takes a finished file of known hash; it is moved. It stays held until `release`. */
  add(name: ObjectName, absPath: string): void {
    const entry = this.#held.get(name);
    if (entry && this.#verify(name)) {
      entry.pins++;
      rmSync(absPath, { force: true });
      return;
    }
    this.#makeRoom(sizeOf(name));
    this.#enter(name, absPath).pins++;
  }

  #enter(name: ObjectName, from: string): { pins: number } {
    chmodSync(from, 0o555);
    utimesSync(from, BLOB_MTIME_S, BLOB_MTIME_S);
    const to = this.path(name);
    mkdirSync(join(to, '..'), { recursive: true, mode: 0o755 });
    // Through another name of the file, what made it could still change it.
    if (lstatSync(from).nlink > 1) {
      copyFileSync(from, `${to}.copy`);
      utimesSync(`${to}.copy`, BLOB_MTIME_S, BLOB_MTIME_S);
      rmSync(from, { force: true });
      renameSync(`${to}.copy`, to);
    } else renameSync(from, to);
    const entry = { pins: 0 };
    this.#held.set(name, entry);
    this.#bytes += sizeOf(name);
    return entry;
  }

  #drop(name: ObjectName): void {
    rmSync(this.path(name), { force: true });
    if (this.#held.delete(name)) this.#bytes -= sizeOf(name);
  }

  #makeRoom(bytes: number): void {
    for (const [name, entry] of this.#held) {
      if (this.#bytes + bytes <= this.#bytesMax) return;
      if (entry.pins === 0) this.#drop(name);
    }
    if (this.#bytes + bytes > this.#bytesMax)
      throw new BlobError('missing-blob', `no room for ${bytes} bytes beside ${this.#bytes} in use`);
  }
}
