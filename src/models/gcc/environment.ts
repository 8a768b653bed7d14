// The variables that reach gcc and the programs it runs. Source: "Environment Variables Affecting GCC" in the manual, and
// what ld and collect2 read.
import { type Bypass, bypass } from '../model.ts';
import type { Stages } from './flags.ts';

/** Which stages a variable concerns; those not listed change nothing that is written or printed. */
const CONCERNS: readonly (readonly [name: string, stages: Stages])[] = [
  ['COLLECT_NO_DEMANGLE', 'l'],
  ['CPATH', 'p'],
  ['CPLUS_INCLUDE_PATH', 'p'],
  ['C_INCLUDE_PATH', 'p'],
  ['GCC_COLORS', 'pcal'],
  ['GCC_EXTRA_DIAGNOSTIC_OUTPUT', 'pcl'],
  ['GCC_URLS', 'pcl'],
  ['LANG', 'pcal'],
  ['LANGUAGE', 'pcal'],
  ['LC_ALL', 'pcal'],
  ['LC_CTYPE', 'pcal'],
  ['LC_MESSAGES', 'pcal'],
  ['LD_LIBRARY_PATH', 'pcal'],
  ['LD_RUN_PATH', 'l'],
  ['LIBRARY_PATH', 'l'],
  // Whether a unit holds the time is read from its text; one that pastes __DATE__ together is not seen.
  ['SOURCE_DATE_EPOCH', 'p'],
  ['TERM_URLS', 'pcl'],
];

/** Variables that move programs and files about, write further files, or mark a call from inside another gcc. */
const TOO_HARD = [
  'COLLECT_GCC',
  'COLLECT_GCC_OPTIONS',
  'COLLECT_LTO_WRAPPER',
  'COMPILER_PATH',
  'DEPENDENCIES_OUTPUT',
  'GCC_COMPARE_DEBUG',
  'GCC_EXEC_PREFIX',
  'GNUTARGET',
  'LDEMULATION',
  'SUNPRO_DEPENDENCIES',
] as const;

type Environment = ReadonlyMap<string, string>;

export function checkEnvironment(env: Environment): Bypass | undefined {
  const name = TOO_HARD.find((variable) => env.has(variable));
  if (name === undefined) return undefined;
  // Inside another gcc (LTO) the inputs are its temporary files.
  return bypass('too-hard-environment', name, name.startsWith('COLLECT_') ? [] : 'all');
}

/** A thunk's variables, sorted by name. */
export function thunkEnvironment(
  env: Environment,
  facts: { readonly stages: Stages; readonly needsCwd: boolean; readonly usesTime: boolean },
): [string, string][] {
  const names = CONCERNS.filter(([, stages]) => [...stages].some((s) => facts.stages.includes(s))).map(
    ([name]) => name,
  );
  if (facts.needsCwd) names.push('PWD');
  if (facts.usesTime) names.push('TZ');
  return names.sort().flatMap((name): [string, string][] => {
    const value = env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
}

/** What the preprocessor sees, for the include scanner. */
export function scanEnvironment(env: Environment): Map<string, string> {
  return new Map(thunkEnvironment(env, { stages: 'p', needsCwd: false, usesTime: true }));
}

/** What a question to the driver needs: it finds programs on PATH and libraries through LIBRARY_PATH. */
export function queryEnvironment(env: Environment): Map<string, string> {
  const wanted = thunkEnvironment(env, { stages: 'l', needsCwd: false, usesTime: false });
  const path = env.get('PATH');
  return new Map(path === undefined ? wanted : [...wanted, ['PATH', path]]);
}
