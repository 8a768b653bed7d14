// From a parsed command line to thunks: what the machine means here, then the plan for the driver's goal.
import type { Bypass, Call, ModelContext, Plan } from '../model.ts';
import { planCompile } from './compile-plan.ts';
import { planLink } from './link-plan.ts';
import { expandNative } from './native.ts';
import type { Parsed } from './parse.ts';

export async function planGcc(parsed: Parsed, call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const native = await expandNative(parsed, call, context);
  if ('kind' in native) return native;
  if (parsed.goal === 'link') return planLink(parsed, native, call, context);
  return planCompile(parsed, parsed.goal, native, call, context);
}
