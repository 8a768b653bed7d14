// Variables become text. In a file they are replaced at once; in a rule only where it is used, with $in, $out, the
// statement's own variables and the rule's other bindings in reach.
import { NinjaError } from './error.ts';
import { type Edge, explicitInputs, explicitOutputs, isPhony, type Node, type Scope } from './graph.ts';
import type { EvalString } from './lexer.ts';

/** The text with every variable replaced by its value in `scope`. */
export function evaluate(text: EvalString, scope: Scope): string {
  if (typeof text === 'string') return text;
  let result = '';
  for (const piece of text) result += typeof piece === 'string' ? piece : scope.lookup(piece.name);
  return result;
}

const SHELL_SAFE = /^[A-Za-z0-9_+\-./]*$/;

/** The path as one word of a shell command, quoted only when ninja would. */
export function shellQuote(path: string): string {
  return SHELL_SAFE.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/**
 * The value of a rule's or statement's variable.
 * @param quoting whether $in and $out are quoted for a shell: yes for commands, no for file names (depfile, dyndep, rspfile)
 * Errors: `graph` when a rule's bindings need each other in a circle.
 */
export function evaluateBinding(edge: Edge, name: string, quoting: 'shell' | 'none'): string {
  return lookup(edge, name, quoting, undefined);
}

/** @param open the rule's bindings being evaluated, outermost first, without the one asked for; undefined at its level */
function lookup(
  edge: Edge,
  name: string,
  quoting: 'shell' | 'none',
  open: readonly string[] | undefined,
): string {
  if (name === 'in') return pathList(explicitInputs(edge), ' ', quoting);
  if (name === 'in_newline') return pathList(explicitInputs(edge), '\n', quoting);
  if (name === 'out') return pathList(explicitOutputs(edge), ' ', quoting);

  // The scope next to the statement wins over the rule. Without variables of its own that is the file's scope.
  const own = edge.scope.bindings.get(name);
  if (own !== undefined) return own;
  const cycleStart = open?.indexOf(name) ?? -1;
  if (open !== undefined && cycleStart >= 0) {
    const cycle = [...open.slice(cycleStart), name].join(' -> ');
    throw new NinjaError('graph', `cycle in rule variables: ${cycle}`, { fatal: true });
  }
  const bound = edge.rule.bindings.get(name);
  if (bound === undefined) return edge.scope.parent?.lookup(name) ?? '';
  if (typeof bound === 'string') return bound;
  const inner = open === undefined ? [] : [...open, name];
  let result = '';
  for (const piece of bound) {
    result += typeof piece === 'string' ? piece : lookup(edge, piece.name, quoting, inner);
  }
  return result;
}

function pathList(nodes: readonly Node[], separator: string, quoting: 'shell' | 'none'): string {
  let result = '';
  for (const node of nodes) {
    if (result !== '') result += separator;
    result += quoting === 'shell' ? shellQuote(node.path) : node.path;
  }
  return result;
}

/** The command line for the shell; '' for phony. */
export function commandOf(edge: Edge): string {
  return isPhony(edge) ? '' : evaluateBinding(edge, 'command', 'shell');
}

/** What ninja shows while the command runs; '' when the rule has no description. */
export function descriptionOf(edge: Edge): string {
  return evaluateBinding(edge, 'description', 'shell');
}

/** Path of the dependency file the command writes; '' for none. */
export function depfileOf(edge: Edge): string {
  return evaluateBinding(edge, 'depfile', 'none');
}

/** The response file ninja writes before the command runs; undefined for none. */
export function responseFileOf(edge: Edge): { readonly path: string; readonly content: string } | undefined {
  const path = evaluateBinding(edge, 'rspfile', 'none');
  return path === '' ? undefined : { path, content: evaluateBinding(edge, 'rspfile_content', 'shell') };
}

/** "gcc", "msvc" or '': how ninja takes dependencies into its log. */
export function depsOf(edge: Edge): string {
  return evaluateBinding(edge, 'deps', 'shell');
}

/** Outputs may stay as they were: ninja looks at them again after the command. */
export function isRestat(edge: Edge): boolean {
  return evaluateBinding(edge, 'restat', 'shell') !== '';
}

/** The statement makes the manifest itself: not cleaned, not rebuilt for a changed command line. */
export function isGenerator(edge: Edge): boolean {
  return evaluateBinding(edge, 'generator', 'shell') !== '';
}
