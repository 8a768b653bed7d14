// Which inputs stay as they are while a build runs: files of packages, which a package manager replaces and nobody edits. They
// are not copied into the store. Everything else is, also below /usr/local and /usr/src.
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { isBelow, PACKAGE_ROOTS } from '../scan/disk/watching.ts';

/** Directories remembered: the system's, some hundreds a build. The oldest goes first. */
const DIRECTORIES_MAX = 10_000;
/** Milliseconds an answer is believed: a directory may be replaced by a link to another place. */
const RECHECK_MS = 5000;

interface Known {
  readonly packaged: boolean;
  readonly atMs: number;
}

const known = new Map<string, Known>();

/** @param path absolute, as the tool spells it. */
export function isPackaged(path: string, roots: readonly string[] = PACKAGE_ROOTS): boolean {
  if (!isBelow(path, roots)) return false;
  const directory = dirname(path);
  const now = Date.now();
  const before = known.get(directory);
  if (before !== undefined && now - before.atMs < RECHECK_MS) return before.packaged;
  let packaged = false;
  try {
    packaged = isBelow(realpathSync.native(directory), roots);
  } catch {
    // not there: nothing to vouch for
  }
  known.delete(directory);
  if (known.size >= DIRECTORIES_MAX) known.delete(known.keys().next().value as string);
  known.set(directory, { packaged, atMs: now });
  return packaged;
}
