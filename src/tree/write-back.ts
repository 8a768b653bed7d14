import type { ObjectRef } from '../ir/name.ts';
import { MARK_WITHIN, mayBePlaceholder, readPlaceholder } from '../ir/placeholder.ts';
import { readHead } from '../base/head.ts';
import { tryLstatNs, tryStatNs } from '../base/stat.ts';

export interface PlaceRequest {
  readonly source: string;
  readonly dest: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly sameInode: boolean;
  /** Replace only this inode: whoever put another file there since has the say. */
  readonly inode?: bigint;
}

/** Copies a file into place; the native spawner implements it (Node loses nanoseconds). @returns errno, 0 when done. */
export type Placer = (request: PlaceRequest) => Promise<number>;

/** The placer's answer when another inode stands there. */
export const ESTALE = 116;

export type WritebackResult = 'written' | 'not-there' | { readonly errno: number };

/**
 * @param dest absolute path; `ref` what must stand there.
 * @param sameInode somebody has it open right now (cp and install refuse a replaced file).
 */
export async function writeBack(
  dest: string,
  ref: ObjectRef,
  source: string,
  place: Placer,
  options: { readonly sameInode: boolean },
): Promise<WritebackResult> {
  const link = tryLstatNs(dest);
  if (!link) return 'not-there';
  const stat = link.isSymbolicLink() ? tryStatNs(dest) : link;
  if (!stat?.isFile() || !mayBePlaceholder(Number(stat.size))) return 'not-there';
  const head = readHead(dest, MARK_WITHIN);
  if (!head || readPlaceholder(head) !== ref) return 'not-there';
  const errno = await place({
    source,
    dest,
    mode: Number(stat.mode) & 0o7777,
    mtimeNs: stat.mtimeNs,
    sameInode: options.sameInode || stat.nlink > 1n || link.isSymbolicLink(),
    inode: stat.ino,
  });
  if (errno === ESTALE) return 'not-there';
  return errno === 0 ? 'written' : { errno };
}
