// What stands on disk, as far as scans asked: directories by listing, files by identity and content. Nothing is believed
// beyond one epoch (a moment after the requests it serves) unless a watch vouches for it. Directories are looked at in
// every epoch, watched or not: a path may lead to another one since a parent was renamed, mounted over or made anew.
//
// Paths are literal: `a/../b` and symlinks are left to the kernel, so every spelling has its own entry.

import { createHash } from 'node:crypto';
import {
  type FSWatcher,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { setImmediate } from 'node:timers';
import { isLocal } from './file-systems.ts';
import { isBelow, MountTable, startWatch } from './watching.ts';

/** A file this young when it was read may change again without its times showing it (they tick every few ms). */
const RACY_MS = 100;
/** The same where times come from a server's clock. */
const RACY_REMOTE_MS = 3000;
/** Watched directories of one process; the kernel's own limit may be lower and is respected too. */
const WATCHES_MAX = 4096;
/** Events in one turn of the loop from which on the kernel's queue (16,384) may have run over. */
const EVENTS_IN_A_TURN_MAX = 4096;
/** Names that changed in a directory before it is listed anew instead of looked at one by one. */
const CHANGED_NAMES_MAX = 32;
/** Nothing is looked at in this epoch: what bears its number was seen by an earlier server. */
const RESTORED_EPOCH = 0;
/** Larger files are no sources; gcc -M may have them. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

/** The bytes of a file as they were at one time. */
export class Content {
  readonly path: string;
  #held: Buffer | undefined;
  #digest: string | undefined;

  constructor(path: string, bytes: Buffer) {
    this.path = path;
    this.#held = bytes;
  }

  /** SHA-256, for comparing files. */
  digest(): string {
    this.#digest ??= createHash('sha256').update(this.bytes()).digest('hex');
    return this.#digest;
  }

  /** The digest, if somebody asked for it while the bytes were at hand. */
  knownDigest(): string | undefined {
    return this.#digest;
  }

  bytes(): Buffer {
    return this.#held ?? readFileSync(this.path);
  }

  /** The bytes were read for what they say; they need not be kept. */
  release(): void {
    this.#held = undefined;
  }
}

export interface Identity {
  readonly dev: number;
  readonly ino: number;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

function identityOf(s: Stats): Identity {
  return { dev: s.dev, ino: s.ino, sizeBytes: s.size, mtimeMs: s.mtimeMs, ctimeMs: s.ctimeMs };
}

/** What a symlink leads to; one that ends where one may not look, or nowhere, is a thing of its own: itself. */
function behindLink(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return lstatSync(path, { throwIfNoEntry: false });
  }
}

function sameIdentity(a: Identity, s: Stats): boolean {
  return (
    a.ino === s.ino &&
    a.sizeBytes === s.size &&
    a.mtimeMs === s.mtimeMs &&
    a.ctimeMs === s.ctimeMs &&
    a.dev === s.dev
  );
}

export function identityText(identity: Identity): string {
  return `${identity.dev}:${identity.ino}:${identity.sizeBytes}:${identity.mtimeMs}:${identity.ctimeMs}`;
}

/** A file or directory as the next server needs to know it. */
export interface SeenFile {
  readonly kind: FileEntry['kind'];
  readonly identity: Identity | undefined;
}

export interface SeenDirectory {
  readonly exists: boolean;
  readonly unlistable: boolean;
  readonly dev: number;
  readonly ino: number;
  readonly birthtimeMs: number;
  /** Names asked for that were there, and that were not. */
  readonly there: readonly string[];
  readonly absent: readonly string[];
}

/** A name that was found in a listing. */
export class FileEntry {
  readonly directory: Directory;
  readonly path: string;
  readonly name: string;
  epoch = -1;
  /** For collecting each entry once: the number of the collection it was last in. */
  collection = 0;
  /** Its number in the memory of units; -1: none. */
  row = -1;
  /** Set by a watch: look again. */
  dirty = true;
  kind: 'file' | 'directory' | 'other' | 'gone' = 'gone';
  identity: Identity | undefined;
  /** Another way leads to the bytes: a watch on the directory does not vouch for them. */
  aliased = false;
  /** Goes up whenever what the entry stands for changed; it never goes down. */
  version = 0;
  #content: Content | undefined;
  #readAtMs = 0;
  #real: string | undefined;

  constructor(directory: Directory, name: string) {
    this.directory = directory;
    this.name = name;
    this.path = directory.path === '/' ? `/${name}` : `${directory.path}/${name}`;
  }

  /** Its identity tells all there is to know: it was never read, or long enough after its last change. */
  get storable(): boolean {
    return this.kind !== 'file' || this.#readAtMs === 0 || this.settled;
  }

  /** What an earlier server saw; to be looked at before it is believed. */
  restore(seen: SeenFile): void {
    this.epoch = RESTORED_EPOCH;
    this.kind = seen.kind;
    this.identity = seen.identity;
    this.version = 1;
  }

  /** @returns true when the entry is not what it was. */
  refresh(): boolean {
    const seen = lstatSync(this.path, { throwIfNoEntry: false });
    const link = seen?.isSymbolicLink() ?? false;
    const stat = link ? behindLink(this.path) : seen;
    const kind = !stat ? 'gone' : stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other';
    this.aliased = link || (stat?.nlink ?? 1) > 1 || stat?.dev !== this.directory.dev;
    const same = kind === this.kind && (!stat || kind !== 'file' || sameIdentity(this.identity!, stat));
    if (same && !(this.#content && !this.settled)) return false;
    const before = same ? this.#content?.knownDigest() : undefined;
    this.kind = kind;
    this.identity = stat ? identityOf(stat) : undefined;
    this.#content = undefined;
    this.#real = undefined;
    if (before !== undefined && before === this.content()?.digest()) return false;
    this.version++;
    return true;
  }

  /** Old enough when it was read: a later change shows in its times. */
  get settled(): boolean {
    const { mtimeMs, ctimeMs } = this.identity!;
    return this.#readAtMs - Math.max(mtimeMs, ctimeMs) >= (this.directory.local ? RACY_MS : RACY_REMOTE_MS);
  }

  /** @returns undefined for what is no readable file. */
  content(): Content | undefined {
    if (this.#content) return this.#content;
    if (this.kind !== 'file' || this.identity!.sizeBytes > FILE_BYTES_MAX) return undefined;
    this.#readAtMs = Date.now();
    try {
      this.#content = new Content(this.path, readFileSync(this.path));
    } catch {
      return undefined;
    }
    return this.#content;
  }

  /** The path without symlinks. */
  realPath(): string {
    this.#real ??= this.aliased ? realpathSync.native(this.path) : this.directory.realPath(this.name);
    return this.#real;
  }
}

const PRECOMPILED = '.gch';

/** @returns the header that a precompiled one is of. */
function precompiledOf(name: string): string {
  return name.slice(0, -PRECOMPILED.length);
}

/** A directory's listing; of a path that is no directory it is empty. */
export class Directory {
  readonly path: string;
  epoch = -1;
  /** As FileEntry's. */
  collection = 0;
  row = -1;
  dev = -1;
  ino = -1;
  /** Inode numbers come back; together with this they do not. */
  birthtimeMs = 0;
  exists = false;
  /** Goes up when another directory stands there, or none, or a name that was ever asked for appeared or vanished. */
  changes = 0;
  /** It exists and cannot be listed. */
  unlistable = false;
  local = true;
  names: Set<string> = new Set();
  readonly files = new Map<string, FileEntry>();
  /** Names ever asked for, found or not; with each goes its precompiled header's. */
  readonly asked = new Set<string>();
  readonly children = new Map<string, Directory>();
  watcher: FSWatcher | undefined;
  /** Not below the roots of watches; holds for this directory, not for another that comes to stand here. */
  unwatchable = false;
  /** It would be watched if there were watches left. */
  unwatched = false;
  /** Names a watch reported since the last look; `all` when there were too many. */
  readonly changed = new Set<string>();
  changedAll = true;
  mtimeMs = 0;
  ctimeMs = 0;
  listedAtMs = 0;
  #real: string | undefined;

  constructor(path: string) {
    this.path = path;
  }

  realPath(name: string): string {
    this.#real ??= realpathSync.native(this.path);
    return this.#real === '/' ? `/${name}` : `${this.#real}/${name}`;
  }

  wasAsked(name: string): boolean {
    return this.asked.has(name) || (name.endsWith(PRECOMPILED) && this.asked.has(precompiledOf(name)));
  }

  /** @returns whether a name that was asked for stands in one of the listings, this one's and an earlier one's, only. */
  askedDiffers(before: ReadonlySet<string>): boolean {
    const { names, asked } = this;
    for (const name of asked) if (before.has(name) !== names.has(name)) return true;
    for (const name of names)
      if (name.endsWith(PRECOMPILED) && !before.has(name) && asked.has(precompiledOf(name))) return true;
    for (const name of before)
      if (name.endsWith(PRECOMPILED) && !names.has(name) && asked.has(precompiledOf(name))) return true;
    return false;
  }

  /** What the next server needs to know. */
  seen(): SeenDirectory {
    const { exists, unlistable, dev, ino, birthtimeMs, names, asked } = this;
    const there: string[] = [];
    const absent: string[] = [];
    for (const name of asked) (names.has(name) ? there : absent).push(name);
    for (const name of names)
      if (name.endsWith(PRECOMPILED) && !asked.has(name) && asked.has(precompiledOf(name))) there.push(name);
    return { exists, unlistable, dev, ino, birthtimeMs, there, absent };
  }

  /** What an earlier server saw; to be looked at before it is believed. */
  restore(seen: SeenDirectory): void {
    this.epoch = RESTORED_EPOCH;
    this.exists = seen.exists;
    this.unlistable = seen.unlistable;
    this.dev = seen.dev;
    this.ino = seen.ino;
    this.birthtimeMs = seen.birthtimeMs;
    this.names = new Set(seen.there);
    for (const name of seen.there) this.asked.add(name);
    for (const name of seen.absent) this.asked.add(name);
  }

  forgetRealPath(): void {
    this.#real = undefined;
  }
}

export class Tree {
  readonly #directories = new Map<string, Directory>();
  /** Directories below these are watched. */
  readonly #watchRoots: readonly string[];
  readonly #mounts = new MountTable();
  /**
   * File systems that note times of birth: an inode's number that comes back has another one. (Images are made without, but
   * what is made later has one.)
   */
  readonly #birthDevices = new Set<number>();
  #watches = 0;
  #watchesRefused = false;
  #unwatched = 0;
  readonly #watchesMax: number;
  #eventsThisTurn = 0;
  /** Everything below counts as unseen before this epoch. */
  epoch = RESTORED_EPOCH + 1;
  /** Goes up when a name that was ever asked for appeared or vanished. */
  shape = 0;

  /** @param watchRoots where watches may vouch for files; see watching.ts. */
  constructor(watchRoots: readonly string[], watchesMax: number = WATCHES_MAX) {
    this.#watchesMax = watchesMax;
    this.#watchRoots = watchRoots;
    this.#mounts.changed();
  }

  /** Nothing seen so far is believed without a look or a watch. */
  newEpoch(): void {
    this.epoch++;
    // A file mounted over another makes no event.
    if (this.#watchRoots.length > 0 && this.#mounts.changed()) this.#distrustAll();
  }

  get watches(): number {
    return this.#watches;
  }

  /** Directories that are looked at, file by file, since there was no watch left for them. */
  get unwatched(): number {
    return this.#unwatched;
  }

  close(): void {
    for (const directory of this.#directories.values()) this.#unwatch(directory);
  }

  /** @param path absolute, literal, without a slash at its end. */
  directory(path: string): Directory {
    let directory = this.#directories.get(path);
    if (!directory) {
      directory = new Directory(path);
      this.#directories.set(path, directory);
    }
    if (directory.epoch !== this.epoch) this.validate(directory);
    return directory;
  }

  /** Takes over what an earlier server saw. @throws when this one has looked there already. */
  restoreDirectory(path: string, seen: SeenDirectory): Directory {
    if (this.#directories.has(path)) throw new Error(`${path} is known already`);
    const directory = new Directory(path);
    directory.restore(seen);
    this.#directories.set(path, directory);
    return directory;
  }

  restoreFile(directory: Directory, name: string, seen: SeenFile): FileEntry {
    const file = new FileEntry(directory, name);
    file.restore(seen);
    directory.files.set(name, file);
    return file;
  }

  /** A directory below another. @returns undefined when nothing has that name; else it may not exist all the same. */
  child(directory: Directory, name: string): Directory | undefined {
    if (name === '' || name === '.') return directory;
    let child = directory.children.get(name);
    if (child) {
      if (child.epoch !== this.epoch) this.validate(child);
      return child;
    }
    // A listing saves a look in vain; it does not name the parent.
    if (name !== '..') {
      directory.asked.add(name);
      if (!directory.names.has(name) && !directory.unlistable) return undefined;
    }
    child = this.directory(directory.path === '/' ? `/${name}` : `${directory.path}/${name}`);
    directory.children.set(name, child);
    return child;
  }

  /** A name in a directory that is valid now. @returns undefined when nothing has that name; a dangling link is `gone`. */
  file(directory: Directory, name: string): FileEntry | undefined {
    let file = directory.files.get(name);
    if (!file) {
      directory.asked.add(name);
      if (!directory.names.has(name)) return undefined;
      file = new FileEntry(directory, name);
      directory.files.set(name, file);
    }
    if (file.epoch !== this.epoch) this.validateFile(file);
    return file;
  }

  validateFile(file: FileEntry): boolean {
    if (file.directory.epoch !== this.epoch) this.validate(file.directory);
    const first = file.epoch < 0;
    file.epoch = this.epoch;
    if (!file.dirty && !file.aliased && file.directory.watcher) return false;
    file.dirty = false;
    const kind = file.kind;
    const changed = file.refresh();
    if (changed && kind !== file.kind && !first) this.shape++;
    return changed;
  }

  validate(directory: Directory): void {
    const restored = directory.epoch === RESTORED_EPOCH;
    directory.epoch = this.epoch;
    const stat = statSync(directory.path, { throwIfNoEntry: false });
    if (!stat?.isDirectory()) {
      if (directory.exists) {
        directory.exists = false;
        directory.names = new Set();
        this.#unwatch(directory);
        this.#forget(directory);
        directory.changes++;
        this.shape++;
      }
      return;
    }
    if (stat.birthtimeMs !== 0) this.#birthDevices.add(stat.dev);
    if (
      !directory.exists ||
      stat.dev !== directory.dev ||
      stat.ino !== directory.ino ||
      stat.birthtimeMs !== directory.birthtimeMs
    ) {
      if (directory.exists || directory.asked.size > 0) this.shape++;
      directory.changes++;
      this.#unwatch(directory);
      this.#forget(directory);
      directory.exists = true;
      directory.dev = stat.dev;
      directory.ino = stat.ino;
      directory.birthtimeMs = stat.birthtimeMs;
      directory.local = isLocal(directory.path, stat.dev);
      this.#list(directory, stat);
      return;
    }
    if (restored) directory.local = isLocal(directory.path, stat.dev);
    if (directory.watcher) {
      if (directory.changedAll) this.#list(directory, stat);
      else if (directory.changed.size > 0) this.#lookAtChanged(directory);
      return;
    }
    const racyMs = directory.local ? RACY_MS : RACY_REMOTE_MS;
    const racy = directory.listedAtMs - Math.max(directory.mtimeMs, directory.ctimeMs) < racyMs;
    // The second look at a directory is a sign that it is worth a watch.
    this.#watch(directory, stat);
    if (racy || directory.watcher || stat.mtimeMs !== directory.mtimeMs || stat.ctimeMs !== directory.ctimeMs)
      this.#list(directory, stat);
  }

  /** Another directory stands there now. */
  #forget(directory: Directory): void {
    directory.forgetRealPath();
    directory.unwatchable = false;
    for (const file of directory.files.values()) file.dirty = true;
  }

  #list(directory: Directory, stat: Stats): void {
    directory.changed.clear();
    directory.changedAll = false;
    directory.mtimeMs = stat.mtimeMs;
    directory.ctimeMs = stat.ctimeMs;
    directory.listedAtMs = Date.now();
    const wasUnlistable = directory.unlistable;
    let names: string[];
    try {
      names = readdirSync(directory.path);
      directory.unlistable = false;
    } catch {
      names = [];
      directory.unlistable = true;
    }
    const before = directory.names;
    directory.names = new Set(names);
    if (directory.unlistable !== wasUnlistable) directory.changes++;
    if (directory.askedDiffers(before)) {
      directory.changes++;
      this.shape++;
    }
    for (const file of directory.files.values()) file.dirty = true;
  }

  #lookAtChanged(directory: Directory): void {
    for (const name of directory.changed) {
      const there = lstatSync(`${directory.path}/${name}`, { throwIfNoEntry: false }) !== undefined;
      const was = directory.names.has(name);
      if (there === was) continue;
      if (there) directory.names.add(name);
      else directory.names.delete(name);
      if (!directory.wasAsked(name)) continue;
      directory.changes++;
      this.shape++;
    }
    directory.changed.clear();
  }

  #watch(directory: Directory, stat: Stats): void {
    if (directory.unwatchable || !directory.local) return;
    if (this.#watchesRefused || this.#watches >= this.#watchesMax) {
      if (!directory.unwatched && isBelow(directory.path, this.#watchRoots)) {
        directory.unwatched = true;
        this.#unwatched++;
      }
      return;
    }
    if (stat.birthtimeMs === 0 && !this.#birthDevices.has(stat.dev)) return;
    const watcher = startWatch(directory.path, stat, this.#watchRoots, (name) =>
      this.#event(directory, name),
    );
    if (watcher === 'refused') this.#watchesRefused = true;
    if (watcher === 'unwatchable') directory.unwatchable = true;
    if (typeof watcher !== 'object') return;
    watcher.on('error', () => this.#unwatch(directory));
    directory.watcher = watcher;
    this.#watches++;
  }

  #unwatch(directory: Directory): void {
    if (!directory.watcher) return;
    directory.watcher.close();
    directory.watcher = undefined;
    this.#watches--;
    directory.changedAll = true;
    for (const file of directory.files.values()) file.dirty = true;
  }

  /** @param name undefined: the directory itself moved or went; null: not known. */
  #event(directory: Directory, name: string | null | undefined): void {
    if (this.#eventsThisTurn++ === 0) setImmediate(() => this.#turnEnded());
    if (this.#eventsThisTurn === EVENTS_IN_A_TURN_MAX) return this.#distrustAll();
    // What is watched is no longer what the path names.
    if (name === undefined) return this.#unwatch(directory);
    if (name === null || directory.changed.size >= CHANGED_NAMES_MAX) {
      directory.changedAll = true;
      for (const file of directory.files.values()) file.dirty = true;
      return;
    }
    directory.changed.add(name);
    const file = directory.files.get(name);
    if (file) file.dirty = true;
  }

  #turnEnded(): void {
    this.#eventsThisTurn = 0;
  }

  /** Events may be lost. */
  #distrustAll(): void {
    for (const directory of this.#directories.values()) {
      directory.changedAll = true;
      for (const file of directory.files.values()) file.dirty = true;
    }
  }
}
