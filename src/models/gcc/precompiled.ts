// Precompiled headers: gcc takes X.gch for X where it finds one, even from a directory of the search path that lacks X
// itself. What such a file holds and whether gcc accepts it, nobody knows, so its mere presence counts.
import type { ScanFound } from '../../scan/scanner.ts';
import type { Call, ModelContext } from '../model.ts';
import type { Parsed, SourceWord } from './parse.ts';
import { absolute } from '../paths.ts';

/** A precompiled header is taken before the first declaration only, so these limits leave room to spare. */
const SYSTEM_HEADERS_LOOKED_AT = 32;
const OWN_HEADERS_SEARCHED = 32;
const ABSENT_LOOKED_AT = 64;

/** The directories that flags put on the include path. */
function includeDirectories(parsed: Parsed): string[] {
  const directories = parsed.words.flatMap((word) =>
    word.kind === 'flag' && word.flag.kind === 'directory' && word.flag.stages.includes('p')
      ? [word.value.replace(/\/+$/, '')]
      : [],
  );
  return [...new Set(directories)];
}

/** Where else on the include path the first headers might have been found. */
function otherPlaces(parsed: Parsed, source: SourceWord, own: readonly string[]): string[] {
  const directories = includeDirectories(parsed);
  const slash = source.path.lastIndexOf('/');
  const roots = [...directories, slash < 0 ? '' : source.path.slice(0, slash)];
  return own.slice(0, OWN_HEADERS_SEARCHED).flatMap((file) =>
    roots.flatMap((root) => {
      const inside = root === '' || root === '.' ? !file.startsWith('/') : file.startsWith(`${root}/`);
      if (!inside) return [];
      const name = root === '' || root === '.' ? file : file.slice(root.length + 1);
      return directories.filter((other) => other !== root).map((other) => `${other}/${name}`);
    }),
  );
}

/** @returns a precompiled header that gcc might take for this unit */
export function findPrecompiled(
  parsed: Parsed,
  source: SourceWord,
  found: ScanFound,
  call: Call,
  context: ModelContext,
): string | undefined {
  const listed = [...found.extra, ...found.files].find((file) => /\.gch(\/|$)/.test(file));
  if (listed !== undefined || found.precompiledListed) return listed;
  const own = found.files.filter((_, i) => i > 0 && !found.system[i]);
  const system = found.files.filter((_, i) => found.system[i] && i < SYSTEM_HEADERS_LOOKED_AT);
  // A scanner that lists what it looked up in vain has been everywhere already.
  const elsewhere =
    found.absent.length > 0
      ? found.absent.filter((file) => !file.startsWith('/usr/')).slice(0, ABSENT_LOOKED_AT)
      : otherPlaces(parsed, source, own);
  return [...own, ...system, ...new Set(elsewhere)].find(
    (file) => context.stat(absolute(call.cwd, `${file}.gch`)) !== undefined,
  );
}
