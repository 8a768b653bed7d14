// The user's compiler as content: which files a tool consists of, and one digest over them. Two tools with the same
// digest give the same bytes for the same thunk; a changed compiler changes every name.
import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { ObjectName } from '../ir/name.ts';
import type { QueryRunner } from '../scan/scanner.ts';
import { identityOf, tryStat, tryStatNs } from '../base/stat.ts';
import { loaderView, looksLikeElf } from './elf.ts';
import { isProgram } from './program.ts';

export interface Toolchain {
  /** Digest over the files' contents and paths; the `toolchain` of thunks. */
  readonly digest: string;
  /** Real files, absolute, sorted: the tool, the programs it starts, their shared libraries and the loader. */
  readonly files: readonly string[];
  /** Symlinks on the way to them: absolute path -> text of the link. */
  readonly links: ReadonlyMap<string, string>;
  /** Directories where more files of it may appear, and names looked up in vain on PATH. */
  readonly places: readonly string[];
  /** Sizes, mtimes and inodes of the files and places; another text means: look again. */
  readonly identity: string;
}

interface Known {
  readonly toolchain: Toolchain;
  /** performance.now() before its files were last looked at. */
  lookedAtMs: number;
}

/** A tool whose parts cannot be named; the message says which. */
export class ToolchainError extends Error {
  override readonly name = 'ToolchainError';
}

/** Programs a gcc driver starts, as `-print-prog-name` knows them. */
const SUBPROGRAMS = [
  'cc1',
  'cc1plus',
  'lto1',
  'lto-wrapper',
  'collect2',
  'as',
  'ld',
  'ld.bfd',
  'ld.gold',
  // -gsplit-dwarf
  'objcopy',
] as const;
/** Programs that a driver, or one of its wrappers, may look up on PATH. */
export const PATH_PROGRAMS = [
  'as',
  'ld',
  'ld.bfd',
  'ld.gold',
  'ld.lld',
  'objcopy',
  'ar',
  'nm',
  'ranlib',
] as const;

/** Files a gcc driver reads by itself. */
const SUPPORT_FILES = [
  'liblto_plugin.so',
  'specs',
  'libgomp.spec',
  'libitm.spec',
  'libsanitizer.spec',
  'libgfortran.spec',
] as const;
const DIRECTORY_TELLERS: ReadonlySet<string> = new Set(['cc1', 'cc1plus', 'liblto_plugin.so']);
/** binutils look for this beside themselves to see into LTO objects. */
const BFD_PLUGIN = '../lib/bfd-plugins/liblto_plugin.so';

/** gcc's wrappers of binutils: they start the tool of this name with the plugin of the driver beside them. */
const WRAPPER = /gcc-(ar|nm|ranlib)(?=(?:-[0-9.]+)?$)/;

/** gcc-like drivers have parts; everything else is one program. */
function isDriver(realTool: string): boolean {
  return /(?:^|-)(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+)(?:-[0-9.]+)?$/.test(
    realTool.slice(realTool.lastIndexOf('/') + 1),
  );
}

/** Notes every symlink met while resolving `absPath`, and returns the real path. */
export function followLinks(absPath: string, links: Map<string, string>): string {
  const parts = absPath.split('/').filter((p) => p !== '');
  let at = '';
  let hops = 0;
  while (parts.length > 0) {
    const part = parts.shift()!;
    if (part === '.') continue;
    if (part === '..') {
      at = dirname(at);
      continue;
    }
    const next = `${at === '/' ? '' : at}/${part}`;
    if (lstatSync(next).isSymbolicLink()) {
      if (++hops > 40) throw new Error(`${absPath}: too many symlinks`);
      const target = readlinkSync(next);
      links.set(next, target);
      parts.unshift(
        ...resolve(dirname(next), target)
          .split('/')
          .filter((p) => p !== ''),
      );
      at = '';
      continue;
    }
    at = next;
  }
  return at;
}

function identityOfAll(files: readonly string[]): string {
  return files
    .map((file) => {
      const stat = tryStatNs(file);
      return stat ? identityOf(stat) : 'gone';
    })
    .join('|');
}

export class Toolchains {
  readonly #query: QueryRunner;
  readonly #digestOf: (absPath: string) => ObjectName | undefined;
  readonly #known = new Map<string, Promise<Known>>();

  constructor(query: QueryRunner, digestOf: (absPath: string) => ObjectName | undefined) {
    this.#query = query;
    this.#digestOf = digestOf;
  }

