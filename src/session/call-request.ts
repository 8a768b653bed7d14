// A shim's request as a value.
import { FIELD } from './protocol.ts';

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
  readonly stderrTty: boolean;
  readonly interposed: boolean;
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
      case FIELD.TTY:
      case FIELD.INTERPOSED:
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
    stderrTty: ((numbers.get(FIELD.TTY) ?? 0) & 4) !== 0,
    interposed: numbers.get(FIELD.INTERPOSED) === 1,
    unusual: one.get(FIELD.UNUSUAL) ?? '',
    path: one.get(FIELD.PATH) ?? '',
    to: one.get(FIELD.TO) ?? '',
    utf8: ok,
  };
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
