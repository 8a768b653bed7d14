// libtool's own files beside what the tools it runs leave: `x.lo` for `.libs/x.o` and `x.o`, `libx.la` for `.libs/libx.a` and
// `.libs/libx.so.1`, a script `prog` for `.libs/prog`. They are what make knows, and libtool writes them when its last
// command is done: they must not outlive its outputs, or no make asks for those again.
import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readHead } from '../base/head.ts';
import { tryLstat } from '../base/stat.ts';

const OBJECT_DIRECTORY = /^[._]libs$/;
const SIGNATURE = /^(?:#!.*\n\s*)?# .*(?:libtool|wrapper script for)/;
/** Of the first lines, which hold the file's name. */
const HEAD_BYTES = 4096;

/** @param output absolute path of an output that was taken away. */
export function removeLibtoolFiles(output: string): void {
  const directory = dirname(output);
  const name = basename(output);
  const isHidden = OBJECT_DIRECTORY.test(basename(directory));
  const beside = isHidden ? dirname(directory) : directory;
  const names: string[] = [];
  if (name.endsWith('.o')) names.push(`${name.slice(0, -2)}.lo`);
  else if (isHidden) names.push(`${name.replace(/\.(?:so(?:\.[\d.]+)?|a)$/, '')}.la`, name);
  for (const candidate of names.map((n) => join(beside, n))) {
    if (!tryLstat(candidate)?.isFile()) continue;
    const head = readHead(candidate, HEAD_BYTES)?.toString('latin1');
    if (head !== undefined && SIGNATURE.test(head)) rmSync(candidate, { force: true });
  }
}
