// ninja's idea of one name per file: purely textual, symbolic links are not looked at.

const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * Drops ".", empty components and "name/..", keeps leading "..". The quirks are ninja's: "/" and "/a/.." become "",
 * "/../a" stays, a path without components is ".".
 */
export function canonicalize(path: string): string {
  if (isCanonical(path)) return path;
  if (path === '') return path;
  const absolute = path.charCodeAt(0) === SLASH;
  const kept: string[] = [];
  // Components that a later ".." may remove; leading ".." do not count.
  let removable = 0;
  for (const component of path.split('/')) {
    if (component === '' || component === '.') continue;
    if (component !== '..') {
      kept.push(component);
      removable++;
    } else if (removable > 0) {
      kept.pop();
      removable--;
    } else {
      kept.push('..');
    }
  }
  if (absolute) return kept.length === 0 ? '' : `/${kept.join('/')}`;
  return kept.length === 0 ? '.' : kept.join('/');
}

/** True for the common case: no component is empty, "." or "..". */
function isCanonical(path: string): boolean {
  if (path.length === 0 || path.charCodeAt(path.length - 1) === SLASH) return false;
  let atStart = true;
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === SLASH) {
      if (atStart && i > 0) return false;
      atStart = true;
    } else {
      if (atStart && c === DOT && isDots(path, i)) return false;
      atStart = false;
    }
  }
  return true;
}

/** Is the component at `at`, which begins with a dot, "." or ".."? */
function isDots(path: string, at: number): boolean {
  const next = path.charCodeAt(at + 1);
  if (Number.isNaN(next) || next === SLASH) return true;
  if (next !== DOT) return false;
  const after = path.charCodeAt(at + 2);
  return Number.isNaN(after) || after === SLASH;
}
