// Checks of input and output paths that all gcc plans share.
import { type Bypass, bypass, type Call, type ModelContext } from './model.ts';

/** The absolute spelling of a path as typed; `..` stays, for it may follow a symlink. */
export function absolute(cwd: string, argvPath: string): string {
  return argvPath.startsWith('/') ? argvPath : `${cwd}/${argvPath}`;
}

/** Two spellings with one key name one file, symlinks apart. */
export function pathKey(cwd: string, argvPath: string): string {
  const parts: string[] = [];
  for (const part of absolute(cwd, argvPath).split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The first of `inputs` that names the same file as one of `outputs`. */
export function findClash(
  cwd: string,
  outputs: readonly string[],
  inputs: readonly string[],
): string | undefined {
  const bases = new Set(outputs.map(base));
  const suspects = inputs.filter((input) => bases.has(base(input)));
  if (suspects.length === 0) return undefined;
  const keys = new Set(outputs.map((output) => pathKey(cwd, output)));
  return suspects.find((input) => keys.has(pathKey(cwd, input)));
}

type Inputs = Bypass['inputs'];

/** A named input must be there; a directory or a device is left to the real tool. */
export function checkInput(
  call: Call,
  context: ModelContext,
  argvPath: string,
  inputs: Inputs,
): Bypass | undefined {
  const absPath = absolute(call.cwd, argvPath);
  if (context.isProbePath(absPath)) return bypass('probe', argvPath, inputs);
  const stat = context.stat(absPath);
  if (!stat) return bypass('missing-input', argvPath, inputs);
  if (stat.kind !== 'file') return bypass('unreadable-input', argvPath, inputs);
  return undefined;
}

/** An output must be a plain file, or become one, in a directory that is there. */
export function checkOutput(
  call: Call,
  context: ModelContext,
  argvPath: string,
  inputs: Inputs,
): Bypass | undefined {
  const absPath = absolute(call.cwd, argvPath);
  if (context.isProbePath(absPath)) return bypass('probe', argvPath, inputs);
  const stat = context.stat(absPath);
  if (stat?.kind === 'other') return bypass('writes-special-file', argvPath, inputs);
  if (stat?.kind === 'directory' || argvPath === '' || argvPath.endsWith('/'))
    return bypass('unwritable-output', argvPath, inputs);
  // Without a write bit gcc may replace the file or fail, depending on the directory and the user.
  if (stat && (stat.mode & 0o222) === 0) return bypass('unwritable-output', argvPath, inputs);
  const parent = context.stat(absPath.slice(0, absPath.lastIndexOf('/')) || '/');
  // Whether this user may write there is the session's to ask of the system.
  if (parent?.kind !== 'directory') return bypass('unwritable-output', argvPath, inputs);
  return undefined;
}
