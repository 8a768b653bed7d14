// A compile without its driver: the compiler and the assembler started as the driver would start them, which saves one
// process in three. What the driver would run is asked once per set of flags (`-###`), with marks in the places of the
// source and the output; an answer that is not exactly one compiler and one assembler, or has the marks in other places, is
// not taken apart.
import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import { driverWarns, splitCommand } from '../../driver/dry-run.ts';
import { tryStat } from '../../base/stat.ts';
import type { ForceJob } from '../engine.ts';
import type { ProcessRunner } from '../../base/process-runner.ts';

export interface Command {
  readonly file: string;
  readonly argv: readonly string[];
}

interface Template {
  readonly compile: Command;
  readonly assemble: Command;
}

/** Sets of flags remembered; the oldest goes first. */
const TEMPLATES_MAX = 1024;
const SOURCE = 'gg-source-mark';
const OUTPUT = '/gg-output-mark/gg-object-mark';
const ASSEMBLY = /^\/.*\/cc[A-Za-z0-9]{6}\.s$/;
/** They change what the driver runs, or what its children read in its variables. */
const DRIVERS_OWN =
  /^(?:-flto|-fopenacc|-foffload|-fplugin|-specs|--specs|-wrapper|-save-temps|--save-temps|-pipe|--pipe|-no-integrated-cpp|-fdump|-d|-v$|--verbose|-time|-ftime|-fmem|-Q$|-#|-fcompare|-frecord|-fauto|-fprofile|-ftest|--coverage|-g.*split|-fstack-usage|-fcallgraph|@|--help|--target-help|-f?self|-aux|-fada|-fjoin|-fmodule|-fpreprocessed|-fpch|-fdirectives)/;

function count(list: readonly string[], text: string): number {
  return list.filter((word) => word.includes(text)).length;
}

export class Decomposer {
  readonly #runner: ProcessRunner;
  readonly #templates = new Map<string, Promise<Template | undefined>>();

  constructor(runner: ProcessRunner) {
    this.#runner = runner;
  }

  /**
   * @param argv0 what the driver is called by; `env` its variables.
   * @param output absolute path for the object; `assembly` for the text between the two.
   * @returns undefined when the driver has to do it.
   */
  async commands(
    job: ForceJob,
    argv0: string,
    env: readonly string[],
    output: string,
    assembly: string,
  ): Promise<readonly [Command, Command] | undefined> {
    const { thunk, placement } = job;
    const source = thunk.inputs[0]?.path;
    if (placement.stage !== 'compile' || thunk.outputs.length !== 1 || source === undefined) return undefined;
    const extension = extname(source);
    const marked: string[] = [];
    let sources = 0;
    for (const arg of thunk.args) {
      if (typeof arg !== 'string') {
        if (arg.prefix !== '') return undefined;
        marked.push(`${OUTPUT}.o`);
      } else if (arg === source) {
        sources++;
        marked.push(SOURCE + extension);
      } else if (DRIVERS_OWN.test(arg) || arg.includes('-mark')) return undefined;
      else marked.push(arg);
    }
    if (sources !== 1 || extension === '' || extname(output) !== '.o') return undefined;
    const template = await this.#template(job, argv0, env, marked, extension);
    if (!template) return undefined;
    const object = basename(output, '.o');
    const fill = (word: string): string => {
      if (word === SOURCE + extension) return source;
      if (word === `${OUTPUT}.o`) return output;
      if (word === basename(OUTPUT) + extension) return object + extension;
      if (word === `${dirname(OUTPUT)}/`) return `${dirname(output)}/`;
      return ASSEMBLY.test(word) ? assembly : word;
    };
    const filled = (c: Command): Command => ({ file: c.file, argv: c.argv.map(fill) });
    return [filled(template.compile), filled(template.assemble)];
  }

  #template(
    job: ForceJob,
    argv0: string,
    env: readonly string[],
    marked: readonly string[],
    extension: string,
  ): Promise<Template | undefined> {
    const { realTool, searchPath } = job.placement;
    const key = JSON.stringify([realTool, job.thunk.toolchain, argv0, env, marked]);
    let template = this.#templates.get(key);
    if (template) return template;
    if (this.#templates.size >= TEMPLATES_MAX)
      this.#templates.delete(this.#templates.keys().next().value as string);
    template = this.#runner
      .run({ file: realTool, argv: [argv0, '-###', ...marked], cwd: '/', env })
      .then((r) =>
        r.startErrno === 0 && r.exitCode === 0 && !driverWarns(r.stderr.toString(), argv0)
          ? readTemplate(r.stderr.toString(), extension, searchPath)
          : undefined,
      );
    this.#templates.set(key, template);
    return template;
  }
}

/** The two commands in what -### printed; undefined when there are others, or the marks are not where they belong. */
export function readTemplate(printed: string, extension: string, searchPath: string): Template | undefined {
  const commands = printed
    .split('\n')
    .filter((line) => line.startsWith(' '))
    .map(splitCommand);
  const [compile, assemble] = commands;
  if (commands.length !== 2 || !compile || !assemble) return undefined;
  const [compiler, assembler] = [locate(compile[0]!, searchPath), locate(assemble[0]!, searchPath)];
  if (compiler === undefined || assembler === undefined) return undefined;
  if (!/^cc1(?:plus)?$/.test(basename(compiler)) || !/(?:^|-)as$/.test(basename(assembler))) return undefined;
  const known = [SOURCE + extension, `${OUTPUT}.o`, basename(OUTPUT) + extension, `${dirname(OUTPUT)}/`];
  const odd = [...compile, ...assemble].some((word) => word.includes('-mark') && !known.includes(word));
  const text = compile.at(-1)!;
  const fits =
    !odd &&
    ASSEMBLY.test(text) &&
    compile.at(-2) === '-o' &&
    assemble.at(-1) === text &&
    count(compile, SOURCE) === 1 &&
    count(assemble, SOURCE) === 0 &&
    count(compile, `${OUTPUT}.o`) === 0 &&
    count(assemble, `${OUTPUT}.o`) === 1 &&
    [...compile, ...assemble].filter((word) => ASSEMBLY.test(word)).length === 2;
  if (!fits) return undefined;
  return { compile: { file: compiler, argv: compile }, assemble: { file: assembler, argv: assemble } };
}

function locate(program: string, searchPath: string): string | undefined {
  if (isAbsolute(program)) return program;
  if (program.includes('/')) return undefined;
  return searchPath
    .split(':')
    .map((directory) => join(directory, program))
    .find((path) => isAbsolute(path) && tryStat(path)?.isFile());
}
