// Plans for -c, -S and -E: one thunk per source.
import { type Bypass, bypass, type Call, type ModelContext, type Plan, type PlannedThunk } from '../model.ts';
import type { Driver } from './driver.ts';
import { thunkEnvironment } from './environment.ts';
import { defaultOutput } from './names.ts';
import type { Goal, Parsed, SourceWord } from './parse.ts';
import { checkOutput, findClash, pathKey } from '../paths.ts';
import { assembles, planUnit, type Unit } from './units.ts';
import { OUTPUT_TAG, thunkArgs } from './words.ts';

type CompileGoal = Exclude<Goal, 'link'>;

function stageOf(goal: CompileGoal, source: SourceWord): PlannedThunk['stage'] {
  if (goal === 'preprocess') return 'preprocess';
  return source.language.compiled ? 'compile' : 'assemble';
}

/** What -E and -S do to some languages is nothing, with a warning. */
function fits(goal: CompileGoal, source: SourceWord): boolean {
  if (goal === 'preprocess') return source.language.preprocessed;
  return goal === 'assemble' || source.language.compiled;
}

export async function planCompile(
  parsed: Parsed,
  goal: CompileGoal,
  driver: Driver,
  call: Call,
  context: ModelContext,
): Promise<Plan | Bypass> {
  const named = parsed.forces;
  const units: (Unit & { readonly output: string })[] = [];
  const written = new Set<string>();
  const paths: string[] = [];
  for (const source of parsed.sources) {
    if (!fits(goal, source)) return bypass('too-hard-flag', `${source.path}: stops before its stage`, named);
    const output =
      parsed.output?.path ?? defaultOutput(source.path, goal === 'compile' ? 'compile' : 'assemble');
    const bad = checkOutput(call, context, output, named);
    if (bad) return bad;
    const unit = await planUnit(parsed, source, call, context);
    if ('kind' in unit) return unit;
    units.push({ ...unit, output });
    for (const path of unit.depfile ? [output, unit.depfile.path] : [output]) {
      const key = pathKey(call.cwd, path);
      if (written.has(key)) return bypass('too-hard-flag', `${path}: written twice`, named);
      written.add(key);
      paths.push(path);
    }
  }
  for (const unit of units) {
    const clash = findClash(call.cwd, paths, unit.inputs);
    if (clash !== undefined) return bypass('output-is-input', clash, named);
  }

  const thunks = units.map((unit): PlannedThunk => {
    const stages = `${unit.source.language.preprocessed ? 'p' : ''}${unit.source.language.compiled ? 'c' : ''}a`;
    const needsCwd = parsed.cwdMatters || assembles(unit.source);
    return {
      tool: call.tool,
      args: thunkArgs(parsed, call, unit.source, driver),
      env: thunkEnvironment(call.env, { stages, needsCwd, usesTime: unit.usesTime }),
      needsCwd,
      inputs: unit.inputs,
      absent: unit.absent,
      outputs: [
        {
          tag: OUTPUT_TAG,
          path: unit.output,
          form: goal === 'assemble' ? 'object' : 'text',
          // Text is written into the file that stands there, if one does.
          mode: goal === 'assemble' ? 0o666 : undefined,
        },
      ],
      salt: [...driver.native.salt, ...unit.timeSalt],
      label: unit.output,
      stage: stageOf(goal, unit.source),
    };
  });
  return {
    kind: 'plan',
    thunks,
    files: units.flatMap((unit) => (unit.depfile ? [unit.depfile] : [])),
    // Text is made to be read at once; a result that holds a file's time must hold the time as it is now, and nobody compares times later.
    sync: goal !== 'assemble' || units.some((unit) => unit.timeSalt.length > 0),
  };
}
