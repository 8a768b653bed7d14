// Knows of a build command what gg must: which tool it is, how many jobs, whether it keeps going, what a failure exits with.
import { basename } from 'node:path';

export interface BuildCommand {
  readonly kind: 'make' | 'ninja' | 'other';
  /** From -j; undefined when it says none or no number. */
  readonly jobs: number | undefined;
  readonly keepGoing: boolean;
  /** What the tool exits with when a command of the build fails. */
  readonly failureCode: number;
}

const KIND_BY_NAME: Readonly<Record<string, BuildCommand['kind']>> = {
  make: 'make',
  gmake: 'make',
  bmake: 'make',
  ninja: 'ninja',
  'ninja-build': 'ninja',
  samu: 'ninja',
};

/** make's short options that take a value; what stands behind one in a cluster is that value. */
const MAKE_VALUED = new Set('CfIoWE'.split(''));
const NINJA_VALUED = new Set('Cftdw'.split(''));

export function readBuildCommand(argv: readonly string[], env: NodeJS.ProcessEnv): BuildCommand {
  const kind = KIND_BY_NAME[basename(argv[0] ?? '')] ?? 'other';
  if (kind === 'other') return { kind, jobs: undefined, keepGoing: false, failureCode: 1 };
  const valued = kind === 'make' ? MAKE_VALUED : NINJA_VALUED;
  let jobs: number | undefined;
  let keepGoing = false;
  const inherited = kind === 'make' ? (env['MAKEFLAGS'] ?? '').split(' ', 1)[0]! : '';
  if (/^[a-zA-Z]*k[a-zA-Z]*$/.test(inherited)) keepGoing = true;
  for (let i = 1; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--') break;
    if (word.startsWith('--')) {
      if (word === '--keep-going') keepGoing = true;
      if (word === '--no-keep-going' || word === '--stop') keepGoing = false;
      const m = /^--jobs(?:=([0-9]+))?$/.exec(word);
      if (m?.[1]) jobs = Number(m[1]);
      continue;
    }
    if (!word.startsWith('-')) continue;
    for (let c = 1; c < word.length; c++) {
      const letter = word[c]!;
      const rest = word.slice(c + 1);
      if (letter === 'j' || (letter === 'k' && kind === 'ninja')) {
        const next = argv[i + 1];
        const value =
          /^[0-9]+/.exec(rest)?.[0] ??
          (rest === '' && next !== undefined && /^[0-9]+$/.test(next) ? next : undefined);
        if (letter === 'j' && value !== undefined && Number(value) > 0) jobs = Number(value);
        if (letter === 'k' && value !== undefined && value !== '1') keepGoing = true;
        if (value !== undefined) c += rest.startsWith(value) ? value.length : 0;
        continue;
      }
      if (letter === 'k') keepGoing = true;
      if (letter === 'S') keepGoing = false;
      if (valued.has(letter)) {
        if (rest === '') i++;
        break;
      }
    }
  }
  return { kind, jobs, keepGoing, failureCode: kind === 'make' ? 2 : 1 };
}
