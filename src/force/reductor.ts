// Drives thunks to values: memo, single flight, early cut-off, bounded retries. It knows engines and the store by their
// contracts and nothing of trees; what must happen before dependents may run (writing artifacts back) is the host's.
import type { Engine, OutputValue, RunDone, RunOutcome } from '../engine/engine.ts';
import type { Placement } from '../ir/placement.ts';
import { Made } from '../engine/followers.ts';
import { reduceInputs } from '../ir/graph.ts';
import { baseName, isValue, type ObjectName, sizeOf, tagOf } from '../ir/name.ts';
import { BadThunkError, decodeThunk, encodeThunk, type Thunk, thunkDeps } from '../ir/thunk.ts';
import { believes, joinVia, NO_VIA, type Trust, thisMaker, trustKey, viaOf } from '../store/provenance.ts';
import type { Reduction, Store } from '../store/store.ts';
import {
  type ChainLink,
  type ChainParts,
  chainOf,
  reductionOf,
  soleDependent,
  takeFollowers,
} from './chain.ts';
import { type Lane, Lanes } from './lanes.ts';
import { type Failure, type ForceNode, outputOf, type Peers, transition } from './node.ts';

export interface ReductorHost {
  readonly store: Store;
  /** Where the nodes run that a session pays for; '': those of nobody in particular. */
  engineFor(owner: string): Engine;
  placementOf(thunk: ObjectName): Placement | undefined;
  /** Somebody but other thunks is to get the outputs: they are promised at some path. */
  isPromised?(thunk: ObjectName): boolean;
  /** The thunk that made what this one makes when it was last made. */
  before?(thunk: ObjectName): ObjectName | undefined;
  /** Milliseconds a thunk took when it last ran, as far as that is known; without it the bytes it reads stand for them. */
  expectedMs?(thunk: ObjectName): number | undefined;
  /** What an owner takes from others; without it, everything. */
  trustOf?(owner: string): Trust;
  /** The node has its outputs; dependents start when this is done. */
  reduced(node: ForceNode, how: 'ran' | 'memoized', cpuMs: number): Promise<void> | undefined;
  started(node: ForceNode): void;
  failed(node: ForceNode, failure: Failure): void;
  cancelled(node: ForceNode): void;
}

/** Tries of a thunk whose run came to no end, before it is given up. */
const TRIES_MAX = 3;
const RETRY_BASE_MS = 50;
/** Memo hits handled before the event loop gets a turn. */
const SLICE = 64;

/** Decoded thunks kept until they run; one of a C++ unit holds 100 KB. The others are read again, 0.2 ms each. */
const THUNKS_HELD_MAX = 200;

/** What compilers read in a millisecond, very roughly: gcc -O2 takes a second for a megabyte of C with its headers. */
const BYTES_PER_MS = 1000;

/**
 * A source makes more work than its headers, which mostly declare. Over 955 compiles of C and C++ projects the logarithm of the
 * duration goes with that of the source's bytes by 0.65, of all bytes by 0.59, of this sum by 0.63.
 */
const SOURCE_FACTOR = 10;

const NO_BYTES = Buffer.alloc(0);
const NO_NAMES: readonly ObjectName[] = [];

interface AddOptions {
  readonly urgent?: boolean;
  readonly thunk?: Thunk | undefined;
  /** Somebody waits for its outputs, or will: not so for one that was met in a build and is not looked at yet. */
  readonly wanted?: boolean;
}

interface RunContext {
  readonly chain: readonly ChainLink[];
  /** What it ran on. */
  readonly engine: string;
}

export class Reductor {
  readonly #host: ReductorHost;
  /** By what they take from others. */
  readonly #peers = new Map<string, Peers>();
  readonly #lanes: Lanes;
  readonly #aborts = new Map<ForceNode, AbortController>();
  #lastOwner: ReadonlySet<string> = new Set();
  #inFlight = 0;
  /** Nodes that hold their decoded thunk. */
  #held = 0;
  #pumping = false;

