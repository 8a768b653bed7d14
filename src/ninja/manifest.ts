// The manifest as the rest of the program sees it: loaded once, asked often.

import { loadDyndep } from './dyndep.ts';
import { commandOf, evaluateBinding } from './evaluate.ts';
import { type Edge, Graph, type Node, type Pool } from './graph.ts';
import { type ParseOptions, parseManifest } from './parser.ts';
import { edgesFor, finalOutputs, rootNodes, type TargetOptions, targetsFor } from './targets.ts';

/**
 * A build.ninja with everything it includes. Paths are canonical, relative to the directory ninja runs in, and decoded
 * as in bytes.ts. Questions cost what they must; nothing is cached.
 */
export class Manifest {
  private readonly graph: Graph;
  private readonly options: ParseOptions;

  constructor(graph: Graph, options: ParseOptions) {
    this.graph = graph;
    this.options = options;
  }

  /** Build statements in the order of the manifest. */
  get edges(): readonly Edge[] {
    return this.graph.edges;
  }

  get nodeByPath(): ReadonlyMap<string, Node> {
    return this.graph.nodeByPath;
  }

  /** What `default` lines name; empty when there are none. */
  get defaults(): readonly Node[] {
    return this.graph.defaults;
  }

  /** By name; '' is the pool of everything else. */
  get pools(): ReadonlyMap<string, Pool> {
    return this.graph.poolByName;
  }

  /** What ninja would print as "ninja: warning: ...". */
  get warnings(): readonly string[] {
    return this.graph.warnings;
  }

  /** The manifest files read, as named in the manifest. */
  get files(): readonly string[] {
    return this.graph.files;
  }

  /** Where .ninja_log and .ninja_deps are, relative to ninja's directory; '' for that directory itself. */
  get buildDirectory(): string {
    return this.graph.scope.lookup('builddir');
  }

  /** `ninja_required_version`, '' when unsaid. */
  get requiredVersion(): string {
    return this.graph.scope.lookup('ninja_required_version');
  }

  /** The shell command of a statement; '' for phony. */
  command(edge: Edge): string {
    return commandOf(edge);
  }

  /** Any variable as the statement sees it, $in and $out quoted for a shell. */
  binding(edge: Edge, name: string): string {
    return evaluateBinding(edge, name, 'shell');
  }

  /** Paths of everything the statement makes, explicit outputs first. */
  outputsOf(edge: Edge): readonly string[] {
    return edge.outputs.map((output) => output.path);
  }

  /** The outputs nobody uses. Errors: NinjaError. */
  rootNodes(): readonly Node[] {
    return rootNodes(this.graph);
  }

  /** What ninja builds for these command line targets, `file^` included. Errors: NinjaError. */
  targetsFor(args: readonly string[], options?: TargetOptions): readonly Node[] {
    return targetsFor(this.graph, args, options);
  }

  /** The real files behind targets: phony names resolved, validations added. Errors: NinjaError on a cycle. */
  finalOutputs(targets: readonly Node[]): readonly Node[] {
    return finalOutputs(targets);
  }

  /** Every statement needed for the targets, each after what it needs. Errors: NinjaError on a cycle. */
  edgesFor(targets: readonly Node[]): readonly Edge[] {
    return edgesFor(targets);
  }

  /** Takes in a dyndep file that has been built. Errors: NinjaError; the manifest must then be loaded anew. */
  loadDyndep(node: Node): void {
    const known = this.graph.nodeByPath.get(node.path);
    if (known?.dyndepPending) loadDyndep(this.graph, known, this.options.readFile);
  }
}

/** Reads a manifest and all files it includes. Errors: NinjaError with ninja's own message. */
export function loadManifest(path: string, options: ParseOptions): Manifest {
  const graph = new Graph();
  parseManifest(graph, path, options);
  return new Manifest(graph, options);
}
