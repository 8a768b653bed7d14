// The model of gcc and g++ under all their names.
import {
  type Bypass,
  type BypassReason,
  bypass,
  type Call,
  type Model,
  type ModelContext,
} from '../model.ts';
import { checkEnvironment } from './environment.ts';
import { type Parsed, parseGcc } from './parse.ts';
import { absolute } from '../paths.ts';
import { planGcc } from './plan.ts';
import { expandResponseFiles } from './response.ts';
import { scanSource } from './units.ts';

/** cpp writes to stdout, or to its second operand. */
const CPP = /(^|-)cpp(-|$)/;
const CPLUSPLUS = /[cg]\+\+/;

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

/**
 * A bypass whose inputs are absolute and hold what the sources read that may not be built yet: files that assembler code
 * includes. Headers are never placeholders.
 */
async function complete(why: Bypass, parsed: Parsed, call: Call, context: ModelContext): Promise<Bypass> {
  if (why.inputs === 'all') return why;
  const inputs = why.inputs.map((path) => absolute(call.cwd, path));
  if (READS_NO_SOURCE.has(why.reason)) return { ...why, inputs };
  for (const source of parsed.sources) {
    if (!context.stat(absolute(call.cwd, source.path))) continue;
    const found = await scanSource(parsed, source, call, context);
    if (found.kind === 'found') inputs.push(...found.extra.map((path) => absolute(call.cwd, path)));
    else if (found.reason === 'asm-include') return { ...why, inputs: 'all' };
  }
  return { ...why, inputs };
}

const READS_NO_SOURCE: ReadonlySet<BypassReason> = new Set([
  'asks-version',
  'missing-input',
  'probe',
  'unknown-language',
  'unreadable-input',
  'writes-stdout',
]);

export const gccModel: Model = {
  async plan(call, context) {
    if (CPP.test(call.tool)) return bypass('writes-stdout', call.tool, []);
    const badEnvironment = checkEnvironment(call.env);
    if (badEnvironment) return badEnvironment;
    const expanded = expandResponseFiles(call.args, (path) => readResponse(call, context, path));
    if (expanded.kind === 'bad') return bypass('bad-response-file', expanded.detail, 'all');
    const parsed = parseGcc(expanded.words, {
      cplusplus: CPLUSPLUS.test(call.tool),
      librarySearch: ['LIBRARY_PATH', 'LD_LIBRARY_PATH', 'LD_RUN_PATH'].some((name) => call.env.has(name)),
    });
    const { declined } = parsed;
    const plan = declined
      ? bypass(declined.reason, declined.detail, parsed.forces)
      : await planGcc(parsed, call, context);
    return plan.kind === 'bypass' ? complete(plan, parsed, call, context) : plan;
  },
};
