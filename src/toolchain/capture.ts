// Captures a toolchain: everything a machine without it needs to run it below a virtual root (wrappers/vroot.c), or the reason
// why that cannot be. What links read besides (crt files, libraries, their linker scripts) is named by the thunks.
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { ObjectName } from '../ir/name.ts';
import { nameValue } from '../ir/name.ts';
import type { QueryRunner } from '../scan/scanner.ts';
import { type LoaderView, loaderView } from './elf.ts';
import { encodeManifest, type ToolchainManifest, VROOT_PATH } from './manifest.ts';
import { followLinks, type Toolchain } from './toolchain.ts';

export type UnsupportedReason =
  | 'missing-program'
  | 'static-program'
  | 'script-program'
  | 'unreadable-file'
  | 'broken-symlink'
  | 'missing-loader'
  | 'old-loader'
  | 'several-loaders'
  | 'missing-library'
  | 'ambiguous-library'
  | 'absolute-rpath';

/** Thunks of such a toolchain run on this machine only. `detail` names the file. */
export interface Unsupported {
  readonly kind: 'unsupported';
  readonly reason: UnsupportedReason;
  readonly detail: string;
}

export interface Captured {
  readonly kind: 'captured';
  readonly manifest: ToolchainManifest;
  /** The manifest's bytes and value name: `toolchain` of work requests. */
  readonly name: ObjectName;
  readonly bytes: Buffer;
  /** Where the blobs of the manifest are on this machine. */
  readonly pathByName: ReadonlyMap<ObjectName, string>;
  readonly sizeBytes: number;
}

export interface CaptureOptions {
  readonly realTool: string;
  /** The built vroot.so. */
  readonly vroot: string;
  readonly digestOf: (absPath: string) => ObjectName | undefined;
  readonly query: QueryRunner;
}

/** The locale that decides the quotes in diagnostics; with its name others of the same contents get along. */
const LOCALES = '/usr/lib/locale';
const C_UTF8 = ['C.utf8', 'C.UTF-8'] as const;
const SAME_IN_ENGLISH = 'en_US.utf8';

const LD_CONF = '/etc/ld.so.conf';
const CONF_DEPTH_MAX = 4;

