// Whether a tool is a program or a script. What a script reads (variables, files, other tools) is in no thunk.
import { readHead } from '../base/head.ts';
import { identityOf, tryStatNs } from '../base/stat.ts';

/** Tools remembered; a build has a dozen. The oldest goes first. */
const TOOLS_MAX = 256;

interface Known {
  readonly identity: string;
  readonly program: boolean;
}

const known = new Map<string, Known>();

/**
 * True for an ELF file, also at the end of symlinks; for one that cannot be read too, since no interpreter could read it either.
 * One look at the file's identity a call.
 */
export function isProgram(absPath: string): boolean {
  const stat = tryStatNs(absPath);
  if (!stat) return true;
  const identity = identityOf(stat);
  const before = known.get(absPath);
  if (before?.identity === identity) return before.program;
  const head = readHead(absPath, 4);
  const program = head === undefined || head.toString('latin1') === '\x7fELF';
  if (known.size >= TOOLS_MAX) known.delete(known.keys().next().value as string);
  known.set(absPath, { identity, program });
  return program;
}
