// What of a captured toolchain one kind of call needs. A cold worker fetches that and nothing else. What a part leaves out is
// named in its manifest (`omitted`): a run that looks for one of those files is not used, and is repeated with the whole.
import { basename } from 'node:path';
import type { ObjectName } from '../ir/name.ts';
import type { Thunk } from '../ir/thunk.ts';
import type { Captured } from './capture.ts';
import { loaderView } from './elf.ts';
import type { ToolchainManifest } from './manifest.ts';

export type Part = 'c' | 'c++' | 'link' | 'link-lto';

/** Names of programs a driver starts; a cross compiler's have its triple before them. */
const named = (names: string): RegExp => new RegExp(`(?:^|-)(?:${names})$`);
const LINKING = 'lto1|lto-wrapper|collect2|ld|ld\\.bfd|ld\\.gold|objcopy|liblto_plugin\\.so';
/** Whatever loads plugins or lists directories keeps all that it could find there. */
const LEFT_OUT: Readonly<Record<Part, RegExp>> = {
  c: named(`cc1plus|${LINKING}`),
  'c++': named(`cc1|${LINKING}`),
  link: named('cc1|cc1plus|lto1'),
  'link-lto': named('cc1|cc1plus'),
};

/** libc opens it by its bare name when a thread is cancelled: no header names it, and no note is left. */
const LOADED_UNSEEN = /^libgcc_s\./;

const DRIVER = /(?:^|-)(?:gcc|cc|(g\+\+|c\+\+))(?:-[0-9.]+)?$/;
const SOURCE = /\.(?:(c|i|s|S|sx)|(cc|cp|cpp|cxx|CPP|c\+\+|C|ii))$/;
const OTHER_SOURCE =
  /\.(?:h|hh|H|hp|hpp|hxx|h\+\+|tcc|m|mi|mm|mii|M|f|for|ftn|F|FOR|f90|f95|F90|go|d|ads|adb)$/;

/** The part a call will most likely do with; undefined: the whole. A wrong guess costs a run and changes nothing. */
export function partOf(thunk: Thunk, stage: string): Part | undefined {
  const driver = DRIVER.exec(thunk.tool);
  if (!driver) return undefined;
  const words = thunk.args.filter((arg) => typeof arg === 'string');
  if (words.some((word) => word.startsWith('-x') || word.startsWith('-fplugin'))) return undefined;
  let c = false;
  let cxx = false;
  for (const word of words) {
    if (word.startsWith('-')) continue;
    if (OTHER_SOURCE.test(word)) return undefined;
    const source = SOURCE.exec(word);
    if (source?.[2] !== undefined || (driver[1] !== undefined && /^[ci]$/.test(source?.[1] ?? '')))
      cxx = true;
    else if (source) c = true;
  }
  switch (stage) {
    case 'preprocess':
    case 'compile':
    case 'assemble':
      return c === cxx ? undefined : c ? 'c' : 'c++';
    case 'link':
      if (c || cxx) return undefined;
      return words.some((word) => word.startsWith('-flto')) ? 'link-lto' : 'link';
    default:
      return undefined;
  }
}

/** The manifest of a part: without the programs above and the libraries that only they need. */
export function manifestOf(captured: Captured, part: Part): ToolchainManifest {
  const { manifest, pathByName } = captured;
  const leftOut = new Set<string>();
  for (const [path] of manifest.files) if (LEFT_OUT[part].test(basename(path))) leftOut.add(path);
  const kept = manifest.files.filter(([path]) => !leftOut.has(path));
  const dropped = manifest.files.filter(([path]) => leftOut.has(path));
  const needed = neededBy(kept, manifest, pathByName);
  for (const path of neededBy(dropped, manifest, pathByName))
    if (!needed.has(path) && path !== manifest.loader && !LOADED_UNSEEN.test(basename(path)))
      leftOut.add(path);
  const files = manifest.files.filter(([path]) => !leftOut.has(path));
  return { ...manifest, files, omitted: [...leftOut].sort() };
}

/** Paths of the libraries that files need and what these need, not the files themselves. */
function neededBy(
  files: ToolchainManifest['files'],
  manifest: ToolchainManifest,
  pathByName: ReadonlyMap<ObjectName, string>,
): Set<string> {
  const links = new Map(manifest.links.map(([path, target]) => [basename(path), basename(target)]));
  const byName = new Map<string, (typeof files)[number][]>();
  for (const file of manifest.files)
    byName.set(basename(file[0]), [...(byName.get(basename(file[0])) ?? []), file]);
  const programs = files.filter(([path]) => !/\.so(?:\.|$)/.test(basename(path)) || /plugin/.test(path));
  const found = new Set<string>();
  const queue = [...programs];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const source = pathByName.get(next[1]);
    for (const name of (source !== undefined && loaderView(source)?.needed) || []) {
      let at = name;
      for (let hops = 0; !byName.has(at) && links.has(at) && hops < 8; hops++) at = links.get(at)!;
      for (const library of byName.get(at) ?? []) {
        if (found.has(library[0])) continue;
        found.add(library[0]);
        queue.push(library);
      }
    }
  }
  return found;
}
