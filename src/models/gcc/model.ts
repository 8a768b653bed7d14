// The model of gcc and g++ under all their names.
import { bypass, type Call, type Model, type ModelContext } from '../model.ts';
import { checkEnvironment } from './environment.ts';
import { parseGcc } from './parse.ts';
import { absolute } from './paths.ts';
import { planGcc } from './plan.ts';
import { expandResponseFiles } from './response.ts';

/** cpp writes to stdout, or to its second operand. */
const CPP = /(^|-)cpp(-\d[\d.]*)?$/;
const CPLUSPLUS = /(^|-)(g\+\+|c\+\+)(-\d[\d.]*)?$/;

/** Bytes of a response file, or why they are not to be used as text. */
function readResponse(
  call: Call,
  context: ModelContext,
  argvPath: string,
): { readonly text: string } | 'odd' | undefined {
  const absPath = absolute(call.cwd, argvPath);
  const stat = context.stat(absPath);
  if (!stat) return undefined;
  if (stat.kind !== 'file' || context.isPlaceholder(absPath)) return 'odd';
  const bytes = context.read(absPath);
  if (!bytes) return 'odd';
  const text = bytes.toString('utf8');
  return text.includes('\0') || !Buffer.from(text).equals(bytes) ? 'odd' : { text };
}

export const gccModel: Model = {
  async plan(call, context) {
    if (CPP.test(call.tool)) return bypass('writes-stdout', call.tool, 'all');
    const badEnvironment = checkEnvironment(call.env);
    if (badEnvironment) return badEnvironment;
    const expanded = expandResponseFiles(call.args, (path) => readResponse(call, context, path));
    if (expanded.kind === 'bad') return bypass('bad-response-file', expanded.detail, 'all');
    const parsed = parseGcc(expanded.words, CPLUSPLUS.test(call.tool));
    if (parsed.kind === 'bypass') {
      if (parsed.inputs === 'all') return parsed;
      return { ...parsed, inputs: parsed.inputs.map((path) => absolute(call.cwd, path)) };
    }
    return planGcc(parsed, call, context);
  },
};
