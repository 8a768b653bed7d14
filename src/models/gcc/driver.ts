// Which compiler answers to the name: what is true of gcc need not be true of clang, which also calls itself cc or gcc.
import type { Call, ModelContext } from '../model.ts';
import { queryEnvironment } from './environment.ts';
import type { Native } from './native.ts';

/** What a plan needs to know of the driver behind the call. */
export interface Driver {
  readonly major: number;
  readonly native: Native;
}

/** GCC's own first line, e.g. "gcc-12 (Debian 12.2.0-14) 12.2.0"; the copyright follows on the next. */
const GCC_VERSION = /^\S+ \(.*\) (\d+)\.\d+[^\n]*\nCopyright .* Free Software Foundation/;

/** Since this version auxiliary files of links are named after the output and the source. */
export const LINK_DEPFILES_SINCE = 11;

/** The name by which the driver starts itself for links: another one means that something else was called and started it. */
const ITSELF = /^COLLECT_GCC=(.*)$/m;

/** @returns the major version of a GCC driver, undefined for anything else, also for a program that only leads to one */
export async function gccMajor(call: Call, context: ModelContext): Promise<number | undefined> {
  // Translations move the copyright about.
  const env = new Map([...queryEnvironment(call.env), ['LC_ALL', 'C']] as const);
  const [{ code, stdout }, verbose] = await Promise.all([
    context.query(call.realTool, ['--version'], { env }),
    context.query(call.realTool, ['-v'], { env }),
  ]);
  if (ITSELF.exec(verbose.stderr)?.[1] !== call.realTool) return undefined;
  const major = code === 0 ? GCC_VERSION.exec(stdout)?.[1] : undefined;
  return major === undefined ? undefined : Number(major);
}
