// From a parsed command line to thunks: who the driver is, what this machine means to it, then the plan for its goal.
import { type Bypass, bypass, type Call, type ModelContext, type Plan } from '../model.ts';
import { planCompile } from './compile-plan.ts';
import { gccMajor, LINK_DEPFILES_SINCE } from './driver.ts';
import { planLink } from './link-plan.ts';
import { expandNative } from './native.ts';
import type { Parsed } from './parse.ts';
import { planQuestion } from './question-plan.ts';

export async function planGcc(parsed: Parsed, call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const major = await gccMajor(call, context);
  if (major === undefined) return bypass('unknown-tool', `${call.realTool}: not GCC`, parsed.forces);
  const namesDepfile = parsed.goal === 'link' && parsed.depfile && parsed.depfile.path === undefined;
  if (namesDepfile && major < LINK_DEPFILES_SINCE)
    return bypass('too-hard-flag', `a link's depfile under GCC ${major}`, parsed.forces);
  const native = await expandNative(parsed, call, context);
  if ('kind' in native) return native;
  if (parsed.isQuestion) return planQuestion(parsed, { major, native }, call, context);
  if (parsed.goal === 'link') return planLink(parsed, { major, native }, call, context);
  return planCompile(parsed, parsed.goal, { major, native }, call, context);
}
