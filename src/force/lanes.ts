// Who may run how much: each session has a lane with a limit of its own; whoever has none shares the common one. A node stands in
// the lanes of all its owners and is taken by the first that has room; that lane pays for it.
import type { ForceNode } from './node.ts';
import { ReadyQueue } from './ready-queue.ts';

export interface Lane {
  /** The session; '' for the common lane. */
  readonly owner: string;
  /** Thunks run at once for it, at most. */
  jobs: number;
  running: number;
  readonly queue: ReadyQueue;
}

const lane = (owner: string, jobs: number): Lane => ({ owner, jobs, running: 0, queue: new ReadyQueue() });

export class Lanes {
  readonly #common: Lane;
  readonly #byOwner = new Map<string, Lane>();
  /** Each once, the common one among them. */
  #all: readonly Lane[];
  #turn = 0;
  #ready = 0;

  constructor(commonJobs: number) {
    this.#common = lane('', commonJobs);
    this.#all = [this.#common];
  }

  /** Nodes that can run and do not. */
  get ready(): number {
    return this.#ready;
  }

  /** Gives an owner a lane, or another limit to the one it has. `also`: owners that stand in the same. */
  open(owner: string, jobs: number, also: readonly string[]): void {
    const known = this.#byOwner.get(owner);
    if (known) known.jobs = jobs;
    else this.#all = [...this.#all, lane(owner, jobs)];
    const own = known ?? this.#all.at(-1)!;
    for (const name of [owner, ...also]) this.#byOwner.set(name, own);
  }

  /** What stands in it only is to be cancelled before; what runs goes on and counts for nobody else. */
  close(owner: string): void {
    const gone = this.#byOwner.get(owner);
    if (!gone) return;
    for (const [name, own] of this.#byOwner) if (own === gone) this.#byOwner.delete(name);
    this.#all = this.#all.filter((l) => l !== gone);
  }

  #of(owner: string): Lane {
    return this.#byOwner.get(owner) ?? this.#common;
  }

  #lanesOf(node: ForceNode): Set<Lane> {
    const lanes = new Set<Lane>();
    for (const owner of node.owners) lanes.add(this.#of(owner));
    return lanes;
  }

  /** A node that has become ready. */
  push(node: ForceNode): void {
    this.#ready++;
    for (const { queue } of this.#lanesOf(node)) queue.push(node);
  }

  /** A ready node has become urgent, heavier or somebody else's too: it stands anew, its old places are passed over. */
  again(node: ForceNode): void {
    for (const { queue } of this.#lanesOf(node)) queue.push(node);
  }

  /** A ready node that is not wanted any more. */
  remove(): void {
    this.#ready--;
  }

  /** The next node that may run; lanes take turns. The caller changes its state before it asks again. */
  take(): { readonly node: ForceNode; readonly lane: Lane } | undefined {
    for (let tried = 0; tried < this.#all.length; tried++) {
      const at = this.#turn++ % this.#all.length;
      const own = this.#all[at]!;
      if (own.running >= own.jobs) continue;
      const node = own.queue.shift((n) => n.state === 'ready' && this.isIn(n, own));
      if (!node) continue;
      this.#ready--;
      return { node, lane: own };
    }
    return undefined;
  }

  /** Does it stand in this lane, whether or not it is ready? */
  isIn(node: ForceNode, own: Lane): boolean {
    for (const owner of node.owners) if (this.#of(owner) === own) return true;
    return false;
  }
}
