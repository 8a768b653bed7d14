// Nodes that can run: urgent ones first (a build stands still for them), then in the order they became ready.
// Removal is lazy: a node that is no longer ready is passed over when its turn comes.
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

export class ReadyQueue {
  readonly #urgent = new Fifo();
  readonly #normal = new Fifo();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(node: ForceNode): void {
    (node.urgent ? this.#urgent : this.#normal).push(node);
    this.#length++;
  }

  /** Brings a queued node to the front; its first place is passed over later. */
  raise(node: ForceNode): void {
    this.#urgent.push(node);
  }

  remove(_node: ForceNode): void {
    this.#length--;
  }

  shift(): ForceNode | undefined {
    for (const fifo of [this.#urgent, this.#normal]) {
      for (let node = fifo.shift(); node !== undefined; node = fifo.shift()) {
        if (node.state !== 'ready') continue;
        this.#length--;
        return node;
      }
    }
    return undefined;
  }
}
