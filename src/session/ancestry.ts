// Who called: the processes above a shim, up to the build tool that runs it. A call below make or ninja is deferred; one
// without a build tool above it, or below a configure script, is answered with the real result.
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';

const BUILD_TOOLS: ReadonlySet<string> = new Set([
  'make',
  'gmake',
  'gnumake',
  'bmake',
  'pmake',
  'remake',
  'kati',
  'ckati',
  'ninja',
  'ninja-build',
  'samu',
  'samurai',
  'n2',
  'jam',
  'bjam',
  'tup',
  'redo',
  'redo-ifchange',
  'muon',
  'fbuild',
  'mk',
  'pymake',
  'dmake',
]);

/** Programs that keep or send away what a compiler writes: they must see the real tool's files and words. */
const COMPILER_CACHES: ReadonlySet<string> = new Set([
  'ccache',
  'sccache',
  'buildcache',
  'cachecc1',
  'distcc',
  'distccd',
  'icecc',
  'iceccd',
]);

/** A name a compiler cache may run under: its own, or a compiler's that is a link to it (/usr/lib/ccache/gcc). */
const COMPILER_NAME = /(?:^|-)(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[0-9.]+)?$/;

/** @param program absolute path. @returns the name of the compiler cache it really is. */
export function compilerCacheAt(program: string): string | undefined {
  try {
    const name = basename(realpathSync(program));
    return COMPILER_CACHES.has(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

function compilerCacheOf(pid: number, command: string): string | undefined {
  if (COMPILER_CACHES.has(command)) return command;
  return COMPILER_NAME.test(command) ? compilerCacheAt(`/proc/${pid}/exe`) : undefined;
}

export interface Ancestry {
  /** Some ancestor is a build tool. */
  readonly buildTool: boolean;
  /** Between the call and its build tool stands a configure script: the exit status is the answer. */
  readonly configuring: boolean;
  /** The compiler cache or distributor between the call and its build tool. */
  readonly compilerCache: string | undefined;
  /** Working directory of the outermost build tool; undefined without one. */
  readonly project: string | undefined;
}

/** Processes looked at on the way up; deeper nesting than this is no build. */
const DEPTH_MAX = 64;

interface Process {
  readonly parent: number;
  readonly command: string;
}

function look(pid: number): Process | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const open = stat.indexOf('(');
  const close = stat.lastIndexOf(')');
  const parent = Number(stat.slice(close + 4).split(' ', 1)[0]);
  return { parent, command: stat.slice(open + 1, close) };
}

function isConfigureShell(pid: number, command: string): boolean {
  if (/^(?:configure|config\.status|autogen)/.test(command)) return true;
  if (!/^(?:sh|bash|dash|ksh|zsh|ash|busybox)$/.test(command)) return false;
  let words: string[];
  try {
    words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return false;
  }
  const script = words.slice(1).find((w) => !w.startsWith('-'));
  return script !== undefined && /(?:^|\/)(?:configure|config\.status)(?:\.[a-z]+)?$/.test(script);
}

/** @param pid the shim's own process. */
export function ancestryOf(pid: number): Ancestry {
  let configuring = false;
  let compilerCache: string | undefined;
  let top = 0;
  let at = look(pid)?.parent ?? 0;
  for (let depth = 0; at > 1 && depth < DEPTH_MAX; depth++) {
    const process = look(at);
    if (!process) break;
    if (BUILD_TOOLS.has(process.command)) top = at;
    else if (top === 0) {
      compilerCache ??= compilerCacheOf(at, process.command);
      if (isConfigureShell(at, process.command)) configuring = true;
    }
    at = process.parent;
  }
  if (top === 0) return { buildTool: false, configuring, compilerCache, project: undefined };
  let project: string | undefined;
  try {
    project = readlinkSync(`/proc/${top}/cwd`);
  } catch {
    project = undefined;
  }
  return { buildTool: true, configuring, compilerCache, project };
}
