// Runs one checked thunk below a root of its own and looks at what it did there.
import { rmSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { ObjectName } from '../../ir/name.ts';
import type { Thunk } from '../../ir/thunk.ts';
import { hashFile } from '../../store/local/local.ts';
import type { ToolchainManifest } from '../../toolchain/manifest.ts';
import type { WorkItem } from '../messages.ts';
import {
  badLog,
  beyondPart,
  failed,
  foreignInput,
  type ItemFailed,
  NAMES_MAX,
  undeclaredMisses,
} from './checks.ts';
import { commandOf, environmentOf, inside, layOut, Refused, scratchOf } from './layout.ts';
import { type ProcessEnd, type ProcessRequest, runProcess } from './process.ts';
import { type Root, RootError } from './root.ts';
import type { Slot, Slots } from './slots.ts';
import { createLog, readLog, type VrootLog } from '../../wire/vroot-log.ts';

/** The loader takes lists apart at these. */
const UNUSABLE_ROOT = /[:\s]/;

export interface RunItemOptions {
  readonly manifest: ToolchainManifest;
  readonly item: WorkItem;
  readonly thunk: Thunk;
  readonly resolveValue: (name: string) => ObjectName;
  readonly pathOf: (name: ObjectName) => string;
  readonly slots: Slots;
  /** The manifest's name. */
  readonly toolchain: ObjectName;
  /** Takes a finished output; the file is moved. */
  readonly keep: (name: ObjectName, absPath: string) => void;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Starts the tool; without it this process does. */
  readonly start?: (request: ProcessRequest) => Promise<ProcessEnd>;
}

export interface ItemRan {
  readonly kind: 'ran';
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly outputs: readonly { readonly tag: string; readonly name: ObjectName }[];
  readonly undeclaredMisses: readonly string[];
  readonly layoutMs: number;
  readonly runMs: number;
  readonly cpuMs: number;
  readonly rssMaxBytes: number;
}

/** Never rejects for what the thunk or the tool is. */
export async function runItem(options: RunItemOptions): Promise<ItemRan | ItemFailed> {
  const bitcode = foreignInput(options.thunk, (input) => options.pathOf(options.resolveValue(input.name)));
  if (bitcode !== undefined)
    return failed('refused', `${bitcode}: LLVM bitcode needs a plugin that is not captured`);
  const started = performance.now();
  try {
    const { slot, outputs } = prepare(options, false);
    let clean = false;
    try {
      const { result, left } = await runIn(slot, outputs, options, started);
      clean = left.length === 0;
      return result;
    } finally {
      options.slots.give(slot, clean);
    }
  } catch (error) {
    if (error instanceof RootError || error instanceof Refused) return failed('refused', error.message);
    throw error;
  }
}

/** A slot with the thunk's files in it. What stands in the way may be an earlier run's directory: then in a fresh one. */
function prepare(
  options: RunItemOptions,
  fresh: boolean,
): { readonly slot: Slot; readonly outputs: ReadonlyMap<string, string> } {
  const slot = options.slots.take(options.toolchain, options.manifest, options.pathOf, fresh);
  try {
    if (UNUSABLE_ROOT.test(slot.directory)) throw new Refused(`${slot.directory} is not usable as a root`);
    const { outputs } = layOut(slot.root, options);
    return { slot, outputs };
  } catch (error) {
    const { used } = slot;
    options.slots.give(slot, false);
    if (error instanceof RootError && used) return prepare(options, true);
    throw error;
  }
}

async function runIn(
  slot: Slot,
  outputs: ReadonlyMap<string, string>,
  options: RunItemOptions,
  started: number,
): Promise<{ readonly result: ItemRan | ItemFailed; readonly left: readonly string[] }> {
  const { manifest, item, thunk } = options;
  const { root } = slot;
  const logPath = join(slot.directory, 'log');
  createLog(logPath);
  const laidOut = performance.now();
  const end = await (options.start ?? runProcess)({
    ...commandOf(root.path, manifest, item, thunk),
    cwd: root.path + item.cwd,
    env: environmentOf(root.path, logPath, manifest, item, thunk),
    timeoutMs: options.timeoutMs,
    signal: options.signal,
  });
  const ran = performance.now();
  const log = readLog(logPath);
  rmSync(logPath);
  // First of all: whatever went wrong may be for want of it.
  const bad =
    beyondPart(log, root, manifest) ??
    badEnd(end, options) ??
    badLog(log, options.thunk) ??
    undeclaredHit(log, root, options);
  const taken: { readonly tag: string; readonly path: string }[] = [];
  const missing: string[] = [];
  for (const output of thunk.outputs) {
    const path = join(slot.directory, `output-${taken.length}`);
    if (root.take(outputs.get(output.tag)!, path)) taken.push({ tag: output.tag, path });
    else missing.push(output.path);
  }
  const left = root.clean(scratchOf(thunk), NAMES_MAX);
  const discard = (result: ItemFailed): { readonly result: ItemFailed; readonly left: readonly string[] } => {
    for (const { path } of taken) rmSync(path, { force: true });
    return { result, left };
  };
  if (bad) return discard(bad);
  if (end.exitCode === 0) {
    if (missing.length > 0) return discard(failed('output-missing', missing[0]!));
    if (left.length > 0)
      return discard(failed('refused', `the tool left ${left[0]}, which the thunk does not declare`));
  } else for (const { path } of taken) rmSync(path, { force: true });
  const result: ItemRan = {
    kind: 'ran',
    exitCode: end.exitCode,
    stdout: end.stdout,
    stderr: end.stderr,
    outputs: (end.exitCode === 0 ? taken : []).map(({ tag, path }) => {
      const name = hashFile(path);
      options.keep(name, path);
      return { tag, name };
    }),
    undeclaredMisses: undeclaredMisses(log, root, options),
    layoutMs: laidOut - started,
    runMs: ran - laidOut,
    cpuMs: log.cpuMs,
    rssMaxBytes: log.rssMaxBytes,
  };
  return { result, left };
}

function badEnd(end: ProcessEnd, options: RunItemOptions): ItemFailed | undefined {
  switch (end.how) {
    case 'exited':
      return undefined;
    case 'signal':
      return failed('signal', `${options.thunk.tool}: ${end.detail}`);
    case 'timeout':
      return failed('timeout', `${options.thunk.tool} ran for ${options.timeoutMs} ms`);
    case 'cancelled':
      return failed('timeout', 'the worker was told to stop');
    case 'printed-too-much':
      return failed('refused', `${options.thunk.tool} printed more than an answer holds`);
    case 'start-failed':
      return failed('start-failed', `${options.item.realTool}: ${end.detail}`);
  }
}

/** It can read only what was laid out or what it wrote; this says so. */
function undeclaredHit(log: VrootLog, root: Root, { thunk }: RunItemOptions): ItemFailed | undefined {
  const scratch = scratchOf(thunk);
  const written = new Set([...log.writes].map((path) => posix.normalize(path)));
  for (const hit of log.hits) {
    const path = posix.normalize(hit);
    if (root.holds(hit) || written.has(path) || scratch.some((directory) => inside(path, directory)))
      continue;
    return failed('refused', `the tool read ${path}, which the thunk does not declare`);
  }
  return undefined;
}
