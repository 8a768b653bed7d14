// Symlinks of a tree that lies below a virtual root.

/** What the text of an absolute symlink starts with below a root; wrappers/vroot.c reads it back. */
const ABSOLUTE_MARK = '././';

/** Symlinks followed for one name. */
export const HOPS_MAX = 40;

export const pathParts = (path: string): string[] => path.split('/').filter((p) => p !== '' && p !== '.');

/**
 * The text of a symlink as it is laid out: it never leads out of the root.
 * @param depth directories between the root and the link
 */
export function linkText(target: string, depth: number): string {
  const up = '../'.repeat(depth);
  if (target.startsWith('/')) return `${ABSOLUTE_MARK}${up}${target.slice(1)}`;
  const climbs = target.split('/').filter((p) => p === '..').length;
  return climbs > depth ? `${up}${pathParts(target).slice(climbs).join('/')}` : target;
}