  /** @param jobs thunks run at once for owners without a limit of their own. */
  constructor(host: ReductorHost, jobs: number) {
    this.#host = host;
    this.#lanes = new Lanes(jobs);
  }

  /** Gives an owner, with those that stand for it, a limit of its own: `jobs` thunks at once. */
  open(owner: string, jobs: number, also: readonly string[] = []): void {
    this.#lanes.open(owner, jobs, also);
    this.#pump();
  }

  /** Takes back all that only this owner and those that stand for it asked for, and its limit. */
  close(owner: string, also: readonly string[] = []): void {
    for (const one of [owner, ...also]) this.cancel(one, { running: true });
    this.#lanes.close(owner);
    this.#pump();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get pending(): number {
    return this.#lanes.ready + this.#inFlight;
  }

  /**
   * What is known of a thunk; nothing of one whose outputs are stored nowhere.
   * @param owner what those know who take the same from others; absent: whoever knows it.
   */
  node(name: ObjectName, owner?: string): ForceNode | undefined {
    const known = owner === undefined ? [...this.#peers.values()] : [this.#peersOf(owner)];
    for (const { nodes } of known) {
      const node = nodes.get(name);
      if (node && node.chain !== 'hollow') return node;
    }
    return undefined;
  }

  #peersOf(owner: string): Peers {
    const trust = this.#host.trustOf?.(owner);
    const key = trust === undefined ? 'all' : trustKey(trust);
    let peers = this.#peers.get(key);
    if (!peers) {
      peers = {
        believes: (via) => trust === undefined || believes(trust, via),
        nodes: new Map(),
        running: new Map(),
      };
      this.#peers.set(key, peers);
    }
    return peers;
  }

