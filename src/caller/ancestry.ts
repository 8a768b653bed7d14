// Who called: the processes above a shim, up to the build tool that runs it. A call below make or ninja is deferred; one
// without a build tool above it, or below a configure script, is answered with the real result.
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { isPassedThrough, isRedirected, looksAtStatus } from './recipe.ts';

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
  /** The recipe looks at the exit status or reads the messages: nothing can be put off. */
  readonly resultIsRead: boolean;
  /** What it prints goes nowhere. */
  readonly silent: boolean;
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
  /** Clock ticks since the machine's start; with the id it tells processes apart. */
  readonly started: string;
  /** A letter of proc(5): Z for one that has ended. */
  readonly state: string;
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
  const fields = stat.slice(close + 2).split(' ', 20);
  const [state = '', parent] = fields;
  return { parent: Number(parent), command: stat.slice(open + 1, close), state, started: fields[19] ?? '' };
}

/** Ctrl-C ended the caller: what it would have made must not appear behind make's back, which has cleaned up by now. */
export function isGone(pid: number): boolean {
  return /^[ZX]$/.test(look(pid)?.state ?? 'X');
}

const SHELL = /^(?:sh|bash|dash|ksh|mksh|zsh|ash|busybox)$/;

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** Flags and script of `sh -c SCRIPT`, or the script's file. */
export function shellOf(command: string, words: readonly string[]): Shell | undefined {
  if (!SHELL.test(command)) return undefined;
  let flags = '';
  let at = 1;
  for (; /^[-+]/.test(words[at] ?? ''); at++) {
    const word = words[at]!;
    if (word.startsWith('--')) continue;
    if (word.startsWith('-')) flags += word.slice(1);
    // `-o errexit`: the option's name is a word of its own.
    if (word.endsWith('o') && words[++at] === 'errexit' && word.startsWith('-')) flags += 'e';
  }
  const next = words[at] ?? '';
  return flags.includes('c') ? { flags, script: next } : { flags, file: next };
}

interface Shell {
  readonly flags: string;
  readonly script?: string;
  readonly file?: string;
}

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

const CONFIGURE = /(?:^|\/)(?:configure|config\.status)(?:\.[a-z]+)?$/;

/** `cmake -E env`, `cmake -E cmake_link_script`: they end as the command that fails first does. */
function isCmakeTool(command: string, words: readonly string[]): boolean {
  return command.startsWith('cmake') && words[1] === '-E';
}

/** libtool compiles twice and hides what the second run says; its status is the first one's. */
const LIBTOOL = /(?:^|\/)[\w.-]*libtool$/;

/** Of build tools that ask for themselves; the oldest goes first. */
const direct = new Map<string, Ancestry>();
const DIRECT_MAX = 64;

/** @param pid the build tool itself: nothing stands between it and its calls, and what is above it stays the same. */
export function ancestryOfTool(pid: number): Ancestry {
  const own = look(pid);
  const key = own && `${pid} ${own.started}`;
  const known = key && direct.get(key);
  if (known) return known;
  const ancestry = climb([], pid, [], []);
  if (!key) return ancestry;
  if (direct.size >= DIRECT_MAX) direct.delete(direct.keys().next().value as string);
  direct.set(key, ancestry);
  return ancestry;
}

/** The server's own mount namespace and root directory; neither changes while it lives. */
let ours: { readonly mounts: string; readonly root: string } | undefined;

/** Whether the server looks at the caller's files when it looks up a path: one mount namespace and one root directory. */
export function seesOurFiles(pid: number): boolean {
  try {
    ours ??= { mounts: readlinkSync('/proc/self/ns/mnt'), root: readlinkSync('/proc/self/root') };
    return (
      readlinkSync(`/proc/${pid}/ns/mnt`) === ours.mounts && readlinkSync(`/proc/${pid}/root`) === ours.root
    );
  } catch (error) {
    // Whoever may not be looked at is in a user namespace of its own. Else it ended meanwhile, and there is nothing to compare.
    return (error as NodeJS.ErrnoException).code !== 'EACCES';
  }
}

/** @param pid the shim's own process. */
export function ancestryOf(pid: number, tool: string): Ancestry {
  const own = look(pid);
  const names = own ? [tool, own.command] : [tool];
  return climb(names, own?.parent ?? 0, [linkOf(pid, 1)], [linkOf(pid, 2)]);
}

/**
 * @param names what the call may be seen as by a shell above it.
 * @param output where its descriptor 1 leads; `messages`: 2.
 */
