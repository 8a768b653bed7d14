// From a thunk to its tree: which blobs lie where, and the checks that come before anything is made.
import { posix } from 'node:path';
import { nameThunk, type ObjectName } from '../../ir/name.ts';
import { BadThunkError, decodeThunk, type Thunk } from '../../ir/thunk.ts';
import { isPlainPath, type ToolchainManifest, VROOT_PATH } from '../../toolchain/manifest.ts';
import type { WorkItem } from '../messages.ts';
import type { Root } from './root.ts';

/** The request asks for something a worker must not do. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export const TEMPORARY = '/tmp';
const HOPS_MAX = 40;
const LOCALES = '/usr/lib/locale';

/** Decodes and checks an item. @throws Refused */
export function checkItem(item: WorkItem, manifest: ToolchainManifest): Thunk {
  const bytes = Buffer.from(item.thunk);
  if (nameThunk(bytes) !== item.name) throw new Refused(`the thunk's bytes do not hash to ${item.name}`);
  let thunk: Thunk;
  try {
    thunk = decodeThunk(bytes);
  } catch (error) {
    if (error instanceof BadThunkError) throw new Refused(`${error.reason}: ${error.message}`);
    throw error;
  }
  if (thunk.toolchain !== manifest.digest)
    throw new Refused(`the thunk needs toolchain ${thunk.toolchain}, the request brings ${manifest.digest}`);
  if (item.cwd !== '/' && !isPlainPath(item.cwd)) throw new Refused(`bad working directory ${item.cwd}`);
  if (thunk.cwd !== '' && thunk.cwd !== item.cwd)
    throw new Refused(`the thunk is for ${thunk.cwd}, the request for ${item.cwd}`);
  const tool = isPlainPath(item.realTool) ? resolveLinks(manifest, item.realTool) : undefined;
  if (!manifest.files.some(([path]) => path === tool))
    throw new Refused(`the tool ${item.realTool} is no part of the toolchain`);
  const tags = new Set<string>();
  const paths = new Set<string>();
  for (const output of thunk.outputs) {
    if (output.path.split('/').includes('..'))
      throw new Refused(`output ${output.path} has ".." in its name`);
    if (/^$|\/$|\0/.test(output.path)) throw new Refused(`output "${output.path}" names no file`);
    const path = absolute(item, output.path);
    if (tags.has(output.tag) || paths.has(path)) throw new Refused(`output ${output.path} is declared twice`);
    if (inside(path, '/.gg') || inside(path, '/dev') || inside(path, '/proc'))
      throw new Refused(`output ${output.path} is outside of the tree`);
    tags.add(output.tag);
    paths.add(path);
    if (output.from !== undefined && !thunk.inputs.some((i) => i.path === output.from))
      throw new Refused(`output ${output.path} starts as ${output.from}, which is no input`);
  }
  for (const arg of thunk.args)
    if (typeof arg !== 'string' && !tags.has(arg.output))
      throw new Refused(`the command writes ${arg.output}, which the thunk does not declare`);
  for (const input of thunk.inputs)
    if (/^$|\0/.test(input.path)) throw new Refused('an input without a name');
  return thunk;
}

export function inside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** Where a path of the item leads, "." and ".." taken away. */
export function absolute(item: WorkItem, path: string): string {
  return posix.normalize(path.startsWith('/') ? path : `${item.cwd}/${path}`);
}

/** Absolute, but spelled as it is. */
export function spelled(item: WorkItem, path: string): string {
  return path.startsWith('/') ? path : `${item.cwd}/${path}`;
}

/** Directories in which the run may leave what it likes. */
export function scratchOf(thunk: Thunk): string[] {
  const own = thunk.env.find(([name]) => name === 'TMPDIR')?.[1];
  return own !== undefined && isPlainPath(own) && own !== TEMPORARY ? [TEMPORARY, own] : [TEMPORARY];
}

/** Input path to the class of its mtime: those of one class share one. */
export function mtimeClasses(thunk: Thunk): Map<string, number> {
  const classes = new Map<string, number>();
  for (const salt of thunk.salt) {
    const m = /^mtime-class:(\d{1,9}):(.*)$/s.exec(salt);
    if (m) classes.set(m[2]!, Number(m[1]));
  }
  return classes;
}

export interface Layout {
  readonly root: Root;
  /** Output tag to its place in the root. */
  readonly outputs: ReadonlyMap<string, string>;
}

