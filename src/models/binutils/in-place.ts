// strip and ranlib: tools that edit a file where it is. On a placeholder the edit becomes a thunk whose output starts as
// the placeholder's value (`strip -o`: a new file made of it); on a real file the real tool runs at once.

import type { Arg } from '../../ir/thunk.ts';
import { checkOutput } from '../paths.ts';
import {
  type Bypass,
  type BypassReason,
  bypass,
  type Call,
  type Model,
  type ModelContext,
  type PlaceholderForm,
  type Plan,
  type PlannedOutput,
} from '../model.ts';
import { absolute, asksVersion, binutilsEnvironment, filesAmong } from '../common.ts';

export interface InPlaceTool {
  /** Options without a value, or with one joined. */
  readonly plain: RegExp;
  /** Options whose value is the next word. */
  readonly valued: ReadonlySet<string>;
  /** Takes `-o FILE`. */
  readonly writes?: boolean;
}

export const STRIP: InPlaceTool = {
  plain:
    /^(?:-[sgSdxXw]|--strip-(?:all|debug|unneeded|dwo)|--discard-(?:all|locals)|--only-keep-debug|--(?:remove-section|keep-symbol|strip-symbol|keep-section|remove-relocations)=.*|--keep-(?:file|section)-symbols|--wildcard|--(?:enable|disable)-deterministic-archives|-[DU]|-[RKNj].+|--no-merge-notes|--merge-notes|-M)$/,
  valued: new Set([
    '-R',
    '-K',
    '-N',
    '-j',
    '--remove-section',
    '--keep-symbol',
    '--strip-symbol',
    '--keep-section',
    '--remove-relocations',
  ]),
  writes: true,
};
export const RANLIB: InPlaceTool = { plain: /^-D$/, valued: new Set() };

/** Where -o's value stands: in the word at `index`, behind `prefix`. */
interface OutputWord {
  readonly index: number;
  readonly prefix: '' | '-o';
}

export type Operand =
  | { readonly kind: 'operand'; readonly index: number; readonly output?: OutputWord }
  | { readonly kind: 'refused'; readonly reason: BypassReason; readonly detail: string };

/** Where in the arguments the one file stands, and the other one it is written to. */
export function operandOf(tool: InPlaceTool, args: readonly string[]): Operand {
  const operands: number[] = [];
  let output: OutputWord | undefined;
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word.startsWith('@')) return { kind: 'refused', reason: 'bad-response-file', detail: word };
    if (!word.startsWith('-')) operands.push(i);
    else if (tool.writes === true && word.startsWith('-o') && (word.length > 2 || i + 1 < args.length))
      output = word.length > 2 ? { index: i, prefix: '-o' } : { index: ++i, prefix: '' };
    else if (tool.valued.has(word)) i++;
    else if (!tool.plain.test(word)) return { kind: 'refused', reason: 'unknown-flag', detail: word };
  }
  return operands.length === 1
    ? { kind: 'operand', index: operands[0]!, ...(output ? { output } : {}) }
    : { kind: 'refused', reason: 'too-hard-flag', detail: `${operands.length} files` };
}

function formOf(head: Buffer): PlaceholderForm {
  const text = head.toString('latin1', 0, 8);
  if (text.startsWith('\x7fELF')) return 'object';
  if (text.startsWith('!<arch>')) return 'archive';
  return text.startsWith('#!') ? 'script' : 'text';
}

async function plan(tool: InPlaceTool, call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const files = filesAmong(call, context);
  if (call.args.length === 0 || asksVersion(call.args)) return bypass('asks-version', call.tool, files);
  // Options behind an operand would be files.
  if (call.env.has('POSIXLY_CORRECT')) return bypass('too-hard-environment', 'POSIXLY_CORRECT', files);
  const operand = operandOf(tool, call.args);
  if (operand.kind === 'refused')
    return bypass(operand.reason, operand.detail, operand.reason === 'bad-response-file' ? 'all' : files);
  const path = call.args[operand.index]!;
  const absPath = absolute(call.cwd, path);
  if (context.isProbePath(absPath)) return bypass('probe', path, files);
  const stat = context.stat(absPath);
  if (stat?.kind !== 'file') return bypass('missing-input', path, files);
  if (!context.isPlaceholder(absPath)) return bypass('reader', 'the file is real', files);
  const head = context.read(absPath);
  if (!head) return bypass('unreadable-input', path, files);
  const form = formOf(head);
  const place = operand.output ?? { index: operand.index, prefix: '' };
  const written = call.args[place.index]!.slice(place.prefix.length);
  if (operand.output) {
    if (absolute(call.cwd, written) === absPath) return bypass('output-is-input', written, files);
    if (form === 'archive') return bypass('odd-archive', 'strip -o', files);
    const refused = checkOutput(call, context, written, files);
    if (refused) return refused;
  }
  const args: Arg[] = call.args.map(
    (word, i): Arg => (i === place.index ? { prefix: place.prefix, output: 'o' } : word),
  );
  // A new file is executable where the tool finds a program or a shared library, which their placeholders' modes tell.
  const output: PlannedOutput = operand.output
    ? { tag: 'o', path: written, form, mode: (stat.mode & 0o111) === 0 ? 0o666 : 0o777 }
    : { tag: 'o', path, from: path, form, mode: undefined };
  return {
    kind: 'plan',
    thunks: [
      {
        tool: call.tool,
        args,
        env: binutilsEnvironment(call.env),
        needsCwd: false,
        inputs: [path],
        absent: [],
        outputs: [output],
        salt: [],
        label: `${written} (${call.tool})`,
        stage: 'other',
      },
    ],
    files: [],
    sync: false,
  };
}

export const stripModel: Model = { plan: (call, context) => plan(STRIP, call, context) };
export const ranlibModel: Model = { plan: (call, context) => plan(RANLIB, call, context) };
