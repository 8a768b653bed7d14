// Tools run with the server's limits. A compiler that recurses deeply ends with a larger stack and crashes with a smaller one,
// so a call with another limit of the stack than ours is left to the caller. The shim tells of other limits (`unusual`).
import { readFileSync } from 'node:fs';

/** gcc raises its soft limit to this where the hard one lets it; what is below makes no difference. */
const RAISED_KB = 64 * 1024;
/** No limit, in the shim's 32 bits. */
const UNLIMITED_KB = 0xffffffff;

/**
 * Kilobytes of stack a compiler would have. @param limits text of /proc/PID/limits.
 * @returns 0 when it is not said there
 */
export function stackOf(limits: string): number {
  const [, soft, hard] = /^Max stack size\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  if (soft === undefined || hard === undefined) return 0;
  const kb = (text: string): number =>
    text === 'unlimited' ? UNLIMITED_KB : Math.min(UNLIMITED_KB, Math.floor(Number(text) / 1024));
  return Math.max(kb(soft), Math.min(RAISED_KB, kb(hard)));
}

let own: number | undefined;

/** @param callerKb 0: not known */
export function hasOtherStack(callerKb: number): boolean {
  if (callerKb === 0) return false;
  try {
    own ??= stackOf(readFileSync('/proc/self/limits', 'latin1'));
  } catch {
    own = 0;
  }
  return own !== 0 && own !== callerKb;
}
