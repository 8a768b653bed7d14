// Which files a nasm source may read: every %include and incbin of it and of what it includes, whether or not the condition
// around it holds. Source: the preprocessor chapter of the NASM manual; inc_fopen of nasm 2.16 (asm/preproc.c).
import type { ModelContext } from '../model.ts';

export interface NasmFiles {
  readonly kind: 'found';
  /** As nasm spells them, each once. */
  readonly files: readonly string[];
  /** Names that were looked for in vain before or instead. */
  readonly absent: readonly string[];
}

export interface NasmUnknown {
  readonly kind: 'unknown';
  readonly detail: string;
}

/** Real units read a handful. */
const FILES_MAX = 2000;
/** The clock, the environment, and searches of the preprocessor's own. */
const ODD = /%!|%(?:pathsearch|depend)\b|__\??(?:DATE|TIME|UTC|POSIX_TIME)/i;
const QUOTED = /^\s*(?:"([^"]*)"|'([^']*)')\s*(?:;.*)?$/;

/** @param before files read first (-P). @param directories -I, in order. */
export function nasmFiles(
  context: ModelContext,
  cwd: string,
  unit: {
    readonly source: string;
    readonly before: readonly string[];
    readonly directories: readonly string[];
  },
): NasmFiles | NasmUnknown {
  const files = new Set<string>();
  const absent = new Set<string>();
  const open: string[] = [];
  const at = (path: string): string => (path.startsWith('/') ? path : `${cwd}/${path}`);
  const unknown = (detail: string): NasmUnknown => ({ kind: 'unknown', detail });
  /** nasm looks for the name as it stands, then below each directory; never beside the file that includes. */
  const find = (name: string): string | undefined | NasmUnknown => {
    for (const directory of ['', ...unit.directories]) {
      const path = directory === '' ? name : `${directory}${directory.endsWith('/') ? '' : '/'}${name}`;
      const stat = context.stat(at(path));
      if (stat?.kind === 'file') return path;
      if (stat) return unknown(`${path}: no plain file`);
      absent.add(path);
    }
    return undefined;
  };
  const read = (name: string, follow: boolean): NasmUnknown | undefined => {
    const path = find(name);
    // In a branch that is not taken, or nasm will say so itself.
    if (path === undefined) return undefined;
    if (typeof path !== 'string') return path;
    if (files.has(path)) return undefined;
    files.add(path);
    if (files.size > FILES_MAX) return unknown('too many files');
    if (follow) open.push(path);
    return undefined;
  };
  for (const first of unit.before) {
    const bad = read(first, true);
    if (bad) return bad;
  }
  files.add(unit.source);
  open.push(unit.source);
  while (open.length > 0) {
    const path = open.pop()!;
    if (context.isPlaceholder(at(path))) return unknown(`${path}: not built yet`);
    const text = context.read(at(path))?.toString('latin1');
    if (text === undefined) return unknown(`${path}: cannot be read`);
    if (ODD.test(text)) return unknown(`${path}: ${ODD.exec(text)![0]}`);
    for (const line of text.split('\n')) {
      const include = /%\s*(?:include|require)\b(.*)/i.exec(line);
      const binary = include ? undefined : /\bincbin\b(.*)/i.exec(line);
      const found = include ?? binary;
      if (!found || /^\s*;/.test(line)) continue;
      const rest = binary ? found[1]!.replace(/,[^"']*$/, '') : found[1]!;
      const name = QUOTED.exec(rest.replace(/\r$/, ''));
      const bad = name ? read(name[1] ?? name[2]!, include !== null) : unknown(`${path}: ${line.trim()}`);
      if (bad) return bad;
    }
  }
  return { kind: 'found', files: [...files], absent: [...absent] };
}
