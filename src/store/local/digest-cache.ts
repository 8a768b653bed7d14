import type { BigIntStats } from 'node:fs';
import type { ObjectName } from '../../ir/name.ts';
import { hashFile, hashFileSoon, LARGE_BYTES_MIN } from './local.ts';
import { identityOf, tryStatNs } from '../../base/stat.ts';

interface Entry {
  readonly identity: string;
  readonly name: ObjectName;
  /** The timestamps were old enough when the file was hashed. */
  readonly settled: boolean;
}

/** Kernel timestamps tick at most every 10 ms (CONFIG_HZ=100); twice that, for the clocks' skew. */
const RACY_NS = 20_000_000n;
/** Files remembered: 1,000 units of 2,000 headers share far fewer. Older entries go first. */
const ENTRIES_MAX = 200_000;

function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

export class DigestCache {
  readonly #entries = new Map<string, Entry>();
  readonly #hashing = new Map<string, Promise<void>>();

  /** As `digest`; the process does other work while a large file is hashed. */
  async digestSoon(absPath: string): Promise<ObjectName | undefined> {
    const stat = tryStatNs(absPath);
    if (!stat?.isFile() || stat.size < LARGE_BYTES_MIN) return this.#digest(absPath, stat);
    const known = this.#known(absPath, stat);
    if (known) return known;
    const key = `${identityOf(stat)} ${absPath}`;
    let hashing = this.#hashing.get(key);
    if (!hashing) {
      const now = nowNs();
      hashing = hashFileSoon(absPath).then((name) => {
        // What changed meanwhile has another name by now.
        const after = tryStatNs(absPath);
        if (after && identityOf(after) === identityOf(stat)) this.#remember(absPath, stat, now, name);
      });
      this.#hashing.set(key, hashing);
    }
    await hashing.catch(() => {}).finally(() => this.#hashing.delete(key));
    return this.digest(absPath);
  }

  #known(absPath: string, stat: BigIntStats): ObjectName | undefined {
    const known = this.#entries.get(absPath);
    return known?.settled === true && known.identity === identityOf(stat) ? known.name : undefined;
  }

  #remember(absPath: string, stat: BigIntStats, hashedFromNs: bigint, name: ObjectName): void {
    const newest = stat.ctimeNs > stat.mtimeNs ? stat.ctimeNs : stat.mtimeNs;
    if (this.#entries.size >= ENTRIES_MAX) this.#entries.delete(this.#entries.keys().next().value as string);
    const settled = hashedFromNs - newest > RACY_NS;
    this.#entries.set(absPath, { identity: identityOf(stat), name, settled });
  }

  /** The file's name as a value; undefined when it is missing, unreadable or not a regular file. */
  digest(absPath: string): ObjectName | undefined {
    return this.#digest(absPath, tryStatNs(absPath));
  }

  #digest(absPath: string, stat: BigIntStats | undefined): ObjectName | undefined {
    if (!stat?.isFile()) return undefined;
    const known = this.#known(absPath, stat);
    if (known) return known;
    const now = nowNs();
    let name: ObjectName;
    try {
      name = hashFile(absPath);
    } catch {
      return undefined;
    }
    this.#remember(absPath, stat, now, name);
    return name;
  }
}
