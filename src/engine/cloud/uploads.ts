// Brings inputs to where workers find them: each blob once, in batches, from the local store or from the file in place
// (headers of the system are not copied into the store). Small blobs only one request needs travel with that request.
import { type ObjectName, sizeOf } from '../../ir/name.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { type BlobSource, RemoteError, type RemoteStore } from '../../store/remote/remote.ts';

/** A blob and where a file with these bytes should be, if the store has none. */
export interface Wanted {
  readonly name: ObjectName;
  readonly absPath: string;
}

export interface UploadsParts {
  readonly store: LocalStore;
  readonly remote: RemoteStore;
  /** The value name of a file as it is now (DigestCache.digest). */
  readonly digestOf: (absPath: string) => ObjectName | undefined;
}

/** Blobs are collected this long, so that small ones of many requests share packs. */
const BATCH_MS = 4;
/** Larger ones go by themselves: small ones do not wait for them. */
const ALONE_BYTES = 1024 * 1024;
/** A blob up to this size travels with the first request that wants it. */
const INLINE_BYTES_MAX = 96 * 1024;

export class Uploads {
  readonly #p: UploadsParts;
  readonly #onTheWay = new Map<ObjectName, Promise<void>>();
  /** Travelled inline once; wanted a second time they are worth an upload. */
  readonly #once = new Set<ObjectName>();
  #batch: { blobs: Map<ObjectName, () => BlobSource | undefined>; done: Promise<void> } | undefined;
  inlineBytes = 0;

  constructor(parts: UploadsParts) {
    this.#p = parts;
  }

  /** undefined: the bytes are nowhere any more. */
  #source(wanted: Wanted): BlobSource | undefined {
    const kept = this.#p.store.path(wanted.name);
    if (kept !== undefined) return { absPath: kept };
    return this.#p.digestOf(wanted.absPath) === wanted.name ? { absPath: wanted.absPath } : undefined;
  }

  /** True when workers find it, or will once what is on its way has come. */
  known(name: ObjectName): boolean {
    return this.#p.remote.known(name) || this.#onTheWay.has(name);
  }

  /**
   * Makes every blob reachable; resolves when that is so.
   * @param roomBytes what may travel with the request.
   * @returns blobs to send along: name -> base64.
   * @throws RemoteError; `missing-blob` when an input's bytes are gone here.
   */
  async provide(wanted: readonly Wanted[], roomBytes: number): Promise<Record<string, string>> {
    const inline: Record<string, string> = {};
    const waits: Promise<void>[] = [];
    let room = roomBytes;
    for (const one of wanted) {
      if (this.#p.remote.known(one.name) || inline[one.name] !== undefined) continue;
      const coming = this.#onTheWay.get(one.name);
      if (coming) {
        waits.push(coming);
        continue;
      }
      const size = sizeOf(one.name);
      if (size <= INLINE_BYTES_MAX && size <= room && !this.#once.has(one.name)) {
        const bytes = this.#p.store.get(one.name);
        if (bytes) {
          this.#once.add(one.name);
          inline[one.name] = bytes.toString('base64');
          room -= size;
          this.inlineBytes += size;
          continue;
        }
      }
      waits.push(this.#send(one));
    }
    if (waits.length > 0) await Promise.all(waits);
    return inline;
  }

  /** Blobs a worker did not find or found damaged: they are sent again when they are wanted next. */
  forget(names: Iterable<ObjectName>): void {
    for (const name of names) {
      this.#p.remote.forget(name);
      this.#once.add(name);
    }
  }

  #send(wanted: Wanted): Promise<void> {
    const { remote } = this.#p;
    const alone = sizeOf(wanted.name) > ALONE_BYTES;
    const source = (): BlobSource | undefined => this.#source(wanted);
    const sent = alone ? this.#putAlone(wanted.name, source) : this.#putBatched(wanted.name, source);
    const done = sent
      .then(() => {
        if (!remote.known(wanted.name))
          throw new RemoteError('missing-blob', `${wanted.absPath} no longer holds ${wanted.name}`);
      })
      .finally(() => this.#onTheWay.delete(wanted.name));
    this.#onTheWay.set(wanted.name, done);
    return done;
  }

  async #putAlone(name: ObjectName, source: () => BlobSource | undefined): Promise<void> {
    const bytes = source();
    if (bytes !== undefined) await this.#p.remote.put(name, bytes);
  }

  #putBatched(name: ObjectName, source: () => BlobSource | undefined): Promise<void> {
    if (!this.#batch) {
      const blobs = new Map<ObjectName, () => BlobSource | undefined>();
      const done = new Promise<void>((resolve) => setTimeout(resolve, BATCH_MS)).then(() => {
        this.#batch = undefined;
        return this.#p.remote.putAll(blobs);
      });
      this.#batch = { blobs, done };
    }
    this.#batch.blobs.set(name, source);
    return this.#batch.done;
  }
}
