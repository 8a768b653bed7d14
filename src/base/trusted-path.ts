// May a directory be believed? Only if nobody but this user and root can put another one in its place: the same rule as
// wrappers/trusted.h.
import { chmodSync, lstatSync, mkdirSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tryLstat } from './stat.ts';

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
/** Symlinks on one path, as the kernel counts them. */
const HOPS_MAX = 40;

/** The directory cannot be used; the message names what is wrong with it. */
export class UntrustedPath extends Error {
  override readonly name = 'UntrustedPath';
}

const parts = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');

/**
 * Looks at every directory and symlink that leads to `path`; what does not exist yet, nobody else can make.
 * @returns what is wrong with the first one that somebody else could have put there; undefined: nothing.
 */
export function distrust(path: string, uid: number): string | undefined {
  const rest = parts(resolve(path));
  // In a user namespace without a mapping root's files belong to somebody without a name.
  const root = tryLstat('/')?.uid ?? 0;
  let at = '';
  for (let hops = 0; rest.length > 0; ) {
    const part = rest.shift()!;
    if (part === '..') {
      at = at.slice(0, at.lastIndexOf('/'));
      continue;
    }
    const next = `${at}/${part}`;
    const stat = tryLstat(next);
    if (!stat) return undefined;
    if (stat.uid !== uid && stat.uid !== 0 && stat.uid !== root)
      return `${next} belongs to another user (${stat.uid})`;
    if (stat.isSymbolicLink()) {
      if (++hops > HOPS_MAX) return `${path} leads through too many symlinks`;
      const target = readlinkSync(next);
      rest.unshift(...parts(target));
      if (target.startsWith('/')) at = '';
      continue;
    }
    // The last directory is closed by its owner (ownDirectory).
    if (rest.length > 0 && isOpen(stat.mode, stat.gid, uid)) return `others may write to ${next}`;
    at = next;
  }
  return undefined;
}

/** A group that has the user's own number is the user's alone, and a sticky directory protects what is in it. */
function isOpen(mode: number, gid: number, uid: number): boolean {
  if ((mode & STICKY) !== 0) return false;
  const forbidden = gid === uid && gid === process.getgid?.() ? 0o002 : OTHERS_WRITE;
  return (mode & forbidden) !== 0;
}

/**
 * Makes a directory that only this user can read and write, or closes the one that is there.
 * @returns true when others could write to it until now.
 * @throws UntrustedPath when it is somebody else's; the file system's error when it cannot be made.
 */
export function ownDirectory(path: string, uid: number): boolean {
  for (const look of ['before it is made', 'after it']) {
    const fault = distrust(path, uid);
    if (fault !== undefined) throw new UntrustedPath(fault);
    if (look === 'before it is made') mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  const real = realpathSync(path);
  const stat = lstatSync(real);
  if (!stat.isDirectory()) throw new UntrustedPath(`${path} is no directory`);
  if (stat.uid !== uid) throw new UntrustedPath(`${path} belongs to another user (${stat.uid})`);
  if ((stat.mode & 0o077) === 0) return false;
  chmodSync(real, 0o700);
  return (stat.mode & OTHERS_WRITE) !== 0;
}

/**
 * Removes what others may have put into a directory that was open to them.
 * @returns how many files that were.
 */
export function removeForeign(directory: string, uid: number): number {
  let removed = 0;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    const isOpenFile = !stat.isSymbolicLink() && !stat.isDirectory() && (stat.mode & OTHERS_WRITE) !== 0;
    if (stat.uid !== uid || isOpenFile) {
      rmSync(path, { recursive: true, force: true });
      removed++;
    } else if (stat.isDirectory()) {
      if ((stat.mode & OTHERS_WRITE) !== 0) chmodSync(path, 0o700);
      removed += removeForeign(path, uid);
    }
  }
  return removed;
}
