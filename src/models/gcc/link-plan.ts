// Plans for links, with or without compiling first: one thunk that runs the driver as typed.
import { resolveLink } from '../binutils/link-inputs.ts';
import { type Bypass, bypass, type Call, type ModelContext, type Plan } from '../model.ts';
import type { Driver } from './driver.ts';
import { thunkEnvironment } from './environment.ts';
import { findLinkerCommand } from './linker-command.ts';
import { defaultOutput } from './names.ts';
import type { Parsed } from './parse.ts';
import { checkInput, checkOutput, findClash, pathKey } from '../paths.ts';
import { assembles, planUnit, type Unit, usesLto } from './units.ts';
import { OUTPUT_TAG, thunkArgs } from './words.ts';

/** ld makes a relocatable object of what it links; such a file is not executable. */
const RELOCATABLE = /^(-r|-i|-Ur|--?relocatable)$/;
/** Other formats have placeholders of no known form. */
const OTHER_FORMAT = /^--?oformat/;
const OUTPUT = /^(-o|--output)/;
/** Linkers that a driver's toolchain does not hold. */
const OTHER_LINKER = /\/ld\.(?!bfd$|gold$)[^/]*$/;

/** A library for the linker, or words for one, that no driver asked for: what it reads and writes is not known. */
function pluginOfTheirs(parsed: Parsed): string | undefined {
  return parsed.words
    .flatMap((word) =>
      word.kind === 'flag' && TO_LINKER.has(word.flag.spelling) ? word.value.split(',') : [],
    )
    .find((part) => /^--?plugin/.test(part));
}

const TO_LINKER: ReadonlySet<string> = new Set(['-Wl,', '-Xlinker', '--for-linker', '--for-linker=']);

export async function planLink(
  parsed: Parsed,
  driver: Driver,
  call: Call,
  context: ModelContext,
): Promise<Plan | Bypass> {
  const output = parsed.output?.path ?? defaultOutput('', 'link');
  const badOutput = checkOutput(call, context, output, parsed.forces);
  if (badOutput) return badOutput;
  for (const object of parsed.objects) {
    const bad = checkInput(call, context, object.path, parsed.forces);
    if (bad) return bad;
  }
  const units: Unit[] = [];
  for (const source of parsed.sources) {
    const unit = await planUnit(parsed, source, call, context);
    if ('kind' in unit) return unit;
    units.push(unit);
  }

  const plugin = pluginOfTheirs(parsed);
  if (plugin !== undefined) return bypass('too-hard-flag', plugin, parsed.forces);
  const command = await findLinkerCommand(parsed, call, context);
  if (command.kind === 'bypass') return command;
  const format = command.args.find((arg) => OTHER_FORMAT.test(arg));
  if (format !== undefined) return bypass('too-hard-flag', format, parsed.forces);
  // The driver passes -o on; another one, through -Wl, would win.
  if (command.args.filter((arg) => OUTPUT.test(arg)).length > 1)
    return bypass('too-hard-flag', 'a second -o for the linker', parsed.forces);
  const linked = await resolveLink(
    {
      ld: command.ld,
      args: command.args,
      cwd: call.cwd,
      env: call.env,
      skip: new Set(),
      lto: usesLto(parsed),
      ...(command.plugin === undefined ? {} : { plugin: command.plugin }),
    },
    context,
  );
  if (linked.kind === 'bypass') return linked;

  const inputs = [...new Set([...units.flatMap((unit) => unit.inputs), ...linked.inputs])];
  const files = units.flatMap((unit) => (unit.depfile ? [unit.depfile] : []));
  const written = [output, ...files.map((file) => file.path)];
  if (new Set(written.map((path) => pathKey(call.cwd, path))).size !== written.length)
    return bypass('too-hard-flag', `${output}: written twice`, parsed.forces);
  const clash = findClash(call.cwd, written, inputs);
  if (clash !== undefined) return bypass('output-is-input', clash, parsed.forces);

  const linkerSalt = OTHER_LINKER.test(command.ld)
    ? [`linker:${(await context.query(command.ld, ['--version'])).stdout.trim()}`]
    : [];
  const relocatable = command.args.some((arg) => RELOCATABLE.test(arg));
  const needsCwd = parsed.cwdMatters || parsed.sources.some(assembles);
  return {
    kind: 'plan',
    thunks: [
      {
        tool: call.tool,
        args: thunkArgs(parsed, call, undefined, driver),
        env: thunkEnvironment(call.env, {
          stages: units.length > 0 ? 'pcal' : 'l',
          needsCwd,
          usesTime: units.some((unit) => unit.usesTime),
        }),
        needsCwd,
        inputs,
        absent: [...new Set([...units.flatMap((unit) => unit.absent), ...linked.absent])],
        outputs: [
          {
            tag: OUTPUT_TAG,
            path: output,
            form: relocatable ? 'object' : 'script',
            mode: relocatable ? 0o666 : 0o777,
          },
        ],
        salt: [...driver.native.salt, ...linkerSalt, ...units.flatMap((unit) => unit.timeSalt)],
        label: output,
        stage: 'link',
      },
    ],
    files,
    sync: false,
  };
}
