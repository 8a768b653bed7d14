// A file as a scan saw it: what it is, which one it is, and its bytes.
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import type { Directory } from './directory.ts';
import { RACY_MS, RACY_REMOTE_MS, RESTORED_EPOCH } from './epoch.ts';

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
/** A file as the next server needs to know it. */
export interface SeenFile {
  readonly kind: FileEntry['kind'];
  readonly identity: Identity | undefined;
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