  /**
   * The toolchain behind a tool's absolute path.
   * @param searchPath $PATH without our shims: gcc looks its assembler up there.
   * @param sinceMs performance.now() of the call it is for: a look at its files after that serves; default: look now.
   * @throws ToolchainError when a part is missing, cannot be read or is a script; the message names the file.
   */
  async of(realTool: string, searchPath: string, sinceMs = Number.POSITIVE_INFINITY): Promise<Toolchain> {
    const key = `${realTool}\0${searchPath}`;
    const known = this.#known.get(key);
    if (known) {
      const entry = await known;
      const { toolchain } = entry;
      if (entry.lookedAtMs >= sinceMs) return toolchain;
      const now = performance.now();
      if (identityOfAll([...toolchain.files, ...toolchain.places]) === toolchain.identity) {
        entry.lookedAtMs = now;
        return toolchain;
      }
      // Another call may have found it changed, and asked, before this one had its turn.
      const asked = this.#known.get(key);
      if (asked !== undefined && asked !== known) return (await asked).toolchain;
    }
    const lookedAtMs = performance.now();
    const discovered = this.#discover(realTool, searchPath).then((toolchain) => ({ toolchain, lookedAtMs }));
    this.#known.set(key, discovered);
    discovered.catch(() => this.#known.delete(key));
    return (await discovered).toolchain;
  }

  async #discover(realTool: string, searchPath: string): Promise<Toolchain> {
    const env = new Map([
      ['PATH', searchPath],
      ['LC_ALL', 'C'],
    ]);
    const links = new Map<string, string>();
    const files = new Set<string>();
    const programs = [realTool];
    /** Where a driver's own files are, for a specs file may be put there; where a program would be found sooner. */
    const places = new Set<string>();
    const ask = async (args: readonly string[], driver = realTool): Promise<string> => {
      const r = await this.#query(driver, args, { cwd: '/', env });
      return r.code === 0 ? r.stdout.toString().trim() : '';
    };
    const onPath = (name: string): string | undefined => {
      for (const directory of searchPath.split(':')) {
        const file = join(directory, name);
        if (tryStat(file)?.isFile()) return file;
        places.add(file);
      }
      return undefined;
    };
    const wrapped = WRAPPER.exec(realTool)?.[1];
    if (wrapped !== undefined) {
      const tool = onPath(wrapped);
      if (tool !== undefined) programs.push(tool);
      const driver = realTool.replace(WRAPPER, 'gcc');
      programs.push(await ask(['-print-file-name=liblto_plugin.so'], driver));
      programs.push(join(dirname(await ask(['-print-prog-name=lto-wrapper'], driver)), 'liblto_plugin.so'));
    }
    if (isDriver(realTool)) {
      const answers = await Promise.all([
        ...SUBPROGRAMS.map((p) => ask([`-print-prog-name=${p}`])),
        ...SUPPORT_FILES.map((f) => ask([`-print-file-name=${f}`])),
      ]);
      for (const [i, answer] of answers.entries()) {
        if (answer === '') continue;
        const found = isAbsolute(answer) ? answer : i < SUBPROGRAMS.length ? onPath(answer) : undefined;
        if (found === undefined) continue;
        if (i < SUBPROGRAMS.length && !isProgram(found))
          throw new ToolchainError(`toolchain of ${realTool}: ${found} is a script`);
        programs.push(found);
        if (DIRECTORY_TELLERS.has(basename(found))) places.add(dirname(found));
        // The plugin may stand among the programs (GCC 14 on Debian), and what -print-file-name names is a link at best.
        if (basename(found) === 'lto-wrapper') programs.push(join(dirname(found), 'liblto_plugin.so'));
      }
    }
    for (const program of [...programs]) programs.push(join(dirname(program), BFD_PLUGIN));
    const real: string[] = [];
    for (const program of programs) {
      if (!tryStat(program)?.isFile()) continue;
      files.add(followLinks(program, links));
      real.push(realpathSync(program));
    }
    for (const listing of await this.#loaded([...new Set(real)], env)) {
      for (const line of listing.split('\n')) {
        const path = /(?:=> |^\s+)(\/\S+) \(0x/.exec(line)?.[1];
        if (path !== undefined) files.add(followLinks(path, links));
      }
    }
    const sorted = [...files].sort();
    const hash = createHash('sha256').update('gg-toolchain 1\n');
    for (const file of sorted) {
      const name = this.#digestOf(file);
      if (name === undefined) throw new ToolchainError(`toolchain of ${realTool}: cannot read ${file}`);
      hash.update(`${file} ${name}\n`);
    }
    for (const [from, to] of [...links].sort()) hash.update(`${from} -> ${to}\n`);
    return {
      digest: hash.digest('hex'),
      files: sorted,
      links,
      identity: identityOfAll([...sorted, ...places]),
      places: [...places],
    };
  }

  /**
   * What the dynamic loader would load for each of them, as it says itself. ldd tells the same with a dozen processes a file, so
   * it is asked only about what has no loader that we can read: programs of another word size.
   */
  async #loaded(files: readonly string[], env: ReadonlyMap<string, string>): Promise<string[]> {
    const views = files.map((file) => [file, loaderView(file)] as const);
    const loader = views.find(([, view]) => view?.interpreter !== undefined)?.[1]?.interpreter;
    const said = async (tool: string, args: readonly string[]): Promise<string> =>
      (await this.#query(tool, args, { cwd: '/', env }).catch(() => undefined))?.stdout.toString() ?? '';
    const others = views.flatMap(([file, view]) => (view === undefined && looksLikeElf(file) ? [file] : []));
    return Promise.all([
      ...views.flatMap(([file, view]) => {
        const by = view?.interpreter ?? loader;
        return view?.dynamic === true && by !== undefined ? [said(by, ['--list', file])] : [];
      }),
      ...(others.length > 0 ? [said('/usr/bin/ldd', others)] : []),
    ]);
  }
}
