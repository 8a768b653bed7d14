// Reads what came over the network into the shapes of messages.ts, or says why not. Both sides use it; nothing of the other
// side is believed.
import { isThunk, nameThunk, type ObjectName, parseRef } from '../ir/name.ts';
import { BadThunkError, decodeThunk, type Thunk } from '../ir/thunk.ts';
import type { PackHints } from '../store/remote/packs/packs.ts';
import type { RemoteAddress } from '../store/remote/remote.ts';
import {
  WORKER_PROTOCOL,
  type WorkDone,
  type WorkFailed,
  type WorkFailedReason,
  type WorkItem,
  type WorkOutput,
  type WorkRequest,
  type WorkResponse,
} from './messages.ts';

/** A message that is not to be acted on; the text says what is wrong with it. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

const ITEMS_MAX = 256;
const PATH_BYTES_MAX = 4096;
const TIMEOUT_MS_MAX = 15 * 60_000;

type Raw = Readonly<Record<string, unknown>>;

function object(value: unknown, what: string): Raw {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RefusedError(`${what} is not an object`);
  return value as Raw;
}

function text(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new RefusedError(`${what} is not text`);
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new RefusedError(`${what} is not a number`);
  return value;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new RefusedError(`${what} is not a list`);
  return value;
}

function valueName(value: unknown, what: string): ObjectName {
  const ref = typeof value === 'string' ? parseRef(value) : undefined;
  if (ref?.type !== 'V') throw new RefusedError(`${what} is not the name of a value`);
  return value as ObjectName;
}

function thunkName(value: unknown, what: string): ObjectName {
  const ref = typeof value === 'string' ? parseRef(value) : undefined;
  if (ref?.type !== 'T' || ref.tag !== undefined)
    throw new RefusedError(`${what} is not the name of a thunk`);
  return value as ObjectName;
}

function absolutePath(value: unknown, what: string): string {
  const path = text(value, what);
  if (!path.startsWith('/') || path.includes('\0') || path.length > PATH_BYTES_MAX)
    throw new RefusedError(`${what} is not an absolute path: ${JSON.stringify(path.slice(0, 200))}`);
  return path;
}

/** True when `path`, read from `cwd`, leaves the root on its way. */
export function climbsOut(cwd: string, path: string): boolean {
  let depth = 0;
  for (const part of (path.startsWith('/') ? path : `${cwd}/${path}`).split('/')) {
    if (part === '' || part === '.') continue;
    depth += part === '..' ? -1 : 1;
    if (depth < 0) return true;
  }
  return false;
}

function remoteAddress(value: unknown): RemoteAddress {
  const raw = object(value, 'remote');
  const prefix = text(raw['prefix'], 'remote.prefix');
  switch (raw['kind']) {
    case 's3':
      return {
        kind: 's3',
        bucket: text(raw['bucket'], 'remote.bucket'),
        prefix,
        region: text(raw['region'], 'remote.region'),
        ...(raw['endpoint'] === undefined ? {} : { endpoint: text(raw['endpoint'], 'remote.endpoint') }),
      };
    case 'redis':
      return { kind: 'redis', url: text(raw['url'], 'remote.url'), prefix };
    default:
      throw new RefusedError(`remote.kind ${JSON.stringify(raw['kind'])} is not known`);
  }
}

function packHints(value: unknown): PackHints {
  const packs: Record<string, Record<string, number>> = {};
  for (const [pack, places] of Object.entries(object(value, 'packs'))) {
    const read: Record<string, number> = {};
    for (const [print, offset] of Object.entries(object(places, 'a pack’s places')))
      read[print] = number(offset, 'a place');
    packs[pack] = read;
  }
  return packs;
}

export interface ReadItem {
  readonly item: WorkItem;
  readonly thunk: Thunk;
}

function workItem(value: unknown, before: ReadonlyMap<ObjectName, Thunk>): ReadItem {
  const raw = object(value, 'an item');
  const name = text(raw['name'], 'an item’s name');
  const source = text(raw['thunk'], 'an item’s thunk');
  const bytes = Buffer.from(source);
  if (parseRef(name)?.type !== 'T' || nameThunk(bytes) !== name)
    throw new RefusedError(`the thunk ${name.slice(0, 100)} does not have the hash it is named by`);
  let thunk: Thunk;
  try {
    thunk = decodeThunk(bytes);
  } catch (error) {
    if (error instanceof BadThunkError) throw new RefusedError(`thunk ${name}: ${error.message}`);
    throw error;
  }
  const cwd = absolutePath(raw['cwd'], 'cwd');
  for (const output of thunk.outputs) {
    if (output.path === '' || output.path.includes('\0') || climbsOut(cwd, output.path))
      throw new RefusedError(`output ${output.tag}: ${JSON.stringify(output.path)} is outside of the root`);
  }
  for (const input of thunk.inputs) {
    if (input.path === '' || input.path.includes('\0') || climbsOut(cwd, input.path))
      throw new RefusedError(`input ${JSON.stringify(input.path)} is outside of the root`);
    if (!isThunk(input.name)) continue;
    const ref = parseRef(input.name)!;
    const maker = before.get(input.name.slice(0, input.name.lastIndexOf('#')) as ObjectName);
    if (!maker?.outputs.some((o) => o.tag === ref.tag))
      throw new RefusedError(`input ${input.path}: no item before makes ${input.name}`);
  }
  const known =
    raw['known'] === undefined ? [] : list(raw['known'], 'known').map((n) => thunkName(n, 'known'));
  return {
    thunk,
    item: {
      name: name as ObjectName,
      thunk: source,
      realTool: absolutePath(raw['realTool'], 'realTool'),
      cwd,
      pwd: absolutePath(raw['pwd'], 'pwd'),
      searchPath: text(raw['searchPath'], 'searchPath'),
      ...(raw['toolchain'] === undefined
        ? {}
        : { toolchain: valueName(raw['toolchain'], 'an item’s toolchain') }),
      ...(raw['internal'] === 'kept' || raw['internal'] === 'stored' ? { internal: raw['internal'] } : {}),
      ...(known.length > 0 ? { known } : {}),
    },
  };
}

