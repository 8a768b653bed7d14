import { setFlagsFromString } from 'node:v8';

/**
 * Node's flags for the session server; wrappers/shim.c, which starts it, has them too. A small young generation keeps a graph
 * of 10,000 thunks below 150 MB and costs nothing measurable.
 */
export const SERVER_NODE_FLAGS = ['--max-semi-space-size=8'] as const;

/** Percent the heap may grow over what was in use after a collection, before the next. */
const HEAP_GROWTH_PERCENT = 20;

/**
 * V8 lets a heap of this size double before it looks again, and a graph of 100,000 thunks is mostly what was read and is no longer
 * needed: collect earlier. Set from within: a flag of V8's own on the command line would keep another Node from starting.
 */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
}
