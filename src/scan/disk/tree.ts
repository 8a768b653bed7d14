// What stands on disk, as far as scans asked: directories by listing, files by identity and content. Nothing is believed
// beyond one epoch (a moment after the requests it serves) unless a watch vouches for it. Directories are looked at in
// every epoch, watched or not: a path may lead to another one since a parent was renamed, mounted over or made anew.
//
// Paths are literal: `a/../b` and symlinks are left to the kernel, so every spelling has its own entry.
import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { setImmediate } from 'node:timers';
import { Directory, type SeenDirectory } from './directory.ts';
import { RACY_MS, RACY_REMOTE_MS, RESTORED_EPOCH } from './epoch.ts';
import { FileEntry, type SeenFile } from './file-entry.ts';
import { isLocal } from './file-systems.ts';
import { isBelow, MountTable, startWatch } from './watching.ts';

/** Watched directories of one process; the kernel's own limit may be lower and is respected too. */
const WATCHES_MAX = 4096;
/** Events in one turn of the loop from which on the kernel's queue (16,384) may have run over. */
const EVENTS_IN_A_TURN_MAX = 4096;
/** Names that changed in a directory before it is listed anew instead of looked at one by one. */
const CHANGED_NAMES_MAX = 32;

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
