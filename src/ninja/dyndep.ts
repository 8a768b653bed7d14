// Dyndep files: inputs and outputs that only became known while building (Fortran and C++ modules). Read as a value
// first, then laid over the graph.
import { canonicalize } from './canonicalize.ts';
import { NinjaError } from './error.ts';
import { evaluate } from './evaluate.ts';
import { type Edge, type Graph, type MutableEdge, type MutableNode, Scope } from './graph.ts';
import { type EvalString, Lexer } from './lexer.ts';
import { type ReadFile, readManifestFile } from './read-file.ts';
import { parseVersion } from './version.ts';

/** What a dyndep file says about one statement. */
export interface Dyndeps {
  readonly restat: boolean;
  readonly implicitInputs: readonly string[];
  readonly implicitOutputs: readonly string[];
}

/** Parses a dyndep file without changing the graph. Errors: NinjaError in ninja's words. */
export function parseDyndep(graph: Graph, path: string, bytes: Buffer): ReadonlyMap<Edge, Dyndeps> {
  return new DyndepParser(graph, new Lexer(path, bytes)).parse();
}

/**
 * Reads the dyndep file `node` and adds what it says to the statements bound to it. Errors: NinjaError; the graph may
 * then be half changed and should be dropped.
 */
export function loadDyndep(graph: Graph, node: MutableNode, readFile: ReadFile): void {
  node.dyndepPending = false;
  const dyndepsByEdge = parseDyndep(graph, node.path, readManifestFile(readFile, node.path, undefined));
  const bound = new Set<MutableEdge>();
  for (const edge of node.outEdges) if (edge.dyndep === node) bound.add(edge);
  for (const edge of bound) {
    const dyndeps = dyndepsByEdge.get(edge);
    if (dyndeps === undefined) {
      const output = edge.outputs[0]!.path;
      throw new NinjaError('graph', `'${output}' not mentioned in its dyndep file '${node.path}'`);
    }
    apply(graph, edge, dyndeps);
  }
  for (const edge of [...dyndepsByEdge.keys()].sort((a, b) => a.id - b.id)) {
    if (bound.has(edge as MutableEdge)) continue;
    throw new NinjaError(
      'graph',
      `dyndep file '${node.path}' mentions output '${edge.outputs[0]!.path}' whose build statement ` +
        'does not have a dyndep binding for the file',
    );
  }
}

function apply(graph: Graph, edge: MutableEdge, dyndeps: Dyndeps): void {
  // As in ninja, a statement without variables of its own says this in its file's scope.
  if (dyndeps.restat) edge.scope.bindings.set('restat', '1');
  for (const path of dyndeps.implicitOutputs) {
    const output = graph.node(path);
    if (output.inEdge !== undefined) throw new NinjaError('graph', `multiple rules generate ${path}`);
    output.inEdge = edge;
    edge.outputs.push(output);
    edge.implicitOutputCount++;
  }
  const inputs = dyndeps.implicitInputs.map((path) => graph.node(path));
  const orderOnlyStart = edge.inputs.length - edge.orderOnlyInputCount;
  edge.inputs = [...edge.inputs.slice(0, orderOnlyStart), ...inputs, ...edge.inputs.slice(orderOnlyStart)];
  edge.implicitInputCount += inputs.length;
  for (const input of inputs) input.outEdges.push(edge);
}

class DyndepParser {
  private readonly graph: Graph;
  private readonly lexer: Lexer;
  private readonly scope = new Scope();
  private readonly dyndepsByEdge = new Map<Edge, Dyndeps>();

  constructor(graph: Graph, lexer: Lexer) {
    this.graph = graph;
    this.lexer = lexer;
  }

  parse(): ReadonlyMap<Edge, Dyndeps> {
    let hasVersion = false;
    for (;;) {
      const token = this.lexer.readToken();
      switch (token) {
        case 'build':
          if (!hasVersion) throw this.lexer.error("expected 'ninja_dyndep_version = ...'");
          this.parseEdge();
          break;
        case 'ident':
          this.lexer.unreadToken();
          if (hasVersion) throw this.lexer.unexpected(token);
          this.parseVersionLine();
          hasVersion = true;
          break;
        case 'eof':
          if (!hasVersion) throw this.lexer.error("expected 'ninja_dyndep_version = ...'");
          return this.dyndepsByEdge;
        case 'newline':
          break;
        default:
          throw this.lexer.unexpected(token);
      }
    }
  }

  private parseVersionLine(): void {
    const { name, value } = this.readLet();
    if (name !== 'ninja_dyndep_version') throw this.lexer.error("expected 'ninja_dyndep_version = ...'");
    const version = evaluate(value, this.scope);
    const [major, minor] = parseVersion(version);
    if (major !== 1 || minor !== 0) {
      throw this.lexer.error(`unsupported 'ninja_dyndep_version = ${version}'`);
    }
  }

  private readLet(): { readonly name: string; readonly value: EvalString } {
    const name = this.lexer.readIdent();
    if (name === undefined) throw this.lexer.error('expected variable name');
    this.lexer.expectToken('equals');
    return { name, value: this.lexer.readValue() };
  }

  private parseEdge(): void {
    const lexer = this.lexer;
    const edge = this.readEdge();
    if (lexer.readPath() !== '') throw lexer.error('explicit outputs not supported');
    const outputs = this.readImplicit();
    lexer.expectToken('colon');
    if (lexer.readIdent() !== 'dyndep') throw lexer.error("expected build command name 'dyndep'");
    if (lexer.readPath() !== '') throw lexer.error('explicit inputs not supported');
    const inputs = this.readImplicit();
    if (lexer.peekToken('pipe2')) throw lexer.error('order-only inputs not supported');
    lexer.expectToken('newline');
    let restat = false;
    if (lexer.peekToken('indent')) {
      const { name, value } = this.readLet();
      if (name !== 'restat') throw lexer.error("binding is not 'restat'");
      restat = evaluate(value, this.scope) !== '';
    }
    this.dyndepsByEdge.set(edge, {
      restat,
      implicitInputs: inputs.map((input) => this.evaluatePath(input)),
      implicitOutputs: outputs.map((output) => this.evaluatePath(output)),
    });
  }

  /** The statement a line is about, by one of its outputs. */
  private readEdge(): Edge {
    const text = this.lexer.readPath();
    if (text === '') throw this.lexer.error('expected path');
    const path = this.evaluatePath(text);
    const edge = this.graph.nodeByPath.get(path)?.inEdge;
    if (edge === undefined) throw this.lexer.error(`no build statement exists for '${path}'`, 'graph');
    if (this.dyndepsByEdge.has(edge)) throw this.lexer.error(`multiple statements for '${path}'`, 'graph');
    return edge;
  }

  private readImplicit(): EvalString[] {
    const paths: EvalString[] = [];
    if (!this.lexer.peekToken('pipe')) return paths;
    for (let path = this.lexer.readPath(); path !== ''; path = this.lexer.readPath()) paths.push(path);
    return paths;
  }

  private evaluatePath(text: EvalString): string {
    const path = evaluate(text, this.scope);
    if (path === '') throw this.lexer.error('empty path');
    return canonicalize(path);
  }
}
