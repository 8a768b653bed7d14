import type { ObjectRef } from '../ir/name.ts';
import { MARK_WITHIN, mayBePlaceholder, readPlaceholder } from '../ir/placeholder.ts';
import { readHead } from '../base/head.ts';
import { tryStat } from '../base/stat.ts';

/** The thunk output a file stands for; undefined for anything that is no placeholder. */
export function placeholderAt(absPath: string): ObjectRef | undefined {
  const stat = tryStat(absPath);
  if (!stat?.isFile() || !mayBePlaceholder(stat.size)) return undefined;
  const head = readHead(absPath, MARK_WITHIN);
  return head ? readPlaceholder(head) : undefined;
}

/** An absolute path as the system would resolve it: spelled as typed, never normalised (`a/../b` may cross a symlink). */
export function absolute(cwd: string, path: string): string {
  return path.startsWith('/') ? path : `${cwd}/${path}`;
}
