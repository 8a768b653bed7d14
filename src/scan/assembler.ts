// Pure assembler code has no preprocessor, but may include files of its own.
import { readFileSync } from 'node:fs';
import { marksOf } from './marks.ts';
import type { ScanRequest, ScanResult } from './scanner.ts';
import { absolutePath } from './search.ts';

/** Files one source may include, directly or not. */
const FILES_MAX = 1000;

/** -I as the driver hands it to the assembler. */
function includeDirs(flags: readonly string[]): string[] {
  const dirs: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const word = flags[i]!;
    if (word === '-I') dirs.push(flags[++i] ?? '');
    else if (word.startsWith('-I')) dirs.push(word.slice(2));
    else if (word.startsWith('-Wa,')) {
      const parts = word.slice(4).split(',');
      for (let k = 0; k < parts.length; k++) {
        if (parts[k] === '-I') dirs.push(parts[++k] ?? '');
        else if (parts[k]!.startsWith('-I')) dirs.push(parts[k]!.slice(2));
      }
    }
  }
  return dirs;
}

function read(cwd: string, path: string): Buffer | undefined {
  try {
    return readFileSync(absolutePath(cwd, path));
  } catch {
    return undefined;
  }
}

/** What `.include` and `.incbin` of a source name, searched as gas does: as written, then in the directories of -I. */
export function scanAssembler(request: ScanRequest): ScanResult {
  const { cwd, source } = request;
  const dirs = includeDirs(request.flags);
  const extra: string[] = [];
  const absent: string[] = [];
  const seen = new Set<string>([source]);
  const queue = [source];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    const bytes = read(cwd, path);
    if (!bytes) return { kind: 'incomplete', reason: 'missing-file', detail: path };
    const names = marksOf(bytes, true).assembler;
    if (names === undefined || seen.size > FILES_MAX)
      return { kind: 'incomplete', reason: 'asm-include', detail: path };
    for (const name of names) {
      const candidates = [name, ...(name.startsWith('/') ? [] : dirs.map((dir) => `${dir}/${name}`))];
      const found = candidates.findIndex((candidate) => read(cwd, candidate) !== undefined);
      if (found < 0) return { kind: 'incomplete', reason: 'asm-include', detail: `${path}: ${name}` };
      absent.push(...candidates.slice(0, found));
      const file = candidates[found]!;
      if (seen.has(file)) continue;
      seen.add(file);
      extra.push(file);
      queue.push(file);
    }
  }
  return { kind: 'found', files: [source], system: [false], extra, absent, usesTime: false };
}
