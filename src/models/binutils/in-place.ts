// strip and ranlib: tools that edit a file where it is. On a placeholder the edit becomes a thunk whose output starts as
// the placeholder's value; on a real file the real tool runs at once.

import type { Arg } from '../../ir/thunk.ts';
import {
  type Bypass,
  type BypassReason,
  bypass,
  type Call,
  type Model,
  type ModelContext,
  type PlaceholderForm,
  type Plan,
} from '../model.ts';
import { absolute, asksVersion, binutilsEnvironment, filesAmong } from './common.ts';

export interface InPlaceTool {
  /** Options without a value, or with one joined. */
  readonly plain: RegExp;
  /** Options whose value is the next word. */
  readonly valued: ReadonlySet<string>;
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
};
export const RANLIB: InPlaceTool = { plain: /^-D$/, valued: new Set() };

export type Operand =
  | { readonly kind: 'operand'; readonly index: number }
  | { readonly kind: 'refused'; readonly reason: BypassReason; readonly detail: string };

/** Where in the arguments the one file stands. */
export function operandOf(tool: InPlaceTool, args: readonly string[]): Operand {
  const operands: number[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word.startsWith('@')) return { kind: 'refused', reason: 'bad-response-file', detail: word };
    if (!word.startsWith('-')) operands.push(i);
    else if (tool.valued.has(word)) i++;
    else if (!tool.plain.test(word)) return { kind: 'refused', reason: 'unknown-flag', detail: word };
  }
  return operands.length === 1
    ? { kind: 'operand', index: operands[0]! }
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
  const operand = operandOf(tool, call.args);
  if (operand.kind === 'refused')
    return bypass(operand.reason, operand.detail, operand.reason === 'bad-response-file' ? 'all' : files);
  const { index } = operand;
  const path = call.args[index]!;
  const absPath = absolute(call.cwd, path);
  if (context.isProbePath(absPath)) return bypass('probe', path, files);
  if (context.stat(absPath)?.kind !== 'file') return bypass('missing-input', path, files);
  if (!context.isPlaceholder(absPath)) return bypass('reader', 'the file is real', files);
  const head = context.read(absPath);
  if (!head) return bypass('unreadable-input', path, files);
  const args: Arg[] = call.args.map((word, i): Arg => (i === index ? { prefix: '', output: 'o' } : word));
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
        outputs: [{ tag: 'o', path, from: path, form: formOf(head), mode: undefined }],
        salt: [],
        label: `${path} (${call.tool})`,
        stage: 'other',
      },
    ],
    files: [],
    sync: false,
  };
}

export const stripModel: Model = { plan: (call, context) => plan(STRIP, call, context) };
export const ranlibModel: Model = { plan: (call, context) => plan(RANLIB, call, context) };
