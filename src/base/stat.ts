// Stats that answer undefined for whatever cannot be looked at: missing, forbidden, behind a file, too long, a loop.
import { type BigIntStats, lstatSync, type Stats, statSync } from 'node:fs';

export function tryStat(absPath: string): Stats | undefined {
  try {
    return statSync(absPath, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Of the link itself. */
export function tryLstat(absPath: string): Stats | undefined {
  try {
    return lstatSync(absPath, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** With nanoseconds. */
export function tryStatNs(absPath: string): BigIntStats | undefined {
  try {
    return statSync(absPath, { throwIfNoEntry: false, bigint: true });
  } catch {
    return undefined;
  }
}

/** A text that is another one once the file was written to, replaced or touched. */
export function identityOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

/** Of the link itself, with nanoseconds. */
export function tryLstatNs(absPath: string): BigIntStats | undefined {
  try {
    return lstatSync(absPath, { throwIfNoEntry: false, bigint: true });
  } catch {
    return undefined;
  }
}
