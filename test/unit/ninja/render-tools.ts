// What ninja's own tools (`-t commands`, `-t query`, ...) print, rendered from our graph. Bytes, one per character.
import { encodeBytes } from '../../../src/ninja/bytes.ts';
import { NinjaError } from '../../../src/ninja/error.ts';
import { responseFileOf, shellQuote } from '../../../src/ninja/evaluate.ts';
import {
  type Edge,
  explicitInputs,
  implicitInputs,
  isPhony,
  type Node,
  orderOnlyInputs,
} from '../../../src/ninja/graph.ts';
import type { Manifest } from '../../../src/ninja/manifest.ts';

/** Statements behind the targets without validations, each after what it needs. */
export function edgesBehind(targets: readonly Node[]): Edge[] {
  const seen = new Set<Edge>();
  const edges: Edge[] = [];
  const visit = (edge: Edge | undefined): void => {
    if (edge === undefined || seen.has(edge)) return;
    seen.add(edge);
    for (const input of edge.inputs) visit(input.inEdge);
    edges.push(edge);
  };
  for (const target of targets) visit(target.inEdge);
  return edges;
}

function lines(list: readonly string[]): string {
  return encodeBytes(list.map((line) => `${line}\n`).join('')).toString('latin1');
}

/** `-t commands` */
export function renderCommands(manifest: Manifest, targets: readonly Node[]): string {
  return lines(
    edgesBehind(targets)
      .filter((edge) => !isPhony(edge))
      .map((edge) => manifest.command(edge)),
  );
}

/** `-t inputs` */
export function renderInputs(targets: readonly Node[]): string {
  const paths = new Set<string>();
  for (const edge of edgesBehind(targets)) {
    if (isPhony(edge)) continue;
    for (const input of edge.inputs) paths.add(encodeBytes(shellQuote(input.path)).toString('latin1'));
  }
  return [...paths]
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    .map((path) => `${path}\n`)
    .join('');
}

/** `-t targets all` */
export function renderTargetsAll(manifest: Manifest): string {
  return lines(
    manifest.edges.flatMap((edge) => edge.outputs.map((output) => `${output.path}: ${edge.rule.name}`)),
  );
}

/** `-t query PATH...` */
export function renderQuery(manifest: Manifest, nodes: readonly Node[]): string {
  const out: string[] = [];
  for (const node of nodes) {
    out.push(`${node.path}:`);
    const edge = node.inEdge;
    if (edge !== undefined) {
      loadPendingDyndep(manifest, edge);
      out.push(`  input: ${edge.rule.name}`);
      for (const input of explicitInputs(edge)) out.push(`    ${input.path}`);
      for (const input of implicitInputs(edge)) out.push(`    | ${input.path}`);
      for (const input of orderOnlyInputs(edge)) out.push(`    || ${input.path}`);
      if (edge.validations.length > 0) out.push('  validations:');
      for (const validation of edge.validations) out.push(`    ${validation.path}`);
    }
    out.push('  outputs:');
    for (const user of node.outEdges) for (const output of user.outputs) out.push(`    ${output.path}`);
    if (node.validationOutEdges.length > 0) out.push('  validation for:');
    for (const user of node.validationOutEdges) {
      for (const output of user.outputs) out.push(`    ${output.path}`);
    }
  }
  return lines(out);
}

function loadPendingDyndep(manifest: Manifest, edge: Edge): void {
  if (!edge.dyndep?.dyndepPending) return;
  try {
    manifest.loadDyndep(edge.dyndep);
  } catch (error) {
    // `-t query` and `-t graph` warn and go on.
    if (!(error instanceof NinjaError)) throw error;
  }
}

/** `-t graph`, pointers replaced by `normalizeGraph`'s numbers. */
export function renderGraph(manifest: Manifest, targets: readonly Node[]): string {
  const out: string[] = ['digraph ninja {', 'rankdir="LR"', 'node [fontsize=10, shape=box, height=0.25]'];
  out.push('edge [fontsize=10]');
  const ids = new Map<Node | Edge, string>();
  const id = (thing: Node | Edge): string => {
    if (!ids.has(thing)) ids.set(thing, `0x${(ids.size + 1).toString(16)}`);
    return ids.get(thing)!;
  };
  const drawn = new Set<Node | Edge>();
  const add = (node: Node): void => {
    if (drawn.has(node)) return;
    drawn.add(node);
    out.push(`"${id(node)}" [label="${node.path.replaceAll('\\', '/')}"]`);
    const edge = node.inEdge;
    if (edge === undefined || drawn.has(edge)) return;
    drawn.add(edge);
    loadPendingDyndep(manifest, edge);
    const rule = edge.rule.name;
    if (edge.inputs.length === 1 && edge.outputs.length === 1) {
      out.push(`"${id(edge.inputs[0]!)}" -> "${id(edge.outputs[0]!)}" [label=" ${rule}"]`);
    } else {
      out.push(`"${id(edge)}" [label="${rule}", shape=ellipse]`);
      for (const output of edge.outputs) out.push(`"${id(edge)}" -> "${id(output)}"`);
      const orderOnlyStart = edge.inputs.length - edge.orderOnlyInputCount;
      for (const [i, input] of edge.inputs.entries()) {
        const style = i >= orderOnlyStart ? ' style=dotted' : '';
        out.push(`"${id(input)}" -> "${id(edge)}" [arrowhead=none${style}]`);
      }
    }
    for (const input of edge.inputs) add(input);
  };
  for (const target of targets) add(target);
  out.push('}');
  return lines(out);
}

/** ninja prints addresses; numbers in order of appearance make them comparable. */
export function normalizeGraph(text: string): string {
  const numbers = new Map<string, string>();
  return text.replace(/"0x[0-9a-f]+"/g, (address) => {
    if (!numbers.has(address)) numbers.set(address, `"0x${(numbers.size + 1).toString(16)}"`);
    return numbers.get(address)!;
  });
}

/** The `output` and `command` of `-t compdb -x`: response files stand in the command. */
export function renderCompdb(manifest: Manifest): readonly (readonly [output: string, command: string])[] {
  return manifest.edges
    .filter((edge) => edge.inputs.length > 0)
    .map((edge) => {
      const command = manifest.command(edge);
      const responseFile = responseFileOf(edge);
      const at = responseFile === undefined ? -1 : command.indexOf(responseFile.path);
      if (responseFile === undefined || at <= 0 || command[at - 1] !== '@') {
        return [edge.outputs[0]!.path, command];
      }
      const content = responseFile.content.replaceAll('\n', ' ');
      return [
        edge.outputs[0]!.path,
        command.slice(0, at - 1) + content + command.slice(at + responseFile.path.length),
      ];
    });
}
