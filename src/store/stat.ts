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

/** Of the link itself, with nanoseconds. */
export function tryLstatNs(absPath: string): BigIntStats | undefined {
  try {
    return lstatSync(absPath, { throwIfNoEntry: false, bigint: true });
  } catch {
    return undefined;
  }
}
