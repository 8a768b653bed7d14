// The linker's command line for a call of the driver, from the driver itself (-###). Files named on the command line give
// way to stand-ins, so that one answer serves every link with the same flags.
import { findCommand } from '../../driver/dry-run.ts';
import { type Bypass, bypass, type Call, type ModelContext } from '../model.ts';
import { queryEnvironment } from './environment.ts';
import type { FlagWord, Parsed } from './parse.ts';
import { absolute } from '../paths.ts';

export interface LinkerCommand {
  readonly kind: 'command';
  /** Absolute path of the linker that collect2 runs. */
  readonly ld: string;
  /** Its arguments without [0]; sources are left out. */
  readonly args: readonly string[];
  /** The driver's own plugin, as it spells it. */
  readonly plugin: string | undefined;
}

const LINKERS: ReadonlySet<string> = new Set(['collect2', 'ld']);
const STAND_IN_LIBRARY = '-lgg-stand-in-';
const OUTPUT_STAND_IN = 'gg-stand-in.out';
const STAND_IN = /^-lgg-stand-in-(\d+)$/;

/** What collect2 keeps to itself. */
const COLLECT2_ONLY = /^-(fuse-ld=|flto|fno-lto|fwhopr|fuse-linker-plugin|fno-use-linker-plugin|ffat-lto)/;

interface Question {
  readonly args: readonly string[];
  /** What each stand-in stands for. */
  readonly runs: readonly (readonly string[])[];
}

/** Flags of the compiler proper may bring libraries with them (--coverage: libgcov); those of the preprocessor do not. */
function concernsLink({ flag }: FlagWord): boolean {
  if (flag.stages.includes('l')) return true;
  return (
    flag.stages.includes('c') && !flag.stages.includes('p') && flag.kind === 'plain' && flag.spelling !== '-W'
  );
}

/**
 * The driver's question; runs of neighbouring files share one stand-in. It is a library, which the driver leaves to the
 * linker to find: GCC up to 10 refuses to speak of a file that does not exist.
 */
function question(parsed: Parsed): Question {
  const args = ['-###'];
  const runs: string[][] = [];
  let run: string[] | undefined;
  for (const word of parsed.words) {
    if (word.kind === 'source' || word.kind === 'object') {
      if (!run) {
        run = [];
        args.push(`${STAND_IN_LIBRARY}${runs.length}`);
        runs.push(run);
      }
      if (word.kind === 'object') run.push(word.path);
    } else if (word.kind === 'flag' && concernsLink(word)) {
      run = undefined;
      args.push(...word.args);
    }
  }
  args.push('-o', OUTPUT_STAND_IN);
  return { args, runs };
}

/** Flags that decide which linker collect2 runs. */
function linkerChoice(parsed: Parsed): string[] {
  return parsed.words.flatMap((word) =>
    word.kind === 'flag' && /^(-fuse-ld=|-m(32|64|x32)$|--sysroot)/.test(word.args[0]!) ? word.args : [],
  );
}

/** First on PATH, directories of our own shims left out. */
function findOnPath(name: string, call: Call, context: ModelContext): string | undefined {
  for (const dir of (call.env.get('PATH') ?? '').split(':')) {
    if (!dir.startsWith('/') || context.stat(`${dir}/../gg-shim`) || context.stat(`${dir}/gg-shim`)) continue;
    const stat = context.stat(`${dir}/${name}`);
    if (stat?.kind === 'file' && (stat.mode & 0o111) !== 0) return `${dir}/${name}`;
  }
  return undefined;
}

/** Where the plugin stands differs by version and by how GCC was built; with no flags the driver names its own one. */
function pluginOf({ code, stderr }: { code: number; stderr: string }): string | undefined {
  const command = code === 0 ? findCommand(stderr, LINKERS) : undefined;
  const at = command?.indexOf('-plugin') ?? -1;
  return at < 0 ? undefined : command?.[at + 1];
}

export async function findLinkerCommand(
  parsed: Parsed,
  call: Call,
  context: ModelContext,
): Promise<LinkerCommand | Bypass> {
  const env = queryEnvironment(call.env);
  // Relative directories in LIBRARY_PATH are looked at from the working directory.
  const options = env.has('LIBRARY_PATH') ? { env, cwd: call.cwd } : { env };
  const { args, runs } = question(parsed);
  const ours = parsed.words.find(
    (word) => word.kind === 'flag' && word.args.some((arg) => STAND_IN.test(arg)),
  );
  if (ours) return bypass('too-hard-flag', 'a library named like a stand-in', parsed.forces);
  const [printed, named, plain] = await Promise.all([
    context.query(call.realTool, args, options),
    context.query(call.realTool, [...linkerChoice(parsed), '-print-prog-name=ld'], options),
    context.query(call.realTool, ['-###', `${STAND_IN_LIBRARY}0`, '-o', OUTPUT_STAND_IN], options),
  ]);
  const command = printed.code === 0 ? findCommand(printed.stderr, LINKERS) : undefined;
  if (!command) return bypass('toolchain-query-failed', args.join(' '), parsed.forces);
  const name = named.stdout.trim();
  const ld = name.includes('/') ? absolute(call.cwd, name) : findOnPath(name, call, context);
  if (named.code !== 0 || name === '' || ld === undefined)
    return bypass('toolchain-query-failed', `no linker: ${name}`, parsed.forces);

  const linkerArgs: string[] = [];
  for (const word of command.slice(1)) {
    const standIn = STAND_IN.exec(word);
    if (standIn) linkerArgs.push(...(runs[Number(standIn[1])] ?? []));
    else if (!COLLECT2_ONLY.test(word)) linkerArgs.push(word);
  }
  return { kind: 'command', ld, args: linkerArgs, plugin: pluginOf(plain) };
}
