// nasm: one ELF object from one source. Its depfile is an output of the thunk, for what nasm lists there differs by version.
import { type Arg, CLOCK_UNUSED } from '../../ir/thunk.ts';
import { absolute, filesAmong } from '../common.ts';
import { checkInput, checkOutput } from '../paths.ts';
import {
  type Bypass,
  bypass,
  type Call,
  type Model,
  type ModelContext,
  type Plan,
  type PlannedOutput,
} from '../model.ts';
import { nasmFiles } from './includes.ts';
import { parseNasm } from './parse.ts';

/** Before it directories of -I were joined to names without a slash. */
const SINCE = [2, 14] as const;

async function known(call: Call, context: ModelContext): Promise<boolean> {
  const { stdout } = await context.query(call.realTool, ['-v']);
  const [, major, minor] = /^NASM version (\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) > SINCE[0] || (Number(major) === SINCE[0] && Number(minor) >= SINCE[1]);
}

async function plan(call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const named = filesAmong(call, context);
  if (call.env.has('NASMENV')) return bypass('too-hard-environment', 'NASMENV', named);
  const command = parseNasm(call.args);
  if (command.kind === 'refused') return bypass(command.reason, command.detail, named);
  if (command.format !== 'elf64') return bypass('too-hard-flag', `-f ${command.format}`, named);
  // What reads a depfile at once, as ninja does, must get the real one: only the preload library sees to that.
  if (command.depfile && !call.interposed) return bypass('side-files', command.depfile.value, named);
  const outputs = [command.output.value, ...(command.depfile ? [command.depfile.value] : [])];
  const bad =
    checkInput(call, context, command.source, named) ??
    outputs.map((path) => checkOutput(call, context, path, named)).find((b) => b !== undefined);
  if (bad) return bad;
  if (!(await known(call, context))) return bypass('unknown-tool', call.realTool, named);
  const found = nasmFiles(context, call.cwd, command);
  if (found.kind === 'unknown') return bypass('scan-incomplete', found.detail, named);
  const paths = outputs.map((path) => absolute(call.cwd, path));
  const inputs = new Set(found.files.map((path) => absolute(call.cwd, path)));
  if (new Set(paths).size < paths.length || paths.some((path) => inputs.has(path)))
    return bypass('output-is-input', command.output.value, named);
  const args: Arg[] = call.args.map((word, i): Arg => {
    if (i === command.output.index) return { prefix: command.output.prefix, output: 'o' };
    return i === command.depfile?.index ? { prefix: '', output: 'd' } : word;
  });
  // The depfile names the output as it was typed.
  if (command.depfile && !command.namesTarget) args.unshift('-MQ', command.output.value);
  // nasm writes into the file that stands there.
  const written = (tag: string, path: string, form: PlannedOutput['form']): PlannedOutput => ({
    tag,
    path,
    form,
    mode: undefined,
    into: true,
  });
  return {
    kind: 'plan',
    thunks: [
      {
        tool: call.tool,
        args,
        env: [],
        needsCwd: command.debug,
        inputs: found.files,
        absent: found.absent,
        outputs: [
          written('o', command.output.value, 'object'),
          ...(command.depfile ? [written('d', command.depfile.value, 'rule')] : []),
        ],
        salt: [CLOCK_UNUSED],
        label: command.output.value,
        stage: 'assemble',
      },
    ],
    files: [],
    sync: false,
  };
}

export const nasmModel: Model = { plan };
