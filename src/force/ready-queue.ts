// Nodes that can run: urgent ones first (a build stands still for them), then those expected to take longest, so that no long
// one starts last and keeps everybody waiting; equals in the order they became ready. Removal is lazy: a node that is no longer
// ready is passed over when its turn comes.
import type { ForceNode } from './node.ts';

class Fifo {
  #items: ForceNode[] = [];
  #head = 0;

  push(node: ForceNode): void {
    this.#items.push(node);
  }

  shift(): ForceNode | undefined {
    const node = this.#items[this.#head++];
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (node === undefined) {
      this.#items = [];
      this.#head = 0;
    }
    return node;
  }
}

interface Entry {
  readonly node: ForceNode;
  readonly weight: number;
  readonly order: number;
}

/** The heaviest first, of equals the oldest. */
class Heaviest {
  readonly #heap: Entry[] = [];
  #order = 0;

  push(node: ForceNode): void {
    const heap = this.#heap;
    const entry = { node, weight: node.weight, order: this.#order++ };
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!goesFirst(entry, heap[up]!)) break;
      heap[at] = heap[up]!;
      at = up;
    }
    heap[at] = entry;
  }

  shift(): ForceNode | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first?.node;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && goesFirst(heap[child + 1]!, heap[child]!)) child++;
      if (!goesFirst(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first.node;
  }
}

function goesFirst(a: Entry, b: Entry): boolean {
  return a.weight > b.weight || (a.weight === b.weight && a.order < b.order);
}

export class ReadyQueue {
  readonly #urgent = new Fifo();
  readonly #normal = new Heaviest();

  push(node: ForceNode): void {
    (node.urgent ? this.#urgent : this.#normal).push(node);
  }

  /** The next node that is still `wanted`; the others are gone from this queue. */
  shift(wanted: (node: ForceNode) => boolean): ForceNode | undefined {
    for (const queue of [this.#urgent, this.#normal])
      for (let node = queue.shift(); node !== undefined; node = queue.shift()) if (wanted(node)) return node;
    return undefined;
  }
}
