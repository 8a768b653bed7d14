// Which directories are watched, so that their files need not be looked at for every scan.
//
// A watch on a directory tells what is done through its names. It says nothing of a write through another hard link (made
// anywhere, at any time, without an event here) or through a shared mapping. Package managers do neither: they put a new file
// in the old one's place. So watches vouch for the files of packages, thousands of them and nearly all that a unit reads;
// a user's own files, tens to hundreds, are looked at each time.
import { type FSWatcher, openSync, readSync, realpathSync, type Stats, statSync, watch } from 'node:fs';
import { basename } from 'node:path';

/** Below these stand the files of packages. */
export const PACKAGE_ROOTS: readonly string[] = [
  '/gnu/store',
  '/nix/store',
  '/usr/include',
  '/usr/lib',
  '/usr/lib32',
  '/usr/lib64',
  '/usr/libexec',
  '/usr/share',
];

/** Bits of a mode that let others than the owner write. */
const OTHERS_WRITE = 0o022;
/** Bytes of a mount table; a larger one counts as changed each time. */
const MOUNT_TABLE_BYTES_MAX = 256 * 1024;

/** True for one of the directories and for what is in them, at any depth. All are absolute. */
export function isBelow(path: string, directories: readonly string[]): boolean {
  return directories.some((d) => path === d || path.startsWith(d.endsWith('/') ? d : `${d}/`));
}

/**
 * @param path of the directory that `stat` is of.
 * @param event gets a name in the directory; undefined when the directory itself moved or went; null when not known.
 * @returns 'refused' when the user's limit is reached, 'unwatchable' for a place that is never watched, undefined when it
 *   cannot be done now.
 */
export function startWatch(
  path: string,
  stat: Stats,
  roots: readonly string[],
  event: (name: string | null | undefined) => void,
): FSWatcher | 'refused' | 'unwatchable' | undefined {
  if (roots.length === 0) return 'unwatchable';
  try {
    // Watches of one inode share the path of the first, whose last part names the directory in events of its own.
    const real = realpathSync.native(path);
    if (!isBelow(real, roots)) return 'unwatchable';
    if ((stat.mode & OTHERS_WRITE) !== 0) return undefined;
    const self = basename(real);
    const watcher = watch(real, { persistent: false }, (_, name) => event(name === self ? undefined : name));
    const watched = statSync(real, { throwIfNoEntry: false });
    if (watched?.ino === stat.ino && watched.dev === stat.dev && watched.birthtimeMs === stat.birthtimeMs)
      return watcher;
    watcher.close();
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOSPC' || code === 'EMFILE' ? 'refused' : undefined;
  }
}

/** The mounts this process sees. */
export class MountTable {
  #fd: number | undefined;
  #last: Buffer | undefined;
  readonly #buffer = Buffer.allocUnsafe(MOUNT_TABLE_BYTES_MAX);

  /** @returns true when they are not what they were at the last call; the first call says false. */
  changed(): boolean {
    const now = this.#read();
    const same = now !== undefined && (this.#last === undefined || now.equals(this.#last));
    if (!same || this.#last === undefined) this.#last = now && Buffer.from(now);
    return !same;
  }

  #read(): Buffer | undefined {
    try {
      this.#fd ??= openSync('/proc/self/mountinfo', 'r');
      let length = 0;
      for (;;) {
        const count = readSync(this.#fd, this.#buffer, length, MOUNT_TABLE_BYTES_MAX - length, length);
        length += count;
        if (count === 0) return this.#buffer.subarray(0, length);
        if (length === MOUNT_TABLE_BYTES_MAX) return undefined;
      }
    } catch {
      return undefined;
    }
  }
}