export interface LayoutOptions {
  readonly item: WorkItem;
  readonly thunk: Thunk;
  /** Values of the inputs, by the name the thunk has for them. */
  readonly resolveValue: (name: string) => ObjectName;
  readonly pathOf: (name: ObjectName) => string;
}

/**
 * Adds a thunk's files to a root that holds its toolchain.
 * @throws RootError when two things want one place; the root is not to be used any more.
 */
export function layOut(root: Root, options: LayoutOptions): Layout {
  const { item, thunk, resolveValue, pathOf } = options;
  root.directory(item.cwd);
  for (const path of scratchOf(thunk)) root.directory(path);
  const classes = mtimeClasses(thunk);
  const rewritten = new Set(
    thunk.outputs.flatMap((o) => (o.from === undefined ? [] : absolute(item, o.path))),
  );
  for (const input of thunk.inputs) {
    if (rewritten.has(absolute(item, input.path))) continue;
    const name = resolveValue(input.name);
    root.file(spelled(item, input.path), name, pathOf(name), classes.get(input.path));
  }
  // The directories in which names were looked up in vain: without them the tool would not look there at all.
  const absent = new Set(thunk.absent.map((path) => absolute(item, path)));
  for (const path of absent) {
    const directory = posix.dirname(path);
    if (!absent.has(directory) && directory !== '/') tryDirectory(root, directory);
  }
  const outputs = new Map<string, string>();
  for (const output of thunk.outputs) {
    const from = output.from === undefined ? undefined : thunk.inputs.find((i) => i.path === output.from);
    outputs.set(output.tag, root.output(spelled(item, output.path), from && pathOf(resolveValue(from.name))));
  }
  return { root, outputs };
}

/** Not where a file stands in the way: then the lookup fails there as it did. */
function tryDirectory(root: Root, directory: string): void {
  for (let at = directory; at !== '/'; at = posix.dirname(at)) if (root.isFile(at)) return;
  root.directory(directory);
}

/** The loader's command line for an item. */
export function commandOf(
  rootPath: string,
  manifest: ToolchainManifest,
  item: WorkItem,
  thunk: Thunk,
): { readonly file: string; readonly args: string[] } {
  const pathByTag = new Map(thunk.outputs.map((o) => [o.tag, o.path]));
  return {
    file: rootPath + manifest.loader,
    args: [
      '--inhibit-cache',
      '--library-path',
      manifest.libraryPath.map((d) => rootPath + d).join(':'),
      '--preload',
      rootPath + VROOT_PATH,
      '--argv0',
      argumentZero(manifest, item, thunk),
      rootPath + item.realTool,
      ...thunk.args.map((a) => (typeof a === 'string' ? a : a.prefix + pathByTag.get(a.output))),
    ],
  };
}

/** Where a plain path leads by the toolchain's symlinks. */
function resolveLinks(manifest: ToolchainManifest, path: string, hops = 0): string {
  for (const [link, target] of hops < HOPS_MAX ? manifest.links : [])
    if (inside(path, link))
      return resolveLinks(
        manifest,
        posix.resolve(posix.dirname(link), target) + path.slice(link.length),
        hops + 1,
      );
  return path;
}

/** A bare name where the search path leads to the tool, its whole name elsewhere: gcc finds its parts by it. */
function argumentZero(manifest: ToolchainManifest, item: WorkItem, thunk: Thunk): string {
  const there = new Set([...manifest.links.map(([p]) => p), ...manifest.files.map(([p]) => p)]);
  for (const directory of item.searchPath.split(':')) {
    const path = `${directory}/${thunk.tool}`;
    if (path === item.realTool) return thunk.tool;
    if (there.has(path))
      return resolveLinks(manifest, path) === resolveLinks(manifest, item.realTool)
        ? thunk.tool
        : item.realTool;
  }
  return item.realTool;
}

export function environmentOf(
  rootPath: string,
  logPath: string,
  manifest: ToolchainManifest,
  item: WorkItem,
  thunk: Thunk,
): Record<string, string> {
  // Chance and the clock are functions of the thunk, so that twins agree; different sources get different ones.
  const hash = item.name.slice(1, 17);
  const env: Record<string, string> = {
    PATH: item.searchPath,
    ...Object.fromEntries(thunk.env),
    GG_VROOT_LOG: logPath,
    GG_VROOT_SEED: hash,
    GG_VROOT_TIME: String(1_500_000_000 + (Number.parseInt(hash.slice(0, 7), 16) >>> 0)),
  };
  if (manifest.files.some(([path]) => inside(path, LOCALES))) env['LOCPATH'] = rootPath + LOCALES;
  return env;
}
