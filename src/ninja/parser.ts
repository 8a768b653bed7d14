// The parser of build.ninja: statements into a Graph. Its order of steps is ninja's, since the first error wins and
// variables mean what they mean at that moment. Files that include files are a stack of frames, not recursion.
import { canonicalize } from './canonicalize.ts';
import { evaluate, evaluateBinding } from './evaluate.ts';
import { type Graph, type MutableEdge, mayBePhonyCycle, type Rule, Scope } from './graph.ts';
import { type EvalString, Lexer } from './lexer.ts';
import { type ReadFile, readManifestFile } from './read-file.ts';
import { checkNinjaVersion } from './version.ts';

export interface ParseOptions {
  readonly readFile: ReadFile;
  /** What to do when two statements make one file; ninja 1.9 and later refuse. */
  readonly dupbuild?: 'warn' | 'err';
  /** What to do with a phony statement that needs itself. */
  readonly phonycycle?: 'warn' | 'err';
  /** Version to hold against `ninja_required_version`; unchecked when absent. */
  readonly ninjaVersion?: string;
}

/** Files nested deeper are a file that includes itself; ninja crashes there. */
const INCLUDE_DEPTH_MAX = 1000;

const RULE_BINDINGS: ReadonlySet<string> = new Set([
  'command',
  'depfile',
  'deps',
  'description',
  'dyndep',
  'generator',
  'msvc_deps_prefix',
  'pool',
  'restat',
  'rspfile',
  'rspfile_content',
]);

interface Frame {
  readonly lexer: Lexer;
  readonly scope: Scope;
}

/** Adds everything the file at `path` says to `graph`. Errors: NinjaError. */
export function parseManifest(graph: Graph, path: string, options: ParseOptions): void {
  new Parser(graph, options).parse(path);
}

class Parser {
  private readonly graph: Graph;
  private readonly options: ParseOptions;
  private readonly stack: Frame[] = [];
  private lexer!: Lexer;
  private scope!: Scope;

  constructor(graph: Graph, options: ParseOptions) {
    this.graph = graph;
    this.options = options;
  }

  parse(path: string): void {
    this.enter(path, this.graph.scope);
    for (;;) {
      const token = this.lexer.readToken();
      switch (token) {
        case 'pool':
          this.parsePool();
          break;
        case 'build':
          this.parseEdge();
          break;
        case 'rule':
          this.parseRule();
          break;
        case 'default':
          this.parseDefault();
          break;
        case 'ident':
          this.lexer.unreadToken();
          this.parseAssignment();
          break;
        case 'include':
          this.parseInclude(this.scope);
          break;
        case 'subninja':
          this.parseInclude(new Scope(this.scope));
          break;
        case 'newline':
          break;
        case 'eof':
          if (!this.leave()) return;
          break;
        default:
          throw this.lexer.unexpected(token);
      }
    }
  }

  private enter(path: string, scope: Scope): void {
    const parent = this.stack.at(-1)?.lexer;
    if (this.stack.length === INCLUDE_DEPTH_MAX) throw this.lexer.error(`'${path}' includes itself`, 'graph');
    const bytes = readManifestFile(this.options.readFile, path, parent);
    this.graph.files.push(path);
    this.lexer = new Lexer(path, bytes);
    this.scope = scope;
    this.stack.push({ lexer: this.lexer, scope });
  }

  /** Back to the file that included this one, to the end of its line. False when there is none. */
  private leave(): boolean {
    this.stack.pop();
    const frame = this.stack.at(-1);
    if (frame === undefined) return false;
    this.lexer = frame.lexer;
    this.scope = frame.scope;
    this.lexer.expectToken('newline');
    return true;
  }

  private parseInclude(scope: Scope): void {
    this.enter(evaluate(this.lexer.readPath(), this.scope), scope);
  }

  private parseAssignment(): void {
    const { name, value } = this.readLet();
    const text = evaluate(value, this.scope);
    if (name === 'ninja_required_version' && this.options.ninjaVersion !== undefined) {
      const warning = checkNinjaVersion(this.options.ninjaVersion, text);
      if (warning !== undefined) this.graph.warnings.push(warning);
    }
    this.scope.bindings.set(name, text);
  }

