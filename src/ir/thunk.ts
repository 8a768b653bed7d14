// A thunk: the frozen description of one tool run with everything its result depends on.
//
// Canonical form (version 1): UTF-8 JSON of the object below with the keys in exactly the order of `canonical`, no
// white space, then one "\n". Its SHA-256 and length are the thunk's name. Changing anything here changes every name:
// raise THUNK_VERSION instead.
import { baseName, isThunk, nameThunk, type ObjectName, type ObjectRef, parseRef } from './name.ts';

export const THUNK_VERSION = 1;

/** One word of the command line: text, or text around the path of a declared output (`prefix` + path). */
export type Arg = string | OutputArg;

/** Stands for the path of the output `output`; the worker puts a path of its own there. */
export interface OutputArg {
  readonly prefix: string;
  readonly output: string;
}

/** A file the run reads. `path` is spelled as the tool will spell it: absolute, or relative to the working directory. */
export interface ThunkInput {
  readonly path: string;
  readonly name: ObjectRef | ObjectName;
}

/** A file the run leaves. `path` as typed; `from` names an input whose bytes the output starts with (in-place tools). */
export interface ThunkOutput {
  readonly tag: string;
  readonly path: string;
  readonly from?: string;
}

/** A salt: the tool asks for the time at its start, and its model has seen that nothing of it reaches the outputs. */
export const CLOCK_UNUSED = 'clock-unused';

export interface Thunk {
  /** argv[0] as the tool sees it, e.g. "gcc". */
  readonly tool: string;
  /** Digest over the tool and every program and library it runs. */
  readonly toolchain: string;
  readonly args: readonly Arg[];
  /** The variables that matter, sorted by name. */
  readonly env: readonly (readonly [string, string])[];
  /** Absolute working directory, or '' when the result cannot depend on it. */
  readonly cwd: string;
  readonly inputs: readonly ThunkInput[];
  /** Names looked up in vain: if one of them existed the result could differ. */
  readonly absent: readonly string[];
  readonly outputs: readonly ThunkOutput[];
  /** Facts beyond the files: the expansion of -march=native, a nonce for __TIME__. */
  readonly salt: readonly string[];
}

function canonical(thunk: Thunk): object {
  return {
    gg: THUNK_VERSION,
    tool: thunk.tool,
    toolchain: thunk.toolchain,
    args: thunk.args.map((a) => (typeof a === 'string' ? a : { prefix: a.prefix, output: a.output })),
    env: thunk.env,
    cwd: thunk.cwd,
    inputs: thunk.inputs.map((i) => [i.path, i.name]),
    absent: thunk.absent,
    outputs: thunk.outputs.map((o) => (o.from === undefined ? [o.tag, o.path] : [o.tag, o.path, o.from])),
    salt: thunk.salt,
  };
}

/** The canonical bytes and the name they give. */
export function encodeThunk(thunk: Thunk): { readonly name: ObjectName; readonly bytes: Buffer } {
  const bytes = Buffer.from(`${JSON.stringify(canonical(thunk))}\n`);
  return { name: nameThunk(bytes), bytes };
}

export class BadThunkError extends Error {
  readonly reason: 'malformed' | 'unknown-version';
  constructor(reason: 'malformed' | 'unknown-version', message: string) {
    super(message);
    this.name = 'BadThunkError';
    this.reason = reason;
  }
}

const TAG = /^[A-Za-z0-9._+-]{1,64}$/;

function strings(value: unknown, what: string): string[] {
  if (!Array.isArray(value) || value.some((v) => typeof v !== 'string')) {
    throw new BadThunkError('malformed', `${what} is not a list of strings`);
  }
  return value as string[];
}

/**
 * Reads a thunk from its canonical bytes.
 * @throws BadThunkError `unknown-version` for a thunk of another version, `malformed` for anything else.
 */
export function decodeThunk(bytes: Uint8Array): Thunk {
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    throw new BadThunkError('malformed', 'not JSON');
  }
  if (typeof raw !== 'object' || raw === null) throw new BadThunkError('malformed', 'not an object');
  if (raw['gg'] !== THUNK_VERSION) {
    throw new BadThunkError(
      'unknown-version',
      `thunk version ${String(raw['gg'])}, this is ${THUNK_VERSION}`,
    );
  }
  for (const key of ['tool', 'toolchain', 'cwd']) {
    if (typeof raw[key] !== 'string') throw new BadThunkError('malformed', `${key} is not a string`);
  }
  const list = (key: string): unknown[] => {
    if (!Array.isArray(raw[key])) throw new BadThunkError('malformed', `${key} is not a list`);
    return raw[key] as unknown[];
  };
  const args = list('args').map((a): Arg => {
    if (typeof a === 'string') return a;
    const o = a as Partial<OutputArg> | null;
    if (o && typeof o.prefix === 'string' && typeof o.output === 'string')
      return { prefix: o.prefix, output: o.output };
    throw new BadThunkError('malformed', 'args holds something that is neither text nor an output');
  });
  const inputs = list('inputs').map((i): ThunkInput => {
    const [path, name] = strings(i, 'an input');
    if (path === undefined || name === undefined || !parseRef(name))
      throw new BadThunkError('malformed', 'a bad input');
    return { path, name: name as ObjectRef };
  });
  const outputs = list('outputs').map((o): ThunkOutput => {
    const [tag, path, from] = strings(o, 'an output');
    if (tag === undefined || path === undefined || !TAG.test(tag))
      throw new BadThunkError('malformed', 'a bad output');
    return from === undefined ? { tag, path } : { tag, path, from };
  });
  const env = list('env').map((e): readonly [string, string] => {
    const [key, value] = strings(e, 'a variable');
    if (key === undefined || value === undefined) throw new BadThunkError('malformed', 'a bad variable');
    return [key, value];
  });
  return {
    tool: raw['tool'] as string,
    toolchain: raw['toolchain'] as string,
    args,
    env,
    cwd: raw['cwd'] as string,
    inputs,
    absent: strings(raw['absent'], 'absent'),
    outputs,
    salt: strings(raw['salt'], 'salt'),
  };
}

/** The thunks this one needs, each once, in order of first use. */
export function thunkDeps(thunk: Thunk): ObjectName[] {
  const seen = new Set<ObjectName>();
  for (const input of thunk.inputs) if (isThunk(input.name)) seen.add(baseName(input.name));
  return [...seen];
}
