// strip and ranlib: tools that edit a file where it is. On a placeholder the edit becomes a thunk whose output starts as
// the placeholder's value; on a real file the real tool runs at once.

import type { Arg } from '../../ir/thunk.ts';
import {
  type Bypass,
  bypass,
  type Call,
  type Model,
  type ModelContext,
  type PlaceholderForm,
  type Plan,
} from '../model.ts';
import { absolute, asksVersion, binutilsEnvironment, filesAmong } from './common.ts';

interface InPlaceTool {
  /** Options without a value, or with one joined. */
  readonly plain: RegExp;
  /** Options whose value is the next word. */
  readonly valued: ReadonlySet<string>;
}

const STRIP: InPlaceTool = {
  plain:
    /^(?:-[sgSdxXw]|--strip-(?:all|debug|unneeded|dwo)|--discard-(?:all|locals)|--only-keep-debug|--(?:remove-section|keep-symbol|strip-symbol|keep-section|remove-relocations)=.*|--keep-file-symbols|--wildcard|--(?:enable|disable)-deterministic-archives|-[DU]|-[RKNj].+|--no-merge-notes|--merge-notes|-M)$/,
  valued: new Set([
    '-R',
    '-K',
    '-N',
    '-j',
    '--remove-section',
    '--keep-symbol',
    '--strip-symbol',
    '--keep-section',
  ]),
};
const RANLIB: InPlaceTool = { plain: /^-D$/, valued: new Set() };

function formOf(head: Buffer): PlaceholderForm {
  const text = head.toString('latin1', 0, 8);
  if (text.startsWith('\x7fELF')) return 'object';
  if (text.startsWith('!<arch>')) return 'archive';
  return text.startsWith('#!') ? 'script' : 'text';
}

async function plan(tool: InPlaceTool, call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const files = filesAmong(call, context);
  if (call.args.length === 0 || asksVersion(call.args)) return bypass('asks-version', call.tool, files);
  const operands: number[] = [];
  for (let i = 0; i < call.args.length; i++) {
    const word = call.args[i]!;
    if (!word.startsWith('-')) operands.push(i);
    else if (tool.valued.has(word)) i++;
    else if (!tool.plain.test(word)) return bypass('unknown-flag', word, files);
  }
  if (operands.length !== 1) return bypass('too-hard-flag', `${operands.length} files`, files);
  const index = operands[0]!;
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
