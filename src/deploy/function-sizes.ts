// The functions a deployment has, smallest first; the engine and `gg deploy lambda` agree on them here.

export interface FunctionSize {
  readonly name: string;
  readonly memoryMb: number;
  readonly purpose: string;
}

/** 1,769 MB is one vCPU; 3,008 is the most a new account gets. */
export function functionSizes(prefix: string): readonly FunctionSize[] {
  return [
    { name: `${prefix}-compile`, memoryMb: 1769, purpose: 'compiles: one thunk keeps one vCPU busy' },
    {
      name: `${prefix}-link`,
      memoryMb: 3008,
      purpose: 'links, archives, and compiles that ran out of memory',
    },
  ];
}
