import type { ObjectName } from '../ir/name.ts';
import { hashFile } from './local.ts';
import { tryStatNs } from './stat.ts';

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

export class DigestCache {
  readonly #entries = new Map<string, Entry>();

  /** The file's name as a value; undefined when it is missing, unreadable or not a regular file. */
  digest(absPath: string): ObjectName | undefined {
    const stat = tryStatNs(absPath);
    if (!stat?.isFile()) return undefined;
    const identity = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    const known = this.#entries.get(absPath);
    if (known?.settled === true && known.identity === identity) return known.name;
    const now = BigInt(Date.now()) * 1_000_000n;
    let name: ObjectName;
    try {
      name = hashFile(absPath);
    } catch {
      return undefined;
    }
    const newest = stat.ctimeNs > stat.mtimeNs ? stat.ctimeNs : stat.mtimeNs;
    if (this.#entries.size >= ENTRIES_MAX) this.#entries.delete(this.#entries.keys().next().value as string);
    this.#entries.set(absPath, { identity, name, settled: now - newest > RACY_NS });
    return name;
  }
}
