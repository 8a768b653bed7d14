import { closeSync, openSync, readSync } from 'node:fs';

/** The first bytes of a file; undefined when it cannot be read. */
export function readHead(absPath: string, bytesMax: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(absPath, 'r');
  } catch {
    return undefined;
  }
  try {
    const head = Buffer.alloc(bytesMax);
    return head.subarray(0, readSync(fd, head, 0, bytesMax, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
