// Which blobs were verified, by what tells their files apart: a file that was written to, replaced or linked since is read again.
import type { BigIntStats } from 'node:fs';
import { identityOf } from '../../base/stat.ts';
import type { ObjectName } from '../../ir/name.ts';

/** Some 150 bytes each. */
const VOUCHED_MAX = 50_000;
/** A write within the kernel's clock tick leaves the same times: what is younger cannot be told apart. */
const TICK_NS = 20_000_000n;

export class Vouched {
  /** Oldest first. */
  readonly #identityByName = new Map<ObjectName, string>();

  holds(name: ObjectName, stat: BigIntStats): boolean {
    return this.#identityByName.get(name) === textOf(stat);
  }

  /** @param stat from before the file was read. */
  add(name: ObjectName, stat: BigIntStats): void {
    this.#identityByName.delete(name);
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    if (nowNs - stat.ctimeNs < TICK_NS) return;
    this.#identityByName.set(name, textOf(stat));
    if (this.#identityByName.size <= VOUCHED_MAX) return;
    for (const oldest of this.#identityByName.keys()) {
      this.#identityByName.delete(oldest);
      break;
    }
  }
}

const textOf = (stat: BigIntStats): string => `${identityOf(stat)}:${stat.nlink}`;
