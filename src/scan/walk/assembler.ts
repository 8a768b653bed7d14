// What assembler code includes by directives of its own: .include, and .incbin for data. Searched as gas does: from the
// working directory, then in the directories of -I.
import { statSync } from 'node:fs';
import type { AssemblerFile } from '../text/assembler-text.ts';
import { marksOf } from '../text/file-facts.ts';
import { readFileOrUndefined } from '../../base/read-file.ts';
import type { ScanRequest, ScanResult } from '../scanner.ts';
import { absolutePath } from './search.ts';

/** Files one source may include, directly or not. */
const FILES_MAX = 1000;

/** -I as the driver hands it to the assembler, and those of -Wa. */
export function assemblerDirs(flags: readonly string[]): string[] {
  const dirs: string[] = [];
  const take = (words: readonly string[]): void => {
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      if (word === '-I') dirs.push(words[++i] ?? '');
      else if (word.startsWith('-I')) dirs.push(word.slice(2));
      else if (word === '-Xassembler') take([words[++i] ?? '']);
      else if (word.startsWith('-Wa,')) take(word.slice(4).split(','));
    }
  };
  take(flags);
  return dirs;
}

interface Found {
  readonly files: readonly string[];
  /** Places that were looked at in vain. */
  readonly absent: readonly string[];
}

/** All that these files and what they include name, each once. @returns undefined when one of them cannot be told. */
function follow(
  cwd: string,
  dirs: readonly string[],
  start: readonly AssemblerFile[] | undefined,
): Found | undefined {
  const files = new Set<string>();
  const absent = new Set<string>();
  const queue = start ? [...start] : undefined;
  for (let next = queue?.shift(); next !== undefined; next = queue?.shift()) {
    const { name, code } = next;
    const places = [name, ...(name.startsWith('/') ? [] : dirs.map((dir) => `${dir}/${name}`))];
    const at = places.findIndex((place) =>
      statSync(absolutePath(cwd, place), { throwIfNoEntry: false })?.isFile(),
    );
    if (at < 0 || files.size >= FILES_MAX) return undefined;
    for (const place of places.slice(0, at)) absent.add(place);
    const place = places[at]!;
    if (files.has(place)) continue;
    files.add(place);
    if (!code) continue;
    const bytes = readFileOrUndefined(absolutePath(cwd, place));
    const inside = bytes && marksOf(bytes, true).assembler;
    if (!inside) return undefined;
    queue!.push(...inside);
  }
  return queue ? { files: [...files], absent: [...absent] } : undefined;
}

/** Paths, as gas spells them, of the files some code includes, and of those they include. */
export function findForAssembler(
  cwd: string,
  dirs: readonly string[],
  names: readonly AssemblerFile[] | undefined,
): readonly string[] | undefined {
  return follow(cwd, dirs, names)?.files;
}

/** A source that no preprocessor sees. */
export function scanAssembler({ cwd, source, flags }: ScanRequest): ScanResult {
  const bytes = readFileOrUndefined(absolutePath(cwd, source));
  if (!bytes) return { kind: 'incomplete', reason: 'missing-file', detail: source };
  const found = follow(cwd, assemblerDirs(flags), marksOf(bytes, true).assembler);
  if (!found) return { kind: 'incomplete', reason: 'asm-include', detail: source };
  return {
    kind: 'found',
    files: [source],
    system: [false],
    extra: found.files,
    absent: found.absent,
    usesTime: false,
  };
}
