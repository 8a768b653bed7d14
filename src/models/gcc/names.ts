// The file names gcc makes up when nobody gives them. Source: "Overall Options" (-o, -dumpdir) of the gcc 12 manual.
import type { DepfileRequest, DepTarget } from './depfile-flags.ts';
import type { Goal } from './parse.ts';

function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Without what follows the last dot of the last component (a leading dot counts too, as in gcc). */
function stripSuffix(path: string): string {
  const dot = path.lastIndexOf('.');
  return dot > path.lastIndexOf('/') ? path.slice(0, dot) : path;
}

/** Where -c (`.o`) and -S (`.s`) write without -o: into the working directory. */
export function defaultOutput(source: string, goal: Exclude<Goal, 'preprocess'>): string {
  if (goal === 'link') return 'a.out';
  return `${stripSuffix(base(source))}${goal === 'compile' ? '.s' : '.o'}`;
}

/** Where -MD and -MMD write without -MF. */
export function defaultDepfile(source: string, output: string | undefined, goal: Goal): string {
  if (output !== undefined) return `${stripSuffix(output)}.d`;
  return `${goal === 'link' ? 'a-' : ''}${stripSuffix(base(source))}.d`;
}

/** The targets of the rule: those asked for, else -o's path, else the object's name. */
export function depTargets(
  request: DepfileRequest,
  source: string,
  output: string | undefined,
): readonly DepTarget[] {
  if (request.targets.length > 0) return request.targets;
  const text = output !== undefined && !request.viaPreprocessor ? output : `${stripSuffix(base(source))}.o`;
  return [{ text, quote: true }];
}