export interface ReadRequest {
  readonly request: WorkRequest;
  readonly thunks: readonly Thunk[];
}

/** @throws RefusedError */
export function readRequest(value: unknown): ReadRequest {
  const raw = object(value, 'the request');
  if (raw['protocol'] !== WORKER_PROTOCOL)
    throw new RefusedError(
      `the request speaks protocol ${String(raw['protocol'])}, this worker ${WORKER_PROTOCOL}; run 'gg deploy lambda' with the same version of gg`,
    );
  const values = list(raw['items'], 'items');
  if (values.length === 0 || values.length > ITEMS_MAX)
    throw new RefusedError(`${values.length} items; 1 to ${ITEMS_MAX} can be run`);
  const made = new Map<ObjectName, Thunk>();
  const items: WorkItem[] = [];
  const thunks: Thunk[] = [];
  for (const one of values) {
    const { item, thunk } = workItem(one, made);
    made.set(item.name, thunk);
    items.push(item);
    thunks.push(thunk);
  }
  const inline: Record<string, string> = {};
  for (const [name, base64] of Object.entries(object(raw['inline'], 'inline')))
    inline[valueName(name, 'a key of inline')] = text(base64, `inline ${name}`);
  return {
    thunks,
    request: {
      protocol: WORKER_PROTOCOL,
      id: text(raw['id'], 'id'),
      toolchain: valueName(raw['toolchain'], 'toolchain'),
      remote: remoteAddress(raw['remote']),
      ...(raw['packs'] === undefined ? {} : { packs: packHints(raw['packs']) }),
      items,
      inline,
      inlineBytesMax: number(raw['inlineBytesMax'], 'inlineBytesMax'),
      timeoutMs: Math.min(number(raw['timeoutMs'], 'timeoutMs'), TIMEOUT_MS_MAX),
    },
  };
}

const FAILED_REASONS: ReadonlySet<string> = new Set<WorkFailedReason>([
  'signal',
  'timeout',
  'start-failed',
  'missing-blob',
  'digest-mismatch',
  'output-missing',
  'fetch-inputs-failed',
  'upload-outputs-failed',
  'toolchain-part',
  'refused',
]);

function workResult(value: unknown): WorkDone | WorkFailed {
  const raw = object(value, 'a result');
  const name = text(raw['name'], 'a result’s name') as ObjectName;
  if (raw['kind'] === 'failed') {
    const reason = text(raw['reason'], 'reason');
    if (!FAILED_REASONS.has(reason)) throw new RefusedError(`a failure for a reason unknown here: ${reason}`);
    return {
      kind: 'failed',
      name,
      reason: reason as WorkFailedReason,
      detail: text(raw['detail'], 'detail'),
    };
  }
  if (raw['kind'] !== 'done') throw new RefusedError(`a result of kind ${JSON.stringify(raw['kind'])}`);
  const timings = object(raw['timings'], 'timings');
  return {
    kind: 'done',
    name,
    exitCode: number(raw['exitCode'], 'exitCode'),
    stdout: text(raw['stdout'], 'stdout'),
    stderr: text(raw['stderr'], 'stderr'),
    outputs: list(raw['outputs'], 'outputs').map((o): WorkOutput => {
      const output = object(o, 'an output');
      return {
        tag: text(output['tag'], 'an output’s tag'),
        name: valueName(output['name'], 'an output’s name'),
        ...(output['inline'] === undefined ? {} : { inline: text(output['inline'], 'inline') }),
        ...(output['withheld'] === true ? { withheld: true } : {}),
      };
    }),
    undeclaredMisses: list(raw['undeclaredMisses'], 'undeclaredMisses').map((m) => text(m, 'a miss')),
    timings: {
      fetchMs: number(timings['fetchMs'], 'fetchMs'),
      layoutMs: number(timings['layoutMs'], 'layoutMs'),
      runMs: number(timings['runMs'], 'runMs'),
      storeMs: number(timings['storeMs'], 'storeMs'),
      cpuMs: number(timings['cpuMs'], 'cpuMs'),
    },
  };
}

/** @throws RefusedError */
export function readResponse(value: unknown): WorkResponse {
  const raw = object(value, 'the response');
  if (raw['protocol'] !== WORKER_PROTOCOL)
    throw new RefusedError(
      `the worker speaks protocol ${String(raw['protocol'])}, this is ${WORKER_PROTOCOL}`,
    );
  const worker = object(raw['worker'], 'worker');
  const count = (key: string): number => number(worker[key], `worker.${key}`);
  return {
    protocol: WORKER_PROTOCOL,
    id: text(raw['id'], 'id'),
    results: list(raw['results'], 'results').map(workResult),
    worker: {
      instance: text(worker['instance'], 'worker.instance'),
      served: count('served'),
      cacheBytes: count('cacheBytes'),
      warmBlobs: count('warmBlobs'),
      fetchedBlobs: count('fetchedBlobs'),
      fetchedBytes: count('fetchedBytes'),
      memoryMaxBytes: count('memoryMaxBytes'),
    },
  };
}
