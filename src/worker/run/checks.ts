// What is looked at before a run's result is believed, from the log of its virtual root. Workers do it for themselves; the client of a cluster
// without workers of ours does it with what came back.
import { closeSync, openSync, readSync } from 'node:fs';
import { basename, posix } from 'node:path';
import { CLOCK_UNUSED, type Thunk } from '../../ir/thunk.ts';
import type { ToolchainManifest } from '../../toolchain/manifest.ts';
import type { VrootLog } from '../../wire/vroot-log.ts';
import type { WorkFailedReason, WorkItem } from '../messages.ts';
import { absolute, inside, scratchOf } from './layout.ts';

/** Misses and undeclared names handed back; beyond that the thunk is plainly wrong. */
export const NAMES_MAX = 1000;

/** A tree as it was laid out for a run: what stood below its root before the tool began. */
export interface LaidOut {
  /** Is what a name leads to part of it? */
  holds(path: string): boolean;
  /** Where a name leads by the symlinks of the tree, whether or not something is there. */
  canonical(path: string): string;
}

export interface CheckedRun {
  readonly manifest: ToolchainManifest;
  readonly item: WorkItem;
  readonly thunk: Thunk;
}

export interface ItemFailed {
  readonly kind: 'failed';
  readonly reason: WorkFailedReason;
  readonly detail: string;
}

export const failed = (reason: WorkFailedReason, detail: string): ItemFailed => ({
  kind: 'failed',
  reason,
  detail,
});

/** Ends that the log tells of and the exit code does not. */
export function badLog(log: VrootLog, thunk: Thunk): ItemFailed | undefined {
  if (log.overflown) return failed('refused', 'more lookups than the log holds');
  const [program] = log.statics;
  if (program !== undefined) return failed('refused', `${program} is static; nothing could watch it`);
  if (log.askedTime && !thunk.salt.includes(CLOCK_UNUSED))
    return failed('refused', 'the tool asked for the time of day');
  return undefined;
}

/** Something of the toolchain that this part of it lacks was looked for, by whatever name. What the thunk itself brings is there. */
export function beyondPart(
  log: VrootLog,
  root: LaidOut,
  { omitted }: ToolchainManifest,
): ItemFailed | undefined {
  if (omitted.length === 0) return undefined;
  const absent = new Set(omitted);
  for (const names of [log.misses, log.hits, log.writes])
    for (const name of names)
      if ((absent.has(posix.normalize(name)) || absent.has(root.canonical(name))) && !root.holds(name))
        return failed('toolchain-part', name);
  return log.overflown ? failed('toolchain-part', 'more lookups than the log holds') : undefined;
}

/** Is that the run's own business? Projects may lie in /tmp too; their directories are known. */
export function isTemporary(path: string, scratch: readonly string[], root: LaidOut): boolean {
  return scratch.some((directory) => {
    if (!inside(path, directory)) return false;
    const [first] = path.slice(directory.length + 1).split('/');
    return first === '' || !root.holds(`${directory}/${first}`);
  });
}

/** Programs that load the plugins beside them to look into objects. */
const READS_OBJECTS = /(?:^|-)(?:ar|ranlib|nm|strip|objcopy|ld(?:\.bfd|\.gold)?)(?:-[0-9.]+)?$/;

/** @param pathOf the file that holds an input's value
 * @returns an input that only LLVM's plugin can read */
export function foreignInput(
  thunk: Thunk,
  pathOf: (input: Thunk['inputs'][number]) => string,
): string | undefined {
  if (!READS_OBJECTS.test(thunk.tool)) return undefined;
  const head = Buffer.alloc(4);
  return thunk.inputs.find((input) => {
    const fd = openSync(pathOf(input), 'r');
    try {
      return readSync(fd, head, 0, 4, 0) === 4 && ['4243c0de', 'dec0170b'].includes(head.toString('hex'));
    } finally {
      closeSync(fd);
    }
  })?.path;
}

/** The toolchain's digest covers which of these a driver finds. */
const OWN_PARTS =
  /^(?:[a-z0-9_]+(?:-[a-z0-9_.]+){1,3}-)?(?:specs|as|ld|ld\.(?:bfd|gold|lld|mold)|real-ld|real-gold|collect-ld|collect2|cc1|cc1plus|lto1|lto-wrapper|g?nm|g?strip|gcc-nm|gcc-strip|liblto_plugin\.so|ld\.so\.cache|bfd-plugins)$/;

/** Looked up in vain, not declared absent, and none of the toolchain's business: the client must not have it either. */
export function undeclaredMisses(
  log: VrootLog,
  root: LaidOut,
  { thunk, item, manifest }: CheckedRun,
): string[] {
  const known = new Set(thunk.absent.map((path) => absolute(item, path)));
  for (const output of thunk.outputs) known.add(absolute(item, output.path));
  const scratch = scratchOf(thunk);
  // lto-wrapper runs partitions one after the other where there is no make, with the same result.
  const tools = new Set(
    item.searchPath.split(':').flatMap((directory) => [`${directory}/${thunk.tool}`, `${directory}/make`]),
  );
  const covered = (path: string): boolean => {
    for (let at = path; at !== '/' && at !== '.'; at = posix.dirname(at)) if (known.has(at)) return true;
    return isTemporary(path, scratch, root);
  };
  const found = new Set<string>();
  for (const miss of log.misses) {
    const path = posix.normalize(miss);
    if (found.size >= NAMES_MAX) break;
    if (covered(path) || OWN_PARTS.test(basename(path)) || tools.has(path)) continue;
    if (manifest.files.some(([file]) => file === path)) continue;
    found.add(path);
  }
  return [...found];
}