  private readLet(): { readonly name: string; readonly value: EvalString } {
    const name = this.lexer.readIdent();
    if (name === undefined) throw this.lexer.error('expected variable name');
    this.lexer.expectToken('equals');
    return { name, value: this.lexer.readValue() };
  }

  private parsePool(): void {
    const name = this.lexer.readIdent();
    if (name === undefined) throw this.lexer.error('expected pool name');
    this.lexer.expectToken('newline');
    if (this.graph.poolByName.has(name)) throw this.lexer.error(`duplicate pool '${name}'`, 'graph');
    let depth = -1;
    while (this.lexer.peekToken('indent')) {
      const { name: key, value } = this.readLet();
      if (key !== 'depth') throw this.lexer.error(`unexpected variable '${key}'`);
      depth = leadingInteger(evaluate(value, this.scope));
      if (depth < 0) throw this.lexer.error('invalid pool depth');
    }
    if (depth < 0) throw this.lexer.error("expected 'depth =' line");
    this.graph.poolByName.set(name, { name, depth });
  }

  private parseRule(): void {
    const name = this.lexer.readIdent();
    if (name === undefined) throw this.lexer.error('expected rule name');
    this.lexer.expectToken('newline');
    if (this.scope.rules.has(name)) throw this.lexer.error(`duplicate rule '${name}'`, 'graph');
    // ninja's rules always have these two, so that a file's variable of that name does not shine through.
    const bindings = new Map<string, EvalString>([
      ['rspfile', ''],
      ['rspfile_content', ''],
    ]);
    while (this.lexer.peekToken('indent')) {
      const { name: key, value } = this.readLet();
      if (!RULE_BINDINGS.has(key)) throw this.lexer.error(`unexpected variable '${key}'`);
      bindings.set(key, value);
    }
    if ((bindings.get('rspfile') === '') !== (bindings.get('rspfile_content') === '')) {
      throw this.lexer.error('rspfile and rspfile_content need to be both specified');
    }
    if ((bindings.get('command') ?? '') === '') throw this.lexer.error("expected 'command =' line");
    this.scope.rules.set(name, { name, bindings });
  }

  private parseDefault(): void {
    const lexer = this.lexer;
    let target = lexer.readPath();
    if (target === '') throw lexer.error('expected target name');
    while (target !== '') {
      const path = this.evaluatePath(target, this.scope);
      const node = this.graph.nodeByPath.get(path);
      if (node === undefined) throw lexer.error(`unknown target '${path}'`, 'graph');
      this.graph.defaults.push(node);
      target = lexer.readPath();
    }
    lexer.expectToken('newline');
  }

  private parseEdge(): void {
    const lexer = this.lexer;
    const outputs = this.readPaths([]);
    const explicitOutputCount = outputs.length;
    if (lexer.peekToken('pipe')) this.readPaths(outputs);
    if (outputs.length === 0) throw lexer.error('expected path');
    lexer.expectToken('colon');
    const ruleName = lexer.readIdent();
    if (ruleName === undefined) throw lexer.error('expected build command name');
    const rule = this.scope.lookupRule(ruleName);
    if (rule === undefined) throw lexer.error(`unknown build rule '${ruleName}'`, 'graph');
    const inputs = this.readPaths([]);
    const explicitInputCount = inputs.length;
    if (lexer.peekToken('pipe')) this.readPaths(inputs);
    const ordinaryInputCount = inputs.length;
    if (lexer.peekToken('pipe2')) this.readPaths(inputs);
    const validations = lexer.peekToken('pipe-at') ? this.readPaths([]) : [];
    lexer.expectToken('newline');

    const edge = this.newEdge(rule, this.readEdgeScope());
    const implicitOutputs = this.addOutputs(edge, outputs, explicitOutputCount);
    // Every output belongs to another statement (only under dupbuild=warn): this one is as if not there.
    if (edge.outputs.length === 0) return;
    this.graph.edges.push(edge);
    edge.implicitOutputCount = implicitOutputs;
    for (const input of inputs) {
      const node = this.graph.node(this.evaluatePath(input, edge.scope));
      edge.inputs.push(node);
      node.outEdges.push(edge);
    }
    edge.implicitInputCount = ordinaryInputCount - explicitInputCount;
    edge.orderOnlyInputCount = inputs.length - ordinaryInputCount;
    for (const validation of validations) {
      const node = this.graph.node(this.evaluatePath(validation, edge.scope));
      edge.validations.push(node);
      node.validationOutEdges.push(edge);
    }
    this.dropPhonyCycle(edge);
    this.bindDyndep(edge);
  }