  /** What the store has, if those who want it may count on it. */
  #recall(peers: Peers, name: ObjectName, wants?: 'names'): Reduction | undefined {
    const reduction = this.#host.store.reduction(name, wants);
    return reduction && peers.believes(viaOf(reduction)) ? reduction : undefined;
  }

  /** Brings `name` and what it needs into the graph and starts what can start. */
  add(name: ObjectName, owner: string, options: AddOptions = {}): ForceNode {
    const root = this.#load(name, owner, options);
    this.#pump();
    return root;
  }

  /** Waits until the node is done, failed or cancelled. */
  force(name: ObjectName, owner: string, options: Omit<AddOptions, 'wanted'> = {}): Promise<ForceNode> {
    const node = this.add(name, owner, { ...options, wanted: true });
    if (node.state === 'done' || node.state === 'failed' || node.state === 'cancelled')
      return node.settling ? node.settling.then(() => node) : Promise.resolve(node);
    return new Promise((resolve) => {
      if (node.waiters) node.waiters.push(resolve);
      else node.waiters = [resolve];
    });
  }

  #load(
    rootName: ObjectName,
    owner: string,
    { urgent = false, thunk: given, wanted = false }: AddOptions,
  ): ForceNode {
    const peers = this.#peersOf(owner);
    const { nodes } = peers;
    const stack: ObjectName[] = [rootName];
    const fresh: ForceNode[] = [];
    const called: ForceNode[] = [];
    while (stack.length > 0) {
      const name = stack.pop()!;
      const known = nodes.get(name);
      if (
        known !== undefined &&
        known.state !== 'failed' &&
        known.state !== 'cancelled' &&
        known.chain !== 'hollow' &&
        (known.state !== 'done' || known.settling || this.#areStored(known.outputs))
      ) {
        const news = !known.owners.has(owner);
        if (news) known.owners = new Set(known.owners).add(owner);
        const rises = urgent && !known.urgent;
        if (rises) known.urgent = true;
        if ((news || rises) && known.state === 'ready') this.#lanes.again(known);
        // What it needs becomes this owner's and as urgent too.
        if ((news || rises) && known.state === 'waiting') stack.push(...known.deps);
        if (known.chain === 'parked' && (wanted || name !== rootName)) called.push(known);
        continue;
      }
      const node: ForceNode = {
        name,
        state: 'waiting',
        thunk: undefined,
        deps: NO_NAMES,
        placement: undefined,
        weight: 0,
        missing: 0,
        dependents: undefined,
        owners: this.#soleOwner(owner),
        urgent,
        outputs: undefined,
        stdout: NO_BYTES,
        stderr: NO_BYTES,
        wallMs: 0,
        failure: undefined,
        waiters: undefined,
        tries: 0,
        settling: undefined,
        memo: undefined,
        chain: undefined,
        loadError: undefined,
        memoHit: undefined,
        via: NO_VIA,
        peers,
      };
      nodes.set(name, node);
      fresh.push(node);
      const memo = this.#recall(peers, name, 'names');
      if (memo && this.#areStored(memo.outputs)) {
        node.memo = memo;
        continue;
      }
      if (memo && name === rootName && !wanted) node.chain = 'parked';
      try {
        const thunk = name === rootName && given ? given : this.#read(name);
        if (this.#held < THUNKS_HELD_MAX) {
          node.thunk = thunk;
          this.#held++;
        }
        node.weight = this.#host.expectedMs?.(name) ?? workBytes(thunk) / BYTES_PER_MS;
        node.deps = thunkDeps(thunk);
        for (const dep of node.deps) stack.push(dep);
      } catch (error) {
        const detail = error instanceof BadThunkError ? error.message : String((error as Error).message);
        node.loadError = detail;
      }
    }
    for (const node of fresh) {
      // The names as the nodes have them: no second copy of each.
      node.deps = node.deps.map((dep) => nodes.get(dep)!.name);
      for (const dep of node.deps) {
        const on = nodes.get(dep)!;
        if (on.state === 'done' && !on.settling) continue;
        node.missing++;
        if (on.dependents) on.dependents.push(node);
        else on.dependents = [node];
      }
    }
    for (const node of fresh) {
      if (node.memo) this.#finish(node, node.memo, 'memoized', 0);
      else if (node.loadError !== undefined) {
        this.#fail(node, unreadable(node.name, node.loadError));
      } else if (node.missing === 0 && node.state === 'waiting') this.#becomeReady(node);
    }
    for (const node of called) {
      node.chain = undefined;
      if (node.missing === 0 && node.state === 'waiting') this.#becomeReady(node);
    }
    return nodes.get(rootName)!;
  }

  /** Damaged bytes are none: what they were made by runs again. */
  #areStored(outputs: readonly OutputValue[] | undefined): boolean {
    return outputs?.every((o) => this.#host.store.path(o.name) !== undefined) === true;
  }

  /** Most nodes have one owner, and most of them the same. */
  #soleOwner(owner: string): ReadonlySet<string> {
    if (this.#lastOwner.has(owner)) return this.#lastOwner;
    this.#lastOwner = new Set([owner]);
    return this.#lastOwner;
  }

  #read(name: ObjectName): Thunk {
    const thunk = this.#host.store.read(name, decodeThunk);
    if (!thunk) throw new Error('not in the store');
    return thunk;
  }

  #tryRead(name: ObjectName): Thunk | undefined {
    try {
      return this.#host.store.read(name, decodeThunk);
    } catch {
      return undefined;
    }
  }

  #drop(node: ForceNode): void {
    if (node.thunk) this.#held--;
    node.thunk = undefined;
    node.deps = NO_NAMES;
  }

  #becomeReady(node: ForceNode): void {
    if (node.chain === 'parked') return;
    // A dependency that had failed before this node came in.
    const bad = node.deps.find((d) => node.peers.nodes.get(d)?.state !== 'done');
    if (bad) {
      this.#fail(node, { kind: 'dependency', on: bad });
      return;
    }
    node.state = transition(node.state, 'inputs-ready');
    this.#lanes.push(node);
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    let handled = 0;
    for (;;) {
      const next = this.#lanes.take();
      if (!next) break;
      this.#start(next.node, next.lane);
      if (++handled >= SLICE) {
        setImmediate(() => this.#pump());
        break;
      }
    }
    this.#pumping = false;
  }

  #start(node: ForceNode, lane: Lane): void {
    node.state = transition(node.state, 'start');
    const { nodes, running } = node.peers;
    for (const dep of node.deps) node.via = joinVia(node.via, nodes.get(dep)?.via ?? NO_VIA);
    if (node.memo) {
      const { aheadCpuMs } = node.memo;
      if (aheadCpuMs !== undefined) this.#host.started(node);
      this.#finish(node, node.memo, aheadCpuMs === undefined ? 'memoized' : 'ran', aheadCpuMs ?? 0);
      return;
    }
    let full: Thunk;
    try {
      full = node.thunk ?? this.#read(node.name);
    } catch (error) {
      this.#fail(node, unreadable(node.name, (error as Error).message));
      return;
    }
    const thunk = reduceInputs(full, (ref) => {
      const value = outputOf(nodes.get(baseName(ref)), tagOf(ref));
      if (!value) throw new Error(`${ref} has no value`);
      return value;
    });
    let name = node.name;
    if (thunk !== full) {
      name = encodeThunk(thunk).name;
      const memo = this.#recall(node.peers, name);
      if (memo) {
        this.#remember(node, memo);
        this.#finish(node, memo, 'memoized', 0);
        return;
      }
      const others = running.get(name);
      if (others) {
        others.push(node);
        return;
      }
    }
    if (this.#passOver(node, name, lane)) return;
    running.set(name, []);
    node.placement ??= this.#host.placementOf(node.name);
    if (!node.placement) {
      this.#over(node, name, {
        kind: 'failed',
        reason: 'start-failed',
        detail: 'nothing is known of where this thunk was made; build again to make it anew',
        transient: false,
      });
      return;
    }
    const abort = new AbortController();
    this.#aborts.set(node, abort);
    this.#inFlight++;
    lane.running++;
    this.#host.started(node);
    const engine = this.#host.engineFor(lane.owner);
    const chain = engine.chains ? chainOf(node, name, this.#chainParts(node, lane)) : [];
    const followers = chain.map((link) => link.follower);
    const job = { name, thunk, placement: node.placement, believes: node.peers.believes };
    engine.run(followers.length > 0 ? { ...job, followers } : job, { signal: abort.signal }).then(
      (outcome) => {
        this.#inFlight--;
        lane.running--;
        this.#aborts.delete(node);
        this.#over(node, name, outcome, { chain, engine: engine.label });
        this.#pump();
      },
      (error: unknown) => {
        this.#inFlight--;
        lane.running--;
        this.#aborts.delete(node);
        const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#over(node, name, { kind: 'failed', reason: 'start-failed', detail, transient: false });
        this.#pump();
      },
    );
  }

  #over(
    node: ForceNode,
    reducedName: ObjectName,
    outcome: RunOutcome,
    { chain, engine }: RunContext = { chain: [], engine: '' },
  ): void {
    const { peers } = node;
    if (node.state === 'cancelled') {
      this.#shared(peers, reducedName, (n) => this.#again(n));
      return;
    }
    if (outcome.kind === 'done' && outcome.exitCode === 0) {
      const taken = takeFollowers(chain, reducedName, outcome, (n, name, run) =>
        this.#ranAhead(n, reductionOf(name, run, engine), run.cpuMs),
      );
      if (outcome.withheld) {
        const others = peers.running.get(reducedName)?.length ?? 0;
        if (taken === 0 || others > 0 || this.#isWanted(node) || soleDependent(node) !== chain[0]?.node) {
          node.chain = 'unchained';
          this.#shared(peers, reducedName, (n) => this.#again(n));
          this.#again(node);
          return;
        }
        node.chain = 'hollow';
      }
      const reduction = reductionOf(reducedName, outcome, engine);
      this.#host.store.putReduction(reduction);
      if (reducedName !== node.name) this.#remember(node, reduction);
      this.#finish(node, reduction, 'ran', outcome.cpuMs);
      this.#shared(peers, reducedName, (n) => {
        this.#remember(n, reduction);
        this.#finish(n, reduction, 'memoized', 0);
      });
      return;
    }
    if (outcome.kind === 'failed' && outcome.transient && ++node.tries < TRIES_MAX) {
      peers.running.delete(reducedName);
      const delayMs = RETRY_BASE_MS * 2 ** node.tries * (0.5 + Math.random());
      setTimeout(() => this.#again(node), delayMs);
      return;
    }
    const failure: Failure =
      outcome.kind === 'done' ? { kind: 'tool', run: outcome as RunDone } : { kind: 'engine', run: outcome };
    this.#fail(node, failure);
    this.#shared(peers, reducedName, (n) => this.#fail(n, failure));
  }

  #chainParts({ peers }: ForceNode, lane: Lane): ChainParts {
    return {
      isPaid: (node) => this.#lanes.isIn(node, lane),
      isWanted: (first) => this.#isWanted(first),
      thunkOf: (node) => node.thunk ?? this.#tryRead(node.name),
      placementOf: (thunk) => this.#host.placementOf(thunk),
      valueOf: (ref) => outputOf(peers.nodes.get(baseName(ref)), tagOf(ref)),
      before: (thunk) => {
        const before = this.#host.before?.(thunk);
        return before && this.#tryRead(before);
      },
      named: (thunk) => this.#recall(peers, thunk, 'names'),
    };
  }

  /** Its outputs are known by name only, and the one thunk that wants them has run on them before: neither runs again. */
  #passOver(node: ForceNode, name: ObjectName, lane: Lane): boolean {
    if (!soleDependent(node) || this.#isWanted(node)) return false;
    const named = this.#recall(node.peers, name, 'names');
    const [next] = named ? chainOf(node, name, this.#chainParts(node, lane)) : [];
    const reduced = named && next && new Made(name, named.outputs).nameOf(next.follower);
    const memo = reduced && this.#recall(node.peers, reduced);
    if (!memo) return false;
    node.via = joinVia(node.via, viaOf(named));
    this.#remember(next.node, memo);
    next.node.memo = memo;
    if (name !== node.name) this.#remember(node, named);
    node.chain = 'hollow';
    this.#finish(node, named, 'memoized', 0);
    return true;
  }

  /** By somebody who is no thunk. */
  #isWanted(node: ForceNode): boolean {
    return node.waiters !== undefined || this.#host.isPromised?.(node.name) === true;
  }

  /** A result that came along with another's: it waits with its node until the inputs are in place. */
  #ranAhead(node: ForceNode, made: Reduction, cpuMs: number): void {
    const known = this.#recall(node.peers, made.thunk);
    const reduction = known ?? made;
    if (!known) this.#host.store.putReduction(reduction);
    this.#remember(node, reduction);
    if (node.state !== 'waiting') return;
    node.memo = known ?? { ...reduction, aheadCpuMs: cpuMs };
  }

  #shared({ running }: Peers, reducedName: ObjectName, each: (node: ForceNode) => void): void {
    const others = running.get(reducedName) ?? [];
    running.delete(reducedName);
    for (const other of others) if (other.state === 'running') each(other);
  }

  #again(node: ForceNode): void {
    if (node.state !== 'running') return;
    node.state = transition(node.state, 'again');
    this.#lanes.push(node);
    this.#pump();
  }

  /** The record under the name that has thunks among its inputs: it comes from wherever those came from, too. */
  #remember(node: ForceNode, reduction: Reduction): void {
    let via = joinVia(node.via, viaOf(reduction));
    // One that came along with another has not started yet.
    for (const dep of node.deps) via = joinVia(via, node.peers.nodes.get(dep)?.via ?? NO_VIA);
    const { maker, engine } = reduction.origin ?? { maker: thisMaker(), engine: '' };
    this.#host.store.putReduction({ ...reduction, thunk: node.name, origin: { maker, engine, via } });
  }

  #finish(node: ForceNode, reduction: Reduction, how: 'ran' | 'memoized', cpuMs: number): void {
    node.state = transition(node.state, 'reduced');
    node.via = joinVia(node.via, viaOf(reduction));
    this.#drop(node);
    node.memo = undefined;
    node.memoHit = how === 'memoized';
    node.outputs = reduction.outputs;
    if (reduction.stdout.length > 0) node.stdout = reduction.stdout;
    if (reduction.stderr.length > 0) node.stderr = reduction.stderr;
    node.wallMs = reduction.wallMs;
    const settling = this.#host.reduced(node, how, cpuMs);
    if (!settling) {
      this.#release(node);
      return;
    }
    node.settling = settling.finally(() => {
      node.settling = undefined;
      this.#release(node);
      this.#pump();
    });
  }

  #release(node: ForceNode): void {
    wake(node);
    for (const dependent of takeDependents(node)) {
      if (--dependent.missing === 0 && dependent.state === 'waiting') this.#becomeReady(dependent);
    }
  }

  #fail(first: ForceNode, failure: Failure): void {
    const stack: [ForceNode, Failure][] = [[first, failure]];
    while (stack.length > 0) {
      const [node, why] = stack.pop()!;
      if (node.state !== 'waiting' && node.state !== 'running') continue;
      node.state = transition(node.state, 'fail');
      node.failure = why;
      this.#host.failed(node, why);
      this.#drop(node);
      wake(node);
      for (const dependent of takeDependents(node))
        stack.push([dependent, { kind: 'dependency', on: node.name }]);
    }
  }

  /** Takes back what only this owner asked for and has not started; with `running`, ends what has. */
  cancel(owner: string, options: { readonly running: boolean }): void {
    for (const node of this.#all()) {
      if (!node.owners.has(owner)) continue;
      if (
        node.state !== 'waiting' &&
        node.state !== 'ready' &&
        !(options.running && node.state === 'running')
      )
        continue;
      if (node.owners.size > 1) {
        const others = new Set(node.owners);
        others.delete(owner);
        node.owners = others;
        continue;
      }
      if (node.chain === 'parked') {
        this.#drop(node);
        node.peers.nodes.delete(node.name);
        continue;
      }
      const wasRunning = node.state === 'running';
      const wasReady = node.state === 'ready';
      node.state = transition(node.state, 'cancel');
      this.#drop(node);
      if (wasRunning) this.#aborts.get(node)?.abort();
      else if (wasReady) this.#lanes.remove();
      this.#host.cancelled(node);
      wake(node);
    }
  }

  /** Forgets what is at its end, so that a long-lived server does not grow. */
  forget(): void {
    for (const node of this.#all()) {
      if (
        node.chain === 'parked' ||
        (node.state === 'done' && !node.settling) ||
        node.state === 'failed' ||
        node.state === 'cancelled'
      )
        node.peers.nodes.delete(node.name);
    }
    for (const [key, { nodes, running }] of this.#peers)
      if (nodes.size + running.size === 0) this.#peers.delete(key);
  }

  *#all(): Generator<ForceNode> {
    for (const { nodes } of this.#peers.values()) yield* nodes.values();
  }
}

function wake(node: ForceNode): void {
  const { waiters } = node;
  node.waiters = undefined;
  for (const waiter of waiters ?? []) waiter(node);
}

function takeDependents(node: ForceNode): readonly ForceNode[] {
  const { dependents } = node;
  node.dependents = undefined;
  return dependents ?? [];
}

function unreadable(name: ObjectName, detail: string): Failure {
  return {
    kind: 'engine',
    run: { kind: 'failed', reason: 'missing-blob', detail: `thunk ${name}: ${detail}`, transient: false },
  };
}

/** What stands for the work of a thunk that has never run: the bytes it reads, those named in its command many times over. */
function workBytes(thunk: Thunk): number {
  let bytes = 0;
  const args = new Set<unknown>(thunk.args);
  for (const { path, name } of thunk.inputs)
    if (isValue(name)) bytes += sizeOf(name) * (args.has(path) ? SOURCE_FACTOR : 1);
  return bytes;
}
