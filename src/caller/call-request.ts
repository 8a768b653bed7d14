// A shim's request as a value.
import { join, resolve } from 'node:path';
import { tryStat } from '../base/stat.ts';
import { PATH_PROGRAMS } from '../toolchain/toolchain.ts';
import { FIELD } from '../wire/shim-frames.ts';

export interface CallRequest {
  /** Base name the tool was called by. */
  readonly tool: string;
  readonly realTool: string;
  /** Without argv[0]. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: ReadonlyMap<string, string>;
  readonly umask: number;
  readonly pid: number;
  /** `pid` is the build tool itself: no process stands between. */
  readonly direct: boolean;
  readonly stderrTty: boolean;
  readonly interposed: boolean;
  /** Kilobytes of stack a compiler called there would have; 0: not known. */
  readonly stackKb: number;
  /** What about the calling process the real tool would trip over; empty: nothing. */
  readonly unusual: string;
  /** For `open` and `move`: the file. */
  readonly path: string;
  /** For `move`: its new name. */
  readonly to: string;
  /** Everything was valid UTF-8. */
  readonly utf8: boolean;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function readCallRequest(fields: readonly (readonly [number, Buffer])[]): CallRequest {
  let ok = true;
  const text = (bytes: Buffer): string => {
    try {
      return utf8.decode(bytes);
    } catch {
      ok = false;
      return bytes.toString('latin1');
    }
  };
  const argv: string[] = [];
  const env = new Map<string, string>();
  const one = new Map<number, string>();
  const numbers = new Map<number, number>();
  for (const [tag, bytes] of fields) {
    switch (tag) {
      case FIELD.ARG:
        argv.push(text(bytes));
        break;
      case FIELD.ENV: {
        const entry = text(bytes);
        const eq = entry.indexOf('=');
        if (eq > 0 && !env.has(entry.slice(0, eq))) env.set(entry.slice(0, eq), entry.slice(eq + 1));
        break;
      }
      case FIELD.UMASK:
      case FIELD.PID:
      case FIELD.DIRECT:
      case FIELD.TTY:
      case FIELD.INTERPOSED:
      case FIELD.STACK:
        if (bytes.length === 4) numbers.set(tag, bytes.readUInt32LE(0));
        break;
      default:
        one.set(tag, text(bytes));
    }
  }
  return {
    tool: one.get(FIELD.TOOL) ?? '',
    realTool: one.get(FIELD.REAL) ?? '',
    args: argv.slice(1),
    cwd: one.get(FIELD.CWD) ?? '',
    env,
    umask: numbers.get(FIELD.UMASK) ?? 0o022,
    pid: numbers.get(FIELD.PID) ?? 0,
    direct: numbers.get(FIELD.DIRECT) === 1,
    stderrTty: ((numbers.get(FIELD.TTY) ?? 0) & 4) !== 0,
    interposed: numbers.get(FIELD.INTERPOSED) === 1,
    stackKb: numbers.get(FIELD.STACK) ?? 0,
    unusual: one.get(FIELD.UNUSUAL) ?? '',
    path: one.get(FIELD.PATH) ?? '',
    to: one.get(FIELD.TO) ?? '',
    utf8: ok,
  };
}

/**
 * $PATH as it reads from elsewhere: the server and the engines are in other directories. Relative entries that hold none of
 * the toolchain's programs are left out, so that directories share what is known of a toolchain.
 */
export function absoluteSearchPath(path: string, cwd: string): string {
  const entries = path.split(':');
  if (entries.every((entry) => entry.startsWith('/'))) return path;
  return entries
    .map((entry) => (entry.startsWith('/') ? entry : resolve(cwd, entry)))
    .filter(
      (entry, i) => entries[i]!.startsWith('/') || PATH_PROGRAMS.some((tool) => tryStat(join(entry, tool))),
    )
    .join(':');
}

/** The request as it reads from elsewhere. */
export function withAbsolutePath(request: CallRequest): CallRequest {
  const path = request.env.get('PATH');
  const absolutePath = path === undefined ? undefined : absoluteSearchPath(path, request.cwd);
  return absolutePath === undefined || absolutePath === path
    ? request
    : { ...request, env: new Map([...request.env, ['PATH', absolutePath]]) };
}

/** $PATH without directories of shims. */
export function searchPathWithout(path: string, shimDirectories: ReadonlySet<string>): string {
  return path
    .split(':')
    .filter((d) => !shimDirectories.has(d) && !/\/native\/[0-9a-f]{8,}(?:\/bin)?\/?$/.test(d))
    .join(':');
}

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** The command as a person would type it in a shell. */
export function commandText(words: readonly string[]): string {
  return words.map((w) => (PLAIN.test(w) ? w : `'${w.replaceAll("'", "'\\''")}'`)).join(' ');
}
