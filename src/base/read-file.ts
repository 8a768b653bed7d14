import { readFileSync } from 'node:fs';

/** Bytes of a file, undefined when it cannot be read. */
export function readFileOrUndefined(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
