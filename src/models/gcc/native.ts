// -march=native and its kin mean the processor of the caller's machine. The driver spells it out for the compiler; so do
// we, where the compiler then gets the same flags. Their order changes, which debug information and LTO record: with those
// the flag stays, and what it means here salts the thunk.
import { driverWarns, findCommand } from '../../driver/dry-run.ts';
import { type Bypass, bypass, type Call, type ModelContext } from '../model.ts';
import { queryEnvironment } from './environment.ts';
import type { Parsed } from './parse.ts';

export interface Native {
  /** Flag as typed to the flags that take its place. */
  readonly replacements: ReadonlyMap<string, readonly string[]>;
  /** Non-empty when the flags stay as typed: the thunk is this machine's then. */
  readonly salt: readonly string[];
}

const COMPILERS: ReadonlySet<string> = new Set(['cc1', 'cc1plus']);
const NOTHING: Native = { replacements: new Map(), salt: [] };

/** The compiler's command for C code under these flags, and whether the driver warns of them; nothing is run. */
async function compilerCommand(
  flags: readonly string[],
  call: Call,
  context: ModelContext,
): Promise<{ readonly words: readonly string[]; readonly warns: boolean } | undefined> {
  const args = [...flags, '-###', '-S', '-x', 'c', '/dev/null', '-o', '/dev/null'];
  const { code, stderr } = await context.query(call.realTool, args, { env: queryEnvironment(call.env) });
  const words = code === 0 ? findCommand(stderr, COMPILERS) : undefined;
  return words && { words, warns: driverWarns(stderr, call.realTool) };
}

/** Machine flags of a compiler's command, --param with its value as one. */
function machineFlags(command: readonly string[]): string[] {
  const flags: string[] = [];
  for (let i = 0; i < command.length; i++) {
    const word = command[i]!;
    if (word === '--param') flags.push(`--param=${command[++i] ?? ''}`);
    else if (word.startsWith('-m')) flags.push(word);
  }
  return flags;
}

/** A compiler's command with its order taken away, --param in one spelling. */
function sortedFlags(command: readonly string[]): string {
  return command.join('\0').replaceAll('--param\0', '--param=').split('\0').sort().join('\0');
}

export async function expandNative(
  parsed: Parsed,
  call: Call,
  context: ModelContext,
): Promise<Native | Bypass> {
  const flags = [...new Set(parsed.nativeFlags)];
  if (flags.length === 0) return NOTHING;
  const printed = await compilerCommand(flags, call, context);
  if (!printed) return bypass('toolchain-query-failed', flags.join(' '), parsed.forces);
  const spelledOut = machineFlags(printed.words);
  const salt: Native = { replacements: new Map(), salt: [`native:${spelledOut.join(' ')}`] };
  if (printed.warns || parsed.nativeFlags.length > 1 || parsed.cwdMatters || parsed.goal === 'link')
    return salt;

  // The proof: all plain flags of the call that have a say in code generation, before and after.
  const before: string[] = [];
  const after: string[] = [];
  for (const word of parsed.words) {
    if (word.kind !== 'flag' || !/[ca]/.test(word.flag.stages) || word.flag.kind !== 'plain') continue;
    if (word.flag.verdict === 'wa' || word.flag.verdict === 'wp' || /^-[DUW]/.test(word.args[0]!)) continue;
    before.push(...word.args);
    after.push(...(word.flag.verdict === 'native' ? spelledOut : word.args));
  }
  const plain = await compilerCommand(before, call, context);
  const replaced = await compilerCommand(after, call, context);
  if (!plain || !replaced || sortedFlags(plain.words) !== sortedFlags(replaced.words)) return salt;
  return { replacements: new Map([[flags[0]!, spelledOut]]), salt: [] };
}
