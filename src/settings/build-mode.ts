// How the calls of a build are answered: with their real outputs, or with placeholders that are made real later.
import type { EngineName } from './engine-choice.ts';

export const MODES = ['auto', 'defer', 'sync', 'off'] as const;
export type ModeName = (typeof MODES)[number];

export interface BuildMode {
  readonly mode: Exclude<ModeName, 'auto'>;
  /** Why it is this one, for people. */
  readonly reason: 'asked' | 'inferred' | 'this-machine' | 'wide-engine';
}

/**
 * `auto` defers where an engine is much wider than the build's own parallelism. On one machine deferring gains nothing (redis: 30.7 s of CPU
 * deferred, 30.1 s not), and a recipe that looks at what a call left must find the real thing.
 *
 * @param forces the command also forces what it left; one that does not (`gg infer`) has asked for placeholders.
 */
export function resolveMode(mode: ModeName, engine: EngineName, forces: boolean): BuildMode {
  if (mode !== 'auto') return { mode, reason: 'asked' };
  if (!forces) return { mode: 'defer', reason: 'inferred' };
  return engine === 'local'
    ? { mode: 'sync', reason: 'this-machine' }
    : { mode: 'defer', reason: 'wide-engine' };
}

/** One line for people. */
export function describeMode({ mode, reason }: BuildMode): string {
  const what = {
    sync: 'sync: each call returns with its real output',
    defer: 'defer: calls leave placeholders, which are made real while the build goes on and at its end',
    off: 'off: plain tools',
  }[mode];
  switch (reason) {
    case 'asked':
      return `${what} (--mode, GG_MODE or the settings file)`;
    case 'inferred':
      return `${what} (auto: gg infer leaves what gg force makes real)`;
    case 'this-machine':
      return `${what} (auto: the engine is this machine)`;
    case 'wide-engine':
      return `${what} (auto: the engine is much wider than the build)`;
  }
}
