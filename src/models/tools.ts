// The names the shim stands in for.

const FIXED = [
  'gcc',
  'g++',
  'cc',
  'c++',
  'cpp',
  'ld',
  'ar',
  'ranlib',
  'strip',
  'nm',
  'objcopy',
  'objdump',
  'readelf',
  'size',
] as const;

/** Versioned and target-prefixed names, and the variants of the linker and of gcc's binutils wrappers. */
const VARIANT =
  /^(?:[a-z0-9_]+(?:-[a-z0-9_.]+){1,3}-)?(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|gcc-ar|gcc-ranlib|gcc-nm|ld|ld\.bfd|ld\.gold|ld\.lld|ar|ranlib|strip|nm|objcopy|objdump|readelf|size|nasm)(?:-[0-9]+(?:\.[0-9]+)*)?$/;

/** Names that lead to the shim without standing on PATH in front of the tool, and the shim's other programs. */
export const OWN_NAMES = [
  'gg-cc',
  'gg-c++',
  'gg-ld',
  'gg-ar',
  'gg-ranlib',
  'gg-strip',
  'gg-nm',
  'gg-run',
  'gg-server-start',
] as const;

/** @param onPath names of programs that exist on PATH. */
export function shimNames(onPath: Iterable<string>): string[] {
  const names = new Set<string>(FIXED);
  for (const name of onPath) if (VARIANT.test(name)) names.add(name);
  return [...names].sort();
}
