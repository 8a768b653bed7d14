// What lies in which pack, learnt with few requests: merged indexes first, then the indexes they do not cover. When those have
// become many, whoever may write merges all, so that the next one needs one request again.
import type { ObjectName } from '../../../ir/name.ts';
import {
  INDEX_BYTES_MAX,
  isMergedName,
  isPackName,
  type MergedName,
  mergedNameOf,
  type PackIndex,
  type PackName,
  type PackPlace,
  readIndex,
  readMerged,
} from '../packs/packs.ts';
import { RemoteError } from '../remote.ts';
import type { S3Wire } from './s3-wire.ts';

/** So many single indexes are read in one round of parallel requests. */
const MERGE_ABOVE_COUNT = 64;
/** 200,000 blobs. What is more stays unmerged. */
const MERGED_BYTES_MAX = 16 * 1024 * 1024;

/** A reader of what is below `prefix` (with its trailing slash). */
export class S3Indexes {
  readonly #wire: S3Wire;
  readonly #prefix: string;

  constructor(wire: S3Wire, prefix: string) {
    this.#wire = wire;
    this.#prefix = prefix;
  }

  /** Undefined when it is not there. */
  async #read(name: string, signal: AbortSignal | undefined): Promise<Buffer | undefined> {
    const sizeMax = isMergedName(name) ? MERGED_BYTES_MAX : INDEX_BYTES_MAX;
    return this.#wire.get(this.#prefix + name, { sizeMax, signal }).catch((error: unknown) => {
      if (error instanceof RemoteError && /^(?:missing-blob|digest-mismatch)$/.test(error.reason))
        return undefined;
      throw error;
    });
  }

  /**
   * @param listed names below the prefix. An index that is damaged or gone is as good as none: its blobs are put again.
   * @returns what to do afterwards, in nobody's way; undefined: nothing.
   */
  async learn(
    listed: readonly string[],
    take: (name: ObjectName, place: PackPlace) => void,
    signal: AbortSignal | undefined,
  ): Promise<(() => Promise<void>) | undefined> {
    const merged = listed.filter((name) => isMergedName(name));
    const wanted = new Set<PackName>(listed.filter((name) => isPackName(name)));
    const indexes: PackIndex[] = [];
    const add = (index: PackIndex): void => {
      // A pack whose own index is gone has been removed with it.
      if (!wanted.delete(index.pack)) return;
      indexes.push(index);
      for (const [name, place] of index.places) take(name, place);
    };
    await Promise.all(
      merged.map(async (name) => {
        const bytes = await this.#read(name, signal);
        for (const index of bytes ? readMerged(bytes, name) : []) add(index);
      }),
    );
    const single = [...wanted];
    await Promise.all(
      single.map(async (pack) => {
        const bytes = await this.#read(pack, signal);
        const index = bytes && readIndex(bytes, pack);
        if (index) add(index);
      }),
    );
    return single.length > MERGE_ABOVE_COUNT ? () => this.#merge(indexes, merged) : undefined;
  }

  /** Failing is no harm: the next one tries again. */
  async #merge(indexes: readonly PackIndex[], old: readonly MergedName[]): Promise<void> {
    const chosen: Buffer[] = [];
    let sizeBytes = 0;
    for (const { bytes } of indexes.toSorted((a, b) => (a.pack < b.pack ? -1 : 1))) {
      if (sizeBytes + bytes.length > MERGED_BYTES_MAX) break;
      chosen.push(bytes);
      sizeBytes += bytes.length;
    }
    const bytes = Buffer.concat(chosen);
    const name = mergedNameOf(bytes);
    try {
      await this.#wire.put(this.#prefix + name, bytes, { sha256: name.slice(1, 65), ifAbsent: false });
      for (const other of old) if (other !== name) await this.#wire.delete(this.#prefix + other);
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
    }
  }
}
