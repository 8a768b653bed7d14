// The native programs, compiled on first use with the user's own compiler and kept by their content.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { tryStat } from '../base/stat.ts';
import { ownDirectory } from '../base/trusted-path.ts';
import { OWN_NAMES, shimNames } from '../models/tools.ts';

export interface NativeOptions {
  readonly stateDir: string;
  /** Directory of the C sources: wrappers/. */
  readonly sources: string;
  readonly serverScript: string;
  readonly nodePath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface NativeDirectory {
  /** STATE/native/ID: gg-shim, gg-spawner, gg-run, gg-cc, ..., bin/ with the tools' names, server. */
  readonly directory: string;
}

export class NativeBuildError extends Error {
  override readonly name = 'NativeBuildError';
  readonly advice: string;
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}

interface Program {
  readonly output: string;
  readonly source: string;
  readonly flags: readonly string[];
  /** Static if libc.a is there. */
  readonly wantsStatic: boolean;
  /** The rest works without it. */
  readonly optional?: boolean;
  /** It goes into programs of this machine. */
  readonly preloaded?: boolean;
}

/** The interposer. */
export const PRELOAD_LIBRARY = 'gg-interpose.so';

/** Preloaded into ninja only, beside the interposer, which looks for it under this name. */
export const NINJA_LIBRARY = 'gg-interpose-ninja.so';

/** Only builds on other machines need it; a C library other than glibc cannot have it. */
export const VROOT_LIBRARY = 'gg-vroot.so';

/** Starts tools on the workers of clusters, where nothing of ours is installed; of use only when it is static. */
export const STARTER = 'gg-starter';

const PROGRAMS: readonly Program[] = [
  { output: 'gg-shim', source: 'shim.c', flags: ['-O2'], wantsStatic: true },
  { output: 'gg-spawner', source: 'spawner.c', flags: ['-O2'], wantsStatic: true },
  {
    output: PRELOAD_LIBRARY,
    source: 'interpose.c',
    flags: ['-O2', '-shared', '-fPIC'],
    wantsStatic: false,
    optional: true,
    preloaded: true,
  },
  {
    output: NINJA_LIBRARY,
    source: 'interpose-ninja.c',
    flags: ['-O2', '-shared', '-fPIC'],
    wantsStatic: false,
    optional: true,
    preloaded: true,
  },
  {
    output: VROOT_LIBRARY,
    source: 'vroot.c',
    flags: ['-O2', '-shared', '-fPIC'],
    wantsStatic: false,
    optional: true,
  },
  { output: STARTER, source: 'starter.c', flags: ['-O2'], wantsStatic: true, optional: true },
];
const COMMON = ['-std=gnu11'];

function pathDirectories(env: NativeOptions['env']): string[] {
  return (env['PATH'] || '/usr/local/bin:/usr/bin:/bin')
    .split(':')
    .filter(
      (d) => d.startsWith('/') && !existsSync(join(d, 'gg-shim')) && !existsSync(join(dirname(d), 'gg-shim')),
    );
}

function findCompiler(env: NativeOptions['env'], directories: readonly string[]): string {
  const told = env['GG_HOST_CC'];
  for (const name of told ? [told] : ['cc', 'gcc', 'clang']) {
    if (name.startsWith('/')) return name;
    for (const d of directories) if (tryStat(join(d, name))?.isFile()) return join(d, name);
  }
  throw new NativeBuildError('no C compiler on PATH', 'install gcc, or name one by GG_HOST_CC');
}

/**
 * Builds what is not built yet; racing builders each build and one directory stays.
 * @throws NativeBuildError when there is no compiler or it fails.
 */
export function ensureNative(options: NativeOptions): NativeDirectory {
  const directories = pathDirectories(options.env);
  const compiler = findCompiler(options.env, directories);
  const real = realpathSync(compiler);
  const stat = statSync(real);
  const names = new Set<string>();
  for (const d of directories) {
    try {
      for (const name of readdirSync(d)) names.add(name);
    } catch {
      // a directory of PATH that is not there
    }
  }
  const tools = shimNames(names);
  const hash = createHash('sha256').update(JSON.stringify([real, stat.size, stat.mtimeMs, PROGRAMS, tools]));
  const programs = PROGRAMS.filter((p) => existsSync(join(options.sources, p.source)));
  for (const file of readdirSync(options.sources)
    .filter((name) => /\.[ch]$/.test(name))
    .sort())
    hash.update(readFileSync(join(options.sources, file)));
  const parent = join(options.stateDir, 'native');
  const directory = join(parent, hash.digest('hex').slice(0, 16));
  const uid = process.getuid?.() ?? 0;
  // Programs that others could have changed are made anew.
  if (ownDirectory(parent, uid))
    for (const name of readdirSync(parent)) rmSync(join(parent, name), { recursive: true, force: true });
  const server = `${options.nodePath}\n${options.serverScript}\n`;
  if (!isWhole(directory)) {
    const temporary = mkdtempSync(join(parent, '.build-'));
    try {
      for (const program of programs) compile(compiler, program, options.sources, temporary);
      for (const name of OWN_NAMES) linkSync(join(temporary, 'gg-shim'), join(temporary, name));
      mkdirSync(join(temporary, 'bin'));
      for (const name of tools) linkSync(join(temporary, 'gg-shim'), join(temporary, 'bin', name));
      writeFileSync(join(temporary, 'server'), server);
      writeFileSync(join(temporary, SIZES), JSON.stringify(sizesIn(temporary)));
      putInPlace(temporary, directory);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  const file = join(directory, 'server');
  if (!tryStat(file)?.isFile() || readFileSync(file, 'utf8') !== server) replace(file, server);
  const current = join(parent, 'current');
  if (!existsSync(current) || readFileSync(current, 'utf8') !== `${directory}\n`)
    replace(current, `${directory}\n`);
  return { directory };
}

/** Another builder may have been first: what is whole stays. What is damaged is moved aside in one step, so that nobody's good programs go. */
function putInPlace(built: string, directory: string): void {
  try {
    renameSync(built, directory);
  } catch (error) {
    if (isWhole(directory)) return;
    const damaged = `${built}.damaged`;
    try {
      renameSync(directory, damaged);
      // Between the look and the move another builder may have mended it.
      renameSync(isWhole(damaged) ? damaged : built, directory);
    } catch {
      if (!isWhole(directory)) throw error;
    } finally {
      rmSync(damaged, { recursive: true, force: true });
    }
  }
}

/** Sizes of the programs as they were compiled: a full disk or a power cut may have left less of one. */
const SIZES = 'sizes.json';

/** Bytes by name; the text that says how the server is started may change. */
function sizesIn(directory: string): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const name of readdirSync(directory)) {
    const stat = tryStat(join(directory, name));
    if (stat?.isFile() && name !== 'server' && name !== SIZES) sizes[name] = stat.size;
  }
  return sizes;
}

function isWhole(directory: string): boolean {
  try {
    const sizes = JSON.parse(readFileSync(join(directory, SIZES), 'utf8')) as Record<string, number>;
    return (
      existsSync(join(directory, 'bin')) &&
      Object.entries(sizes).every(([name, size]) => tryStat(join(directory, name))?.size === size)
    );
  } catch {
    return false;
  }
}

function replace(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}

/**
 * Whether programs of this machine take the library, without a word. A compiler for another C library (musl-gcc here) makes one that they
 * cannot load; builds then go on with shims alone. A place whose name LD_PRELOAD cannot hold is no reason: the library gets another name.
 */
function canBePreloaded(library: string): boolean {
  if (/[\s:]/.test(library)) return true;
  const r = spawnSync('/bin/sh', ['-c', ':'], {
    env: { LD_PRELOAD: library },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return r.status === 0 && r.stderr.length === 0;
}

function compile(compiler: string, program: Program, sources: string, into: string): void {
  const tries = program.wantsStatic ? [['-static'], []] : [[]];
  let said = '';
  for (const extra of tries) {
    const args = [
      ...COMMON,
      ...program.flags,
      ...extra,
      '-o',
      join(into, program.output),
      join(sources, program.source),
    ];
    if (program.flags.includes('-shared')) args.push('-ldl', '-lpthread');
    const r = spawnSync(compiler, args, {
      env: { ...process.env, GG_MODE: 'off', LD_PRELOAD: '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (r.status === 0) {
      // Whatever the umask is.
      chmodSync(join(into, program.output), 0o755);
      if (program.preloaded && !canBePreloaded(join(into, program.output)))
        rmSync(join(into, program.output));
      return;
    }
    said = r.error?.message ?? r.stderr.toString();
  }
  if (program.optional) return;
  throw new NativeBuildError(
    `${compiler} cannot compile ${program.source}: ${said.trim()}`,
    "check that the compiler and the C library's headers are installed",
  );
}
