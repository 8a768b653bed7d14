/**
 * Node's flags for the session server; wrappers/shim.c, which starts it, has them too. A small young generation keeps a graph
 * of 10,000 thunks below 150 MB and costs nothing measurable.
 */
export const SERVER_NODE_FLAGS = ['--max-semi-space-size=8'] as const;
