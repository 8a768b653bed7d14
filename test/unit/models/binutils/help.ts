// What a tool's own --help says about its options.
import { spawnSync } from 'node:child_process';

export interface HelpOption {
  /** As typed, with its dashes. */
  readonly spelling: string;
  /** none; value: needs one; joined: may have one behind "=". */
  readonly value: 'none' | 'value' | 'joined';
}

/**
 * Options at the beginnings of the lines of `TOOL --help`: "-e ADDRESS, --entry ADDRESS", "--build-id[=STYLE]", "-g -S --strip-debug".
 * @param column where descriptions begin; @param end a line that ends the part of interest.
 */
export function helpOptions(tool: string, column: number, end?: RegExp): HelpOption[] {
  const env = { PATH: process.env['PATH'], LC_ALL: 'C' };
  const text = spawnSync(tool, ['--help'], { encoding: 'utf8', env }).stdout;
  const found = new Map<string, HelpOption>();
  for (const line of text.split('\n')) {
    if (end?.test(line)) break;
    if (!/^ {1,6}-/.test(line)) continue;
    const left = (line[column - 1] === ' ' ? line.slice(0, column) : line).trim();
    const value = left.includes('[=')
      ? 'joined'
      : /=|(?:^|[\w-] )[<A-Z][\w/|<>-]+$/.test(left)
        ? 'value'
        : 'none';
    for (const [, spelling] of left.matchAll(/(?:^|[ ,])(--?[A-Za-z][\w-]*)/g))
      found.set(spelling!, { spelling: spelling!, value });
  }
  return [...found.values()];
}
