// Plans for -M and -MM: one thunk a source, whose result is what gcc prints. The rule is gcc's own: gcc is asked once for the same
// words and the same bytes read, and its answer is repeated as long as neither changes. The scanner says what is read.
import { createHash } from 'node:crypto';
import type { ScanFound } from '../../scan/scanner.ts';
import { type Bypass, bypass, type Call, type ModelContext, type Plan, type PlannedThunk } from '../model.ts';
import { absolute, checkInput, checkOutput, findClash } from '../paths.ts';
import type { Driver } from './driver.ts';
import { thunkEnvironment } from './environment.ts';
import type { Parsed, SourceWord } from './parse.ts';
import { findPrecompiled } from './precompiled.ts';
import { scanSource } from './units.ts';
import { OUTPUT_TAG, thunkArgs } from './words.ts';

/** Off: gcc answers each time. */
const SWITCH = 'GG_SHORTCUTS';

export async function planQuestion(
  parsed: Parsed,
  driver: Driver,
  call: Call,
  context: ModelContext,
): Promise<Plan | Bypass> {
  if (call.env.get(SWITCH) === '0') return bypass('writes-stdout', `${SWITCH}=0`, parsed.forces);
  const output = parsed.output?.path ?? fileOfRule(parsed);
  const bad = output === undefined ? undefined : checkOutput(call, context, output, parsed.forces);
  if (bad) return bad;
  const thunks: PlannedThunk[] = [];
  for (const source of parsed.sources) {
    const thunk = await thunkOf({ source, output, driver }, parsed, call, context);
    if ('kind' in thunk) return thunk;
    thunks.push(thunk);
  }
  return { kind: 'plan', thunks, files: [], sync: true };
}

/** -MF's path; the last one counts. */
function fileOfRule({ words }: Parsed): string | undefined {
  const files = words.flatMap((word) =>
    word.kind === 'flag' && word.flag.spelling === '-MF' ? [word.value] : [],
  );
  return files.at(-1);
}

interface Question {
  readonly source: SourceWord;
  /** Where the rule goes; undefined: gcc prints it. */
  readonly output: string | undefined;
  readonly driver: Driver;
}

async function thunkOf(
  { source, output, driver }: Question,
  parsed: Parsed,
  call: Call,
  context: ModelContext,
): Promise<PlannedThunk | Bypass> {
  const named = parsed.forces;
  const bad = checkInput(call, context, source.path, named);
  if (bad) return bad;
  if (context.isPlaceholder(absolute(call.cwd, source.path)))
    return bypass('scan-incomplete', `${source.path}: not built yet`, named);
  const found = await scanSource(parsed, source, call, context);
  if (found.kind === 'incomplete')
    return bypass('scan-incomplete', `${found.reason}: ${found.detail}`, named);
  const precompiled = findPrecompiled(parsed, source, found, call, context);
  if (precompiled !== undefined) return bypass('too-hard-flag', `${precompiled}: precompiled header`, named);
  const inputs = [...new Set([source.path, ...found.files, ...found.extra])];
  const clash = findClash(call.cwd, output === undefined ? [] : [output], inputs);
  if (clash !== undefined) return bypass('output-is-input', clash, named);
  return {
    tool: call.tool,
    args: thunkArgs(parsed, call, source, driver),
    env: thunkEnvironment(call.env, { stages: 'p', needsCwd: false, usesTime: found.usesTime }),
    needsCwd: false,
    inputs,
    absent: found.absent,
    outputs: output === undefined ? [] : [{ tag: OUTPUT_TAG, path: output, form: 'text', mode: undefined }],
    salt: [...driver.native.salt, `rule:${ruleDigest(found)}`],
    label: output ?? source.path,
    stage: 'preprocess',
  };
}

/** Which directories are the system's, and which of two is looked into, can change without a change of any file read. */
function ruleDigest({ files, system }: ScanFound): string {
  const listed = files.map((file, i) => `${system[i] === true ? 's' : 'u'} ${file}`);
  return createHash('sha256').update(listed.join('\0')).digest('hex');
}
