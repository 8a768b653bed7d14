/** Ends an exhaustive switch; reached only by a bug. */
export function unreachable(value: never): never {
  throw new Error(`unexpected ${JSON.stringify(value)}`);
}
