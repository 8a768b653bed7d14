// Reading manifests: the one place of this folder that meets the disk, and only through a function given by the caller.
import { readFileSync } from 'node:fs';
import { encodeBytes } from './bytes.ts';
import { NinjaError } from './error.ts';
import type { Lexer } from './lexer.ts';

/** @returns the bytes of a file; the path is as the manifest spells it, relative to ninja's directory. Throws errors of node:fs. */
export type ReadFile = (path: string) => Buffer;

/** Reads below `directory`, as ninja does under `-C directory`. */
export function readFileIn(directory: string): ReadFile {
  return (path) => readFileSync(encodeBytes(path.startsWith('/') ? path : `${directory}/${path}`));
}

/** What C's strerror says; node has wordings of its own. */
const MESSAGE_BY_CODE: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EIO: 'Input/output error',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  ENAMETOOLONG: 'File name too long',
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
};

/** The bytes of a manifest. Errors: `load`, at the place in `parent` that named the file. */
export function readManifestFile(readFile: ReadFile, path: string, parent: Lexer | undefined): Buffer {
  try {
    if (path === '') throw Object.assign(new Error('empty path'), { code: 'ENOENT' });
    return readFile(path);
  } catch (cause) {
    const code = (cause as { code?: unknown }).code;
    if (typeof code !== 'string') throw cause;
    const message = `loading '${path}': ${MESSAGE_BY_CODE[code] ?? code}`;
    throw parent?.error(message, 'load', cause) ?? new NinjaError('load', message, { cause });
  }
}
