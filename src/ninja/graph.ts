// The build graph as the manifest tells it: files (nodes) and build statements (edges). Nothing here looks at the disk.
import type { EvalString } from './lexer.ts';

/** A named set of bindings that are evaluated where the rule is used. */
export interface Rule {
  readonly name: string;
  readonly bindings: ReadonlyMap<string, EvalString>;
}

export interface Pool {
  readonly name: string;
  /** Edges that may run at once; 0 means no limit. */
  readonly depth: number;
}

/** Variables and rules of a file, a subninja or one build statement. Evaluated late: a later assignment wins. */
export class Scope {
  readonly bindings = new Map<string, string>();
  readonly rules = new Map<string, Rule>();
  readonly parent: Scope | undefined;

  constructor(parent?: Scope) {
    this.parent = parent;
  }

  /** The value in this scope or the nearest around it; '' when unset. */
  lookup(name: string): string {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const value = scope.bindings.get(name);
      if (value !== undefined) return value;
    }
    return '';
  }

  lookupRule(name: string): Rule | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const rule = scope.rules.get(name);
      if (rule !== undefined) return rule;
    }
    return undefined;
  }
}

/** A file. `path` is canonical and relative to the directory ninja runs in. */
export interface Node {
  readonly path: string;
  /** The statement that makes it; undefined for a source. */
  readonly inEdge: Edge | undefined;
  /** Statements that have it among their inputs, once per mention; validations are apart. */
  readonly outEdges: readonly Edge[];
  readonly validationOutEdges: readonly Edge[];
  /** Some statement names it as its dyndep file, and it has not been loaded. */
  readonly dyndepPending: boolean;
}

/** A build statement. */
export interface Edge {
  /** Position among `edges`, from 0. */
  readonly id: number;
  readonly rule: Rule;
  readonly scope: Scope;
  readonly pool: Pool;
  /** Explicit, then implicit, then order-only. */
  readonly inputs: readonly Node[];
  readonly implicitInputCount: number;
  readonly orderOnlyInputCount: number;
  /** Explicit, then implicit. */
  readonly outputs: readonly Node[];
  readonly implicitOutputCount: number;
  readonly validations: readonly Node[];
  readonly dyndep: Node | undefined;
}

/** What the builders of the graph may change; everybody else sees a Node. */
export interface MutableNode extends Node {
  inEdge: MutableEdge | undefined;
  readonly outEdges: MutableEdge[];
  readonly validationOutEdges: MutableEdge[];
  dyndepPending: boolean;
}

export interface MutableEdge extends Edge {
  pool: Pool;
  inputs: MutableNode[];
  implicitInputCount: number;
  orderOnlyInputCount: number;
  readonly outputs: MutableNode[];
  implicitOutputCount: number;
  readonly validations: MutableNode[];
  dyndep: MutableNode | undefined;
}

/** The rule every manifest knows without saying. */
export const PHONY_RULE: Rule = { name: 'phony', bindings: new Map() };
const DEFAULT_POOL: Pool = { name: '', depth: 0 };
const CONSOLE_POOL: Pool = { name: 'console', depth: 1 };

/** The graph under construction. */
export class Graph {
  readonly scope = new Scope();
  readonly edges: MutableEdge[] = [];
  readonly nodeByPath = new Map<string, MutableNode>();
  readonly poolByName = new Map<string, Pool>();
  readonly defaults: MutableNode[] = [];
  readonly warnings: string[] = [];
  /** Every manifest read, in order; paths as written. */
  readonly files: string[] = [];

  constructor() {
    this.scope.rules.set(PHONY_RULE.name, PHONY_RULE);
    for (const pool of [DEFAULT_POOL, CONSOLE_POOL]) this.poolByName.set(pool.name, pool);
  }

  /** The node of a canonical path, made when new. */
  node(path: string): MutableNode {
    let node = this.nodeByPath.get(path);
    if (node === undefined) {
      node = { path, inEdge: undefined, outEdges: [], validationOutEdges: [], dyndepPending: false };
      this.nodeByPath.set(path, node);
    }
    return node;
  }

  /** A statement without files; it counts once it is among `edges`. */
  newEdge(rule: Rule, scope: Scope): MutableEdge {
    return {
      id: this.edges.length,
      rule,
      scope,
      pool: DEFAULT_POOL,
      inputs: [],
      implicitInputCount: 0,
      orderOnlyInputCount: 0,
      outputs: [],
      implicitOutputCount: 0,
      validations: [],
      dyndep: undefined,
    };
  }
}

export function isPhony(edge: Edge): boolean {
  return edge.rule === PHONY_RULE;
}

/** The inputs that `$in` lists. */
export function explicitInputs(edge: Edge): readonly Node[] {
  return edge.inputs.slice(0, edge.inputs.length - edge.implicitInputCount - edge.orderOnlyInputCount);
}

/** The inputs behind `|`. */
export function implicitInputs(edge: Edge): readonly Node[] {
  const end = edge.inputs.length - edge.orderOnlyInputCount;
  return edge.inputs.slice(end - edge.implicitInputCount, end);
}

/** The inputs behind `||`. */
export function orderOnlyInputs(edge: Edge): readonly Node[] {
  return edge.inputs.slice(edge.inputs.length - edge.orderOnlyInputCount);
}

/** The outputs that `$out` lists. */
export function explicitOutputs(edge: Edge): readonly Node[] {
  return edge.outputs.slice(0, edge.outputs.length - edge.implicitOutputCount);
}

/** A phony statement of the form old CMake wrote with itself among its inputs. */
export function mayBePhonyCycle(edge: Edge): boolean {
  return (
    isPhony(edge) &&
    edge.outputs.length === 1 &&
    edge.implicitOutputCount === 0 &&
    edge.implicitInputCount === 0
  );
}