function climb(
  names: string[],
  from: number,
  output: (string | undefined)[],
  messages: (string | undefined)[],
): Ancestry {
  let configuring = false;
  let libtool = false;
  let asks = false;
  let compilerCache: string | undefined;
  let top = 0;
  let nearest = '';
  let nestedIsRead = false;
  let at = from;
  for (let depth = 0; at > 1 && depth < DEPTH_MAX; depth++) {
    const process = look(at);
    if (!process) break;
    if (top === 0) {
      output.push(linkOf(at, 1));
      messages.push(linkOf(at, 2));
      if (/^(?:configure|config\.status|autogen)/.test(process.command)) configuring = true;
    }
    if (BUILD_TOOLS.has(process.command)) {
      if (top === 0) {
        nearest = process.command;
        nestedIsRead = isNestedRead(at, process);
      }
      top = at;
    } else if (top === 0) {
      compilerCache ??= compilerCacheOf(at, process.command);
      const words = commandLine(at);
      const shell = shellOf(process.command, words);
      const file = shell ? shell.file : process.command;
      if (file !== undefined && CONFIGURE.test(file)) configuring = true;
      if (file !== undefined && LIBTOOL.test(file)) {
        libtool = true;
        asks = false;
      } else if (shell?.script !== undefined) asks ||= looksAtStatus(shell.script, shell.flags, names);
      // A script, or a program that runs others: what it makes of the end of one is its own affair.
      else asks ||= !isPassedThrough(process.command) && !isCmakeTool(process.command, words);
      names.push(process.command);
    }
    at = process.parent;
  }
  if (top === 0)
    return {
      buildTool: false,
      configuring,
      compilerCache,
      resultIsRead: true,
      silent: false,
      project: undefined,
    };
  let project: string | undefined;
  try {
    project = readlinkSync(`/proc/${top}/cwd`);
  } catch {
    project = undefined;
  }
  const silent = libtool && messages[0] === '/dev/null';
  const redirected = isRedirected(output, nearest) || isRedirected(messages, nearest);
  const resultIsRead = asks || nestedIsRead || (redirected && !libtool);
  return { buildTool: true, configuring, compilerCache, resultIsRead, silent, project };
}

/** A loop over folders stops at the first one that fails: it would go on behind a make that is deferred. */
const LOOP = /(?:^|[\s;&|({])(?:for|while|until)\s/;

/** Of build tools whose callers were looked at, by process; the oldest goes first. */
const nested = new Map<string, boolean>();
const NESTED_MAX = 256;

/**
 * Whether anybody above a build tool looks at its status or reads what it prints, as in `$(MAKE) a || $(MAKE) b` and
 * `$(MAKE) -C s >log`. Only processes of a session count: whoever started gg waits for gg.
 * @param pid the build tool nearest to the call.
 */
function isNestedRead(pid: number, process: Process): boolean {
  const key = `${pid} ${process.started}`;
  const known = nested.get(key);
  if (known !== undefined) return known;
  const isRead = looksAtNested(pid, process);
  if (nested.size >= NESTED_MAX) nested.delete(nested.keys().next().value as string);
  nested.set(key, isRead);
  return isRead;
}

function looksAtNested(pid: number, process: Process): boolean {
  let names = [process.command];
  let output = [linkOf(pid, 1)];
  let messages = [linkOf(pid, 2)];
  let at = process.parent;
  for (let depth = 0; at > 1 && depth < DEPTH_MAX; depth++) {
    const above = look(at);
    if (!above || !isOfSession(at)) break;
    output.push(linkOf(at, 1));
    messages.push(linkOf(at, 2));
    if (BUILD_TOOLS.has(above.command)) {
      if (isRedirected(output, above.command) || isRedirected(messages, above.command)) return true;
      names = [above.command];
      output = [linkOf(at, 1)];
      messages = [linkOf(at, 2)];
    } else {
      const words = commandLine(at);
      const shell = shellOf(above.command, words);
      const asks =
        shell?.script === undefined
          ? !isPassedThrough(above.command) && !isCmakeTool(above.command, words)
          : LOOP.test(shell.script) || looksAtStatus(shell.script, shell.flags, names);
      if (asks) return true;
      names.push(above.command);
    }
    at = above.parent;
  }
  return isRedirected(output, '') || isRedirected(messages, '');
}

/** A process that gg's command started, and not gg itself. */
function isOfSession(pid: number): boolean {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`.includes('\0GG_SESSION=');
  } catch {
    return false;
  }
}
