// ld called directly: -r, -shared, or a whole program.

import type { Arg } from '../../ir/thunk.ts';
import { type Bypass, bypass, type Call, type Model, type ModelContext, type Plan } from '../model.ts';
import { absolute, asksVersion, binutilsEnvironment, filesAmong } from '../common.ts';
import { parseLd } from './ld-parse.ts';
import { resolveLink } from './link-inputs.ts';

async function plan(call: Call, context: ModelContext): Promise<Plan | Bypass> {
  if (call.args.length === 0 || asksVersion(call.args))
    return bypass('asks-version', call.tool, filesAmong(call, context));
  const command = parseLd(call.args);
  if (command.kind === 'refused') return bypass(command.reason, command.detail, 'all');
  const output = command.output ?? 'a.out';
  const outputPath = absolute(call.cwd, output);
  if (context.isProbePath(outputPath)) return bypass('probe', output, 'all');
  const standing = context.stat(outputPath);
  if (standing && standing.kind !== 'file') return bypass('writes-special-file', output, 'all');
  const linked = await resolveLink(
    { ld: call.realTool, args: call.args, cwd: call.cwd, env: call.env, skip: new Set() },
    context,
  );
  if (linked.kind === 'bypass') return linked;
  if (linked.inputs.some((i) => absolute(call.cwd, i) === outputPath))
    return bypass('output-is-input', output, 'all');
  if (linked.inputs.length === 0) return bypass('no-input', call.tool, 'all');
  const args: Arg[] = call.args.map(
    (word, i): Arg =>
      i === command.outputAt?.index ? { prefix: command.outputAt.prefix, output: 'o' } : word,
  );
  if (!command.outputAt) args.push('-o', { prefix: '', output: 'o' });
  return {
    kind: 'plan',
    thunks: [
      {
        tool: call.tool,
        args,
        env: binutilsEnvironment(call.env),
        needsCwd: false,
        inputs: linked.inputs,
        absent: linked.absent,
        outputs: [
          {
            tag: 'o',
            path: output,
            form: command.relocatable ? 'object' : 'script',
            mode: command.relocatable ? 0o666 : 0o777,
          },
        ],
        salt: [],
        label: output,
        stage: 'link',
      },
    ],
    files: [],
    sync: false,
  };
}

export const ldModel: Model = { plan };