class Stop extends Error {
  readonly reason: UnsupportedReason;
  constructor(reason: UnsupportedReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

const isLibrary = (path: string): boolean => /\.so(?:\.|$)/.test(basename(path));

/** Makes the manifest of a discovered toolchain. Never rejects for what the toolchain is. */
export async function captureToolchain(
  toolchain: Toolchain,
  options: CaptureOptions,
): Promise<Captured | Unsupported> {
  try {
    return await new Capture(toolchain, options).run();
  } catch (error) {
    if (error instanceof Stop) return { kind: 'unsupported', reason: error.reason, detail: error.message };
    throw error;
  }
}

class Capture {
  readonly #toolchain: Toolchain;
  readonly #o: CaptureOptions;
  readonly #files = new Set<string>();
  readonly #links: Map<string, string>;

  constructor(toolchain: Toolchain, options: CaptureOptions) {
    this.#toolchain = toolchain;
    this.#o = options;
    this.#links = new Map(toolchain.links);
    for (const file of toolchain.files) this.#files.add(file);
  }

  /** Adds a file with the symlinks on the way. @returns its real path */
  #add(absPath: string, missing: UnsupportedReason): string {
    let at = '';
    try {
      at = followLinks(absPath, this.#links);
      if (!statSync(at).isFile()) throw new Stop(missing, `${absPath} is not a file`);
    } catch (error) {
      if (error instanceof Stop) throw error;
      const link = brokenLink(absPath);
      if (link !== undefined) throw new Stop('broken-symlink', `${link}, on the way to ${absPath}`);
      throw new Stop(missing, `${absPath}: ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`);
    }
    this.#files.add(at);
    return at;
  }

  async run(): Promise<Captured> {
    const { realTool } = this.#o;
    this.#add(realTool, 'missing-program');
    const views = new Map<string, LoaderView>();
    const interpreters = new Map<string, string>();
    for (const file of [...this.#files]) {
      const view = this.#look(file);
      if (!view) continue;
      views.set(file, view);
      if (view.interpreter !== undefined && !isLibrary(file)) interpreters.set(view.interpreter, file);
      if (view.interpreter === undefined && !isLibrary(file))
        throw new Stop('static-program', `${file}: a preload library cannot watch it`);
    }
    const [interpreter, ...others] = [...interpreters.keys()];
    if (interpreter === undefined) throw new Stop('script-program', realTool);
    if (others.length > 0)
      throw new Stop('several-loaders', `${interpreter} and ${others[0]} (${interpreters.get(others[0]!)})`);
    const loader = this.#add(interpreter, 'missing-loader');
    if (!readFileSync(loader).includes('--argv0'))
      throw new Stop('old-loader', `${loader} has no --argv0; glibc 2.33 or later is needed`);
    const libraryPath = this.#checkLibraries(views, loader);
    await this.#addLocales();
    if ([...this.#files].some((file) => /(?:^|[/-])ld(?:\.bfd)?$/.test(file)))
      this.#addLoaderConfiguration(LD_CONF, 0);
    return this.#finish(loader, libraryPath);
  }

  #look(file: string): LoaderView | undefined {
    try {
      const view = loaderView(file);
      if (view && !view.dynamic && isLibrary(file)) return undefined;
      if (!view && statSync(file).mode & 0o111 && !isLibrary(file))
        throw new Stop('script-program', `${file} is no program the loader can start`);
      return view;
    } catch (error) {
      if (error instanceof Stop) throw error;
      throw new Stop('unreadable-file', `${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  /** Every needed library is there, once, and nothing leads past the library path. */
  #checkLibraries(views: ReadonlyMap<string, LoaderView>, loader: string): string[] {
    const directoryByName = new Map<string, Set<string>>();
    for (const path of [...this.#files, ...this.#links.keys()]) {
      if (!isLibrary(path)) continue;
      const known = directoryByName.get(basename(path)) ?? new Set();
      directoryByName.set(basename(path), known.add(dirname(path)));
    }
    const directories = new Set<string>([dirname(loader)]);
    const loaderNames = [basename(loader), this.#look(loader)?.soname];
    for (const [file, view] of views) {
      const outside = view.rpath.find((p) => isAbsolute(p));
      if (outside !== undefined) throw new Stop('absolute-rpath', `${file} searches ${outside} first`);
      for (const name of view.needed) {
        if (name.includes('/')) throw new Stop('absolute-rpath', `${file} needs ${name}`);
        const found = directoryByName.get(name);
        if (!found) {
          if (loaderNames.includes(name)) continue;
          throw new Stop('missing-library', `${name}, which ${file} needs`);
        }
        const real = new Set([...found].map((directory) => realpathSync(join(directory, name))));
        if (real.size > 1) throw new Stop('ambiguous-library', `${name}: ${[...real].join(' and ')}`);
        directories.add([...found].sort()[0]!);
      }
    }
    return [...directories].sort();
  }

  async #addLocales(): Promise<void> {
    const utf8 = C_UTF8.find((n) => lstatSync(join(LOCALES, n), { throwIfNoEntry: false })?.isDirectory());
    if (utf8 === undefined) return;
    const pattern = join(LOCALES, utf8);
    for (const entry of readdirSync(pattern, { recursive: true, withFileTypes: true })) {
      if (!entry.isDirectory()) this.#add(join(entry.parentPath, entry.name), 'unreadable-file');
    }
    const listed = await this.#o
      .query('/usr/bin/locale', ['-a'], { cwd: '/', env: new Map([['PATH', '/usr/bin:/bin']]) })
      .catch(() => undefined);
    const names = listed?.stdout.toString().split('\n') ?? [];
    if (names.includes(SAME_IN_ENGLISH)) this.#links.set(join(LOCALES, SAME_IN_ENGLISH), utf8);
  }

  /** ld searches the directories named there for libraries that libraries need. */
  #addLoaderConfiguration(file: string, depth: number): void {
    if (depth > CONF_DEPTH_MAX || !statSync(file, { throwIfNoEntry: false })?.isFile()) return;
    this.#add(file, 'unreadable-file');
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const pattern = /^\s*include\s+(\S+)/.exec(line)?.[1];
      if (pattern === undefined) continue;
      const directory = resolve(dirname(file), dirname(pattern));
      const [before = '', after] = basename(pattern).split('*');
      for (const name of tryList(directory))
        if (after === undefined ? name === before : name.startsWith(before) && name.endsWith(after))
          this.#addLoaderConfiguration(join(directory, name), depth + 1);
    }
  }

  #finish(loader: string, libraryPath: readonly string[]): Captured {
    const pathByName = new Map<ObjectName, string>();
    const files: (readonly [string, ObjectName, number])[] = [];
    let sizeBytes = 0;
    const put = (at: string, source: string): void => {
      const name = this.#o.digestOf(source);
      if (name === undefined) throw new Stop('unreadable-file', source);
      const stat = statSync(source);
      if (!pathByName.has(name)) sizeBytes += stat.size;
      pathByName.set(name, source);
      files.push([at, name, stat.mode & 0o111 ? 0o755 : 0o644]);
    };
    for (const file of this.#files) put(file, file);
    put(VROOT_PATH, this.#o.vroot);
    files.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    const manifest: ToolchainManifest = {
      digest: this.#toolchain.digest,
      loader,
      libraryPath,
      files,
      links: [...this.#links].sort((a, b) => (a[0] < b[0] ? -1 : 1)),
      omitted: [],
      frames: [],
    };
    const bytes = encodeManifest(manifest);
    return { kind: 'captured', manifest, name: nameValue(bytes), bytes, pathByName, sizeBytes };
  }
}

/** The symlink on the way to a path that leads nowhere. */
function brokenLink(absPath: string): string | undefined {
  let at = absPath;
  for (let hops = 0; hops < 40; hops++) {
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (!stat?.isSymbolicLink()) return stat || hops === 0 ? undefined : at;
    const target = resolve(dirname(at), readlinkSync(at));
    if (!lstatSync(target, { throwIfNoEntry: false })) return at;
    at = target;
  }
  return at;
}

function tryList(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
