// `#pragma once` takes two files of equal bytes for one when their times agree to the second. Where inputs of a compile are
// such files, whether their times agree is part of what the result depends on.
import { isValue } from '../ir/name.ts';
import type { ThunkInput } from '../ir/thunk.ts';
import { tryStat } from '../base/stat.ts';
import { absolute } from './placeholder-at.ts';

/**
 * Salt for a compile: `mtime-class:K:PATH` for each input of equal bytes whose time differs from that of another one.
 * Inputs of one K share a time; so do all inputs that are not named.
 * @param mentionsOnce whether the file at an absolute path has a `#pragma once`.
 */
export function mtimeClasses(
  inputs: readonly ThunkInput[],
  cwd: string,
  mentionsOnce: (absPath: string) => boolean,
): string[] {
  const pathsByName = new Map<string, string[]>();
  for (const { path, name } of inputs) {
    if (!isValue(name)) continue;
    const paths = pathsByName.get(name);
    if (paths) paths.push(path);
    else pathsByName.set(name, [path]);
  }
  const salt: string[] = [];
  for (const paths of pathsByName.values()) {
    if (paths.length < 2) continue;
    const seconds = paths.map((p) => Math.floor((tryStat(absolute(cwd, p))?.mtimeMs ?? 0) / 1000));
    const classes = [...new Set(seconds)].sort((a, b) => a - b);
    if (classes.length < 2 || !mentionsOnce(absolute(cwd, paths[0]!))) continue;
    for (const [i, path] of paths.entries()) salt.push(`mtime-class:${classes.indexOf(seconds[i]!)}:${path}`);
  }
  return salt;
}
