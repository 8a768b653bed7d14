// Two kinds of thunks that clouds treat apart: compiles, which are many and small, and what takes many files together.
import type { ForceJob } from './engine.ts';

export type ThunkClass = 'compile' | 'link';

/** Milliseconds a tool may run elsewhere before it is tried at home, where no clock runs. */
export const TIMEOUT_MS: Readonly<Record<ThunkClass, number>> = { compile: 300_000, link: 600_000 };
export function classOf(job: ForceJob): ThunkClass {
  switch (job.placement.stage) {
    case 'link':
    case 'archive':
    case 'other':
      return 'link';
    default:
      return 'compile';
  }
}