  private readPaths(into: EvalString[]): EvalString[] {
    for (let path = this.lexer.readPath(); path !== ''; path = this.lexer.readPath()) into.push(path);
    return into;
  }

  /** The statement's own variables; without any it lives in the file's scope itself. */
  private readEdgeScope(): Scope {
    if (!this.lexer.peekToken('indent')) return this.scope;
    const scope = new Scope(this.scope);
    do {
      const { name, value } = this.readLet();
      // Its variables do not see each other.
      scope.bindings.set(name, evaluate(value, this.scope));
    } while (this.lexer.peekToken('indent'));
    return scope;
  }

  private newEdge(rule: Rule, scope: Scope): MutableEdge {
    const edge = this.graph.newEdge(rule, scope);
    const poolName = evaluateBinding(edge, 'pool', 'shell');
    if (poolName !== '') {
      const pool = this.graph.poolByName.get(poolName);
      if (pool === undefined) throw this.lexer.error(`unknown pool name '${poolName}'`, 'graph');
      edge.pool = pool;
    }
    return edge;
  }

  /** @returns how many of the outputs taken are implicit */
  private addOutputs(edge: MutableEdge, outputs: readonly EvalString[], explicitCount: number): number {
    let implicitCount = outputs.length - explicitCount;
    for (const [i, output] of outputs.entries()) {
      const path = this.evaluatePath(output, edge.scope);
      const node = this.graph.node(path);
      if (node.inEdge === undefined) {
        edge.outputs.push(node);
        node.inEdge = edge;
        continue;
      }
      if (this.options.dupbuild !== 'warn')
        throw this.lexer.error(`multiple rules generate ${path}`, 'graph');
      this.graph.warnings.push(
        `multiple rules generate ${path}. builds involving this target will not be correct; continuing anyway`,
      );
      if (outputs.length - i <= implicitCount) implicitCount--;
    }
    return implicitCount;
  }

  private dropPhonyCycle(edge: MutableEdge): void {
    if (this.options.phonycycle === 'err' || !mayBePhonyCycle(edge)) return;
    const output = edge.outputs[0]!;
    if (!edge.inputs.includes(output)) return;
    // The counts stay, and so does the node's mention of the edge: as ninja leaves them.
    edge.inputs = edge.inputs.filter((input) => input !== output);
    this.graph.warnings.push(
      `phony target '${output.path}' names itself as an input; ignoring [-w phonycycle=warn]`,
    );
  }

  private bindDyndep(edge: MutableEdge): void {
    const text = evaluateBinding(edge, 'dyndep', 'none');
    if (text === '') return;
    const path = canonicalize(text);
    edge.dyndep = this.graph.node(path);
    edge.dyndep.dyndepPending = true;
    if (!edge.inputs.includes(edge.dyndep))
      throw this.lexer.error(`dyndep '${path}' is not an input`, 'graph');
  }

  private evaluatePath(text: EvalString, scope: Scope): string {
    const path = evaluate(text, scope);
    if (path === '') throw this.lexer.error('empty path');
    return canonicalize(path);
  }
}

/** As C's atol: the number a text begins with, 0 when it begins with none. */
function leadingInteger(text: string): number {
  return Number(/^[ \t\n\v\f\r]*([+-]?[0-9]+)/.exec(text)?.[1] ?? 0);
}
