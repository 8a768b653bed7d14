// What the binutils models share.
import type { Call, ModelContext } from './model.ts';

export function absolute(cwd: string, path: string): string {
  return path.startsWith('/') ? path : `${cwd}/${path}`;
}

/** The variables that reach binutils: message language, and what changes bytes. */
const NAMES: ReadonlySet<string> = new Set([
  'LANG',
  'LANGUAGE',
  'SOURCE_DATE_EPOCH',
  'GNUTARGET',
  'LDEMULATION',
  'LD_RUN_PATH',
  'LD_LIBRARY_PATH',
  'ZERO_AR_DATE',
]);

export function binutilsEnvironment(env: ReadonlyMap<string, string>): (readonly [string, string])[] {
  return [...env]
    .filter(([name]) => NAMES.has(name) || name.startsWith('LC_'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Words of a command line that name existing files, also behind "=". */
export function filesAmong(call: Call, context: ModelContext): string[] {
  const found: string[] = [];
  for (const word of call.args) {
    const eq = word.indexOf('=');
    for (const path of eq > 0 ? [word, word.slice(eq + 1)] : [word.replace(/^@/, '')]) {
      const absPath = absolute(call.cwd, path);
      if (path !== '' && context.stat(absPath)?.kind === 'file') found.push(absPath);
    }
  }
  return found;
}

/** Version and help queries. */
export function asksVersion(args: readonly string[]): boolean {
  return args.some((a) => ['--version', '-V', '--help', '-h', '-v', '-H'].includes(a));
}
