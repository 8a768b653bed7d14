// How tools leave their outputs: which file stays the same one, what mode it gets, whether it can be made at all.
import {
  accessSync,
  chmodSync,
  constants,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { PlannedOutput, PlannedThunk } from '../models/model.ts';
import { tryLstatNs, tryStat } from '../base/stat.ts';

/** Of temporary names. */
let serial = 0;

/** The mode the tool would give, `stat` being of what stands there: its own for a new file, the file's for one it writes into. */
export function modeOf(output: PlannedOutput, stat: Stats | undefined, umask: number): number {
  if (output.mode === undefined) return stat ? stat.mode & 0o7777 : 0o666 & ~umask;
  if (stat?.size === 0) return (stat.mode & 0o7777) | (output.mode & 0o111 & ~umask);
  return output.mode & ~umask;
}

/**
 * Assemblers and linkers remove what stands at their output's place, unless it is empty or a link to nothing; compilers'
 * texts, archivers and in-place tools write into it. Source: bfd_open_file in binutils.
 */
export function keepsFile(planned: PlannedThunk, stat: Stats | undefined): boolean {
  const [output] = planned.outputs;
  const inPlace = planned.stage === 'other' && output?.from !== undefined;
  if (planned.stage === 'archive' || inPlace || output?.form === 'text' || output?.into === true) return true;
  return (stat?.size ?? 0) === 0;
}

export function unlinkOtherName(path: string): void {
  const stat = tryLstatNs(path);
  if (stat?.isSymbolicLink() || (stat?.isFile() && stat.nlink > 1n)) rmSync(path, { force: true });
}

export function canCreate(planned: PlannedThunk, path: string): boolean {
  const stat = tryStat(path);
  if (stat && !stat.isFile()) return false;
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    if (stat && keepsFile(planned, stat)) accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The file that a symlink or another name leads to stays that file. */
export function writeThrough(path: string, bytes: Buffer, mode: number): void {
  const link = tryLstatNs(path);
  if (link?.isSymbolicLink()) writeThrough(resolve(dirname(path), readlinkSync(path)), bytes, mode);
  else if (link !== undefined && (link.nlink > 1n || link.size === 0n)) {
    writeFileSync(path, bytes);
    chmodSync(path, mode);
  } else write(path, bytes, mode);
}

/** In one step, so that nobody sees half a placeholder. */
export function write(path: string, bytes: Buffer, mode: number): void {
  const temporary = `${dirname(path)}/.gg-${process.pid}-${serial++}`;
  try {
    writeFileSync(temporary, bytes, { mode, flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
