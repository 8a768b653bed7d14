// The tree below a virtual root: the toolchain, as hard links of cached blobs, and exactly the declared inputs, as copies. Every name is
// resolved here, symlinks and ".." included, so that nothing is ever made outside of the root.
//
// A root serves one run after the other: the toolchain and empty directories stay (on a large ext4 a directory costs a
// millisecond to make), everything else goes.
import {
  chmodSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import type { ObjectName } from '../../ir/name.ts';
import { BLOB_MTIME_S } from '../blobs/blob-cache.ts';
import { HOPS_MAX, linkText, pathParts } from './link-text.ts';

export class RootError extends Error {
  override readonly name = 'RootError';
}

const parent = (path: string): string => path.slice(0, path.lastIndexOf('/'));

export class Root {
  /** Absolute and canonical. */
  readonly path: string;
  /** Names below are canonical: absolute below the root, no symlinks, no ".."; the root itself is ''. */
  readonly #directories = new Set<string>(['']);
  readonly #files = new Map<string, ObjectName>();
  readonly #links = new Map<string, string>();
  /** Kept files to their inodes and blobs. */
  readonly #kept = new Map<string, { readonly inode: number; readonly name: ObjectName }>();

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { mode: 0o755 });
  }

  /** @returns the canonical name; the last part's symlink is followed too. `make`: what leads there is made */
  #resolve(path: string, make = true): string {
    const rest = pathParts(path);
    let at = '';
    let hops = 0;
    while (rest.length > 0) {
      const part = rest.shift()!;
      if (part === '..') {
        at = parent(at);
        continue;
      }
      const next = `${at}/${part}`;
      const target = this.#links.get(next);
      if (target !== undefined) {
        if (++hops > HOPS_MAX) throw new RootError(`${path}: too many symlinks`);
        rest.unshift(...pathParts(target));
        if (target.startsWith('/')) at = '';
        continue;
      }
      if (make && rest.length > 0) this.#make(next);
      at = next;
    }
    return at;
  }

  #make(directory: string): void {
    if (this.#directories.has(directory)) return;
    if (this.#files.has(directory)) throw new RootError(`${directory} is a file and a directory`);
    mkdirSync(this.path + directory, { mode: 0o755 });
    this.#directories.add(directory);
  }

  directory(path: string): void {
    this.#make(this.#resolve(path));
  }

  /** `path` is canonical but for its last part. */
  link(path: string, target: string): void {
    const at = `${this.#resolve(parent(path) || '/')}/${pathParts(path).at(-1)}`;
    this.#make(parent(at));
    if (this.#links.get(at) === target) return;
    symlinkSync(linkText(target, pathParts(parent(at)).length), this.path + at);
    this.#links.set(at, target);
  }

  /**
   * Puts a copy of a blob there: a run may write to it.
   * @param mtimeClass decides its mtime
   * @throws RootError when something else is there
   */
  file(path: string, name: ObjectName, source: string, mtimeClass = 0): void {
    const at = this.#place(path, name);
    if (at === undefined) return;
    const to = this.path + at;
    copyFileSync(source, to, constants.COPYFILE_FICLONE);
    utimesSync(to, BLOB_MTIME_S + mtimeClass, BLOB_MTIME_S + mtimeClass);
  }

  /** Puts the cached blob itself there, which a run must leave as it is; see `isIntact`. */
  share(path: string, name: ObjectName, source: string): void {
    const at = this.#place(path, name);
    if (at === undefined) return;
    try {
      linkSync(source, this.path + at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EMLINK' && code !== 'EXDEV' && code !== 'EPERM') throw error;
      copyFileSync(source, this.path + at);
      utimesSync(this.path + at, BLOB_MTIME_S, BLOB_MTIME_S);
    }
  }

  /** @returns undefined when the same blob is there already */
  #place(path: string, name: ObjectName): string | undefined {
    const at = this.#resolve(path);
    const known = this.#files.get(at);
    if (known === name) return undefined;
    if (known !== undefined) throw new RootError(`${path} is two different files`);
    if (this.#directories.has(at)) throw new RootError(`${path} is a file and a directory`);
    this.#make(parent(at));
    this.#files.set(at, name);
    return at;
  }

  /** Makes room for an output, as a copy of `source` where given. @returns what takes it out again */
  output(path: string, source?: string): string {
    const at = this.#resolve(path);
    this.#make(parent(at));
    if (this.#directories.has(at)) throw new RootError(`${path} is a directory`);
    if (source !== undefined) {
      rmSync(this.path + at, { force: true });
      copyFileSync(source, this.path + at);
      chmodSync(this.path + at, 0o755);
    } else if (this.#files.has(at)) throw new RootError(`${path} is an input and an output`);
    this.#files.delete(at);
    return at;
  }

  /** Moves what the run left there. @returns false when that is no regular file */
  take(at: string, to: string): boolean {
    if (!lstatSync(this.path + at, { throwIfNoEntry: false })?.isFile()) return false;
    renameSync(this.path + at, to);
    return true;
  }

  /** Is what a name leads to part of the tree as it was laid out? */
  holds(path: string): boolean {
    const at = this.#resolve(path, false);
    return this.#files.has(at) || this.#directories.has(at);
  }

  /** Where a name leads by the symlinks of the tree, whether or not something is there. */
  canonical(path: string): string {
    return this.#resolve(path, false);
  }

  /** Does a file stand at this canonical name? */
  isFile(path: string): boolean {
    return this.#files.has(path);
  }

  /** What is there now stays from run to run. */
  keep(): void {
    for (const [at, name] of this.#files) this.#kept.set(at, { inode: lstatSync(this.path + at).ino, name });
  }

  /** Are the kept files still the cached blobs, which were looked at just now? A file system without links never says so. */
  isIntact(pathOf: (name: ObjectName) => string): boolean {
    const inodeOf = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.ino;
    for (const [at, { inode, name }] of this.#kept)
      if (inodeOf(this.path + at) !== inode || inodeOf(pathOf(name)) !== inode) return false;
    return true;
  }

  /**
   * Takes away what a run brought.
   * @param scratch directories whose contents are the run's own business
   * @returns names that nobody declared, at most `max`; with any, the root is not to be used again
   */
  clean(scratch: readonly string[], max: number): string[] {
    const left: string[] = [];
    for (const path of scratch) {
      const at = this.#resolve(path);
      for (const name of tryList(this.path + at)) {
        if (this.#directories.has(`${at}/${name}`) || this.#files.has(`${at}/${name}`)) continue;
        rmSync(`${this.path}${at}/${name}`, { recursive: true, force: true });
      }
    }
    for (const at of this.#files.keys()) {
      const kept = this.#kept.get(at);
      if (kept !== undefined) {
        if (lstatSync(this.path + at, { throwIfNoEntry: false })?.ino !== kept.inode)
          left.push(`${at} (replaced)`);
        continue;
      }
      this.#files.delete(at);
      try {
        unlinkSync(this.path + at);
      } catch {
        left.push(`${at} (removed)`);
      }
    }
    for (const at of this.#directories)
      for (const name of tryList(this.path + at)) {
        const entry = `${at}/${name}`;
        if (!this.#directories.has(entry) && !this.#kept.has(entry) && !this.#links.has(entry))
          left.push(entry);
      }
    return left.slice(0, max);
  }

  /** How many directories it has; they only grow. */
  get directoryCount(): number {
    return this.#directories.size;
  }
}

function tryList(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
