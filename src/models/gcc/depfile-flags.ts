// What the depfile flags (-MD and kin, directly or through -Wp) ask for, as a value.
import type { Goal, OutputWord, SourceWord } from './parse.ts';

/** One target of a depfile rule: -MT's text goes out as it is, -MQ's is quoted. */
export interface DepTarget {
  readonly text: string;
  readonly quote: boolean;
}

/** What the depfile flags ask for. */
export interface DepfileRequest {
  /** -MMD: leave system headers out. */
  readonly userOnly: boolean;
  /** -MF's path, or that of -Wp,-MD; undefined: gcc makes one up. */
  readonly path: string | undefined;
  readonly targets: readonly DepTarget[];
  readonly phony: boolean;
  /** Through -Wp: the preprocessor does not know the driver's -o then, which changes the default target. */
  readonly viaPreprocessor: boolean;
}

/** Depfile flags collected from one road. */
export interface DepfileFlags {
  any: boolean;
  userOnly: boolean;
  wanted: boolean;
  path: string | undefined;
  targets: DepTarget[];
  phony: boolean;
}

export function noDepfileFlags(): DepfileFlags {
  return { any: false, userOnly: false, wanted: false, path: undefined, targets: [], phony: false };
}

/** Takes one depfile flag. @returns false for a spelling it does not know. */
export function takeDepfileFlag(into: DepfileFlags, spelling: string, value: string): boolean {
  into.any = true;
  switch (spelling) {
    case '-MD':
    case '-MMD':
      into.wanted = true;
      into.userOnly ||= spelling === '-MMD';
      return true;
    case '-MF':
      into.path = value;
      return true;
    case '-MT':
    case '-MQ':
      into.targets.push({ text: value, quote: spelling === '-MQ' });
      return true;
    case '-MP':
      into.phony = true;
      return true;
    default:
      return false;
  }
}

/** Depfile flags through -Wp take their value as the next part. @returns false when a part is none of them. */
export function takePreprocessorFlags(into: DepfileFlags, parts: readonly string[]): boolean {
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (/^-[DU]./.test(part)) continue;
    if (part === '-MP') takeDepfileFlag(into, part, '');
    else {
      const value = parts[++i];
      if (value === undefined || value === '') return false;
      if (part === '-MF' || !takeDepfileFlag(into, part, value)) return false;
      if (part === '-MD' || part === '-MMD') into.path = value;
    }
  }
  return true;
}

/** Puts both roads of depfile flags together. A `reason` is what gcc would complain about, or what we do not model. */
export function depfileRequest(
  direct: DepfileFlags,
  viaWp: DepfileFlags,
  goal: Goal,
  sources: readonly SourceWord[],
): DepfileRequest | { readonly reason: string } | undefined {
  const units = sources.filter((source) => source.language.preprocessed);
  if (units.length === 0 || !(direct.any || viaWp.any)) return undefined;
  if (direct.any && viaWp.any) return { reason: 'depfile flags both with and without -Wp' };
  const asked = viaWp.any ? viaWp : direct;
  if (!asked.wanted) return { reason: 'depfile flags without -MD or -MMD' };
  if (goal === 'preprocess') return { reason: '-MD with -E' };
  if (asked.path === '-') return { reason: '-MF -' };
  const oneFile = asked.path !== undefined || goal === 'link';
  if (oneFile && sources.length > 1) return { reason: 'several sources, one depfile' };
  return {
    userOnly: asked.userOnly,
    path: asked.path,
    targets: asked.targets,
    phony: asked.phony,
    viaPreprocessor: viaWp.any,
  };
}

/**
 * Why -M or -MM with these companions is left to gcc; undefined: each source is a question of its own, and the answers stand one
 * after the other. Several answers to one file overwrite each other, and -MD beside -M has rules of its own.
 */
export function refusedQuestion(
  direct: DepfileFlags,
  viaWp: DepfileFlags,
  sources: readonly SourceWord[],
  outputs: readonly OutputWord[],
): string | undefined {
  if (viaWp.any) return '-M and depfile flags through -Wp';
  if (direct.wanted) return '-M with -MD';
  if (direct.path === '-') return '-MF -';
  if (direct.path !== undefined && (sources.length > 1 || outputs.length > 0)) return '-M with -MF';
  const odd = sources.find((source) => !source.language.preprocessed);
  return odd && `-M of ${odd.path}`;
}
