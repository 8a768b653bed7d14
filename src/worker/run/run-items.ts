// Runs a request's thunks, one after the other, below roots of their own. Outputs of earlier ones are inputs of later ones
// without leaving the machine.
import { mkdirSync, readFileSync } from 'node:fs';
import { reduceInputs } from '../../ir/graph.ts';
import { isThunk, isValue, type ObjectName, outputRef, sizeOf } from '../../ir/name.ts';
import { encodeThunk } from '../../ir/thunk.ts';
import { BadManifestError, decodeManifest, type ToolchainManifest } from '../../toolchain/manifest.ts';
import { BlobCache } from '../blobs/blob-cache.ts';
import { BlobError, type BlobFetcher, type BlobSink } from '../blobs/blobs.ts';
import { CAN_UNPACK, FrameFetcher } from '../blobs/frames.ts';
import { checkItem, Refused } from './layout.ts';
import type {
  WorkDone,
  WorkFailed,
  WorkFailedReason,
  WorkItem,
  WorkOutput,
  WorkRequest,
} from '../messages.ts';
import type { ProcessEnd, ProcessRequest } from './process.ts';
import { runItem } from './run-item.ts';
import { Slots } from './slots.ts';

/** Bytes of inline outputs of one answer, before base64: Lambda allows 6 MB, and what tools print needs room too. */
const INLINE_TOTAL_BYTES_MAX = 2 * 1024 * 1024;

export interface RunItemsOptions {
  /** The worker's cache directory; bounded in bytes. Nothing is written elsewhere. */
  readonly directory: string;
  readonly fetcher: BlobFetcher;
  readonly sink: BlobSink;
  readonly signal: AbortSignal;
  /** Starts the tools; without it this process does. */
  readonly start?: (request: ProcessRequest) => Promise<ProcessEnd>;
}

interface Warm {
  readonly cache: BlobCache;
  readonly slots: Slots;
}

const warmByDirectory = new Map<string, Warm>();
const manifests = new Map<ObjectName, ToolchainManifest>();

function warmOf(directory: string, bytesMax?: number): Warm {
  let warm = warmByDirectory.get(directory);
  if (!warm) {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    warm = { cache: new BlobCache(directory, bytesMax), slots: new Slots(directory) };
    warmByDirectory.set(directory, warm);
  }
  return warm;
}

/** The warm cache of a worker's directory; its counters are what `WorkResponse.worker` reports. */
export function blobCacheOf(directory: string, bytesMax?: number): BlobCache {
  return warmOf(directory, bytesMax).cache;
}

/**
 * @returns one result per item, in order, ending with the first that failed or exited other than 0, or before one whose result the
 * client has. Never rejects.
 */
export async function runItems(
  request: WorkRequest,
  options: RunItemsOptions,
): Promise<readonly (WorkDone | WorkFailed)[]> {
  const results: (WorkDone | WorkFailed)[] = [];
  const run = new Run(request, options);
  try {
    for (const item of request.items) {
      let result: WorkDone | WorkFailed | undefined;
      try {
        result = await run.item(item);
      } catch (error) {
        result = { kind: 'failed', name: item.name, ...reasonOf(error) };
      }
      if (!result) break;
      results.push(result);
      if (result.kind === 'failed' || result.exitCode !== 0) break;
    }
    const last = results.at(-1);
    const whole = results.length === request.items.length && last?.kind === 'done' && last.exitCode === 0;
    return whole ? results : await run.releaseAll(results);
  } finally {
    run.end();
  }
}

function reasonOf(error: unknown): { readonly reason: WorkFailedReason; readonly detail: string } {
  if (error instanceof Refused || error instanceof BadManifestError)
    return { reason: 'refused', detail: error.message };
  if (error instanceof BlobError) {
    const reason = error.reason === 'connection-lost' ? 'fetch-inputs-failed' : error.reason;
    return { reason, detail: error.message };
  }
  return { reason: 'start-failed', detail: error instanceof Error ? error.message : String(error) };
}

class Run {
  readonly #request: WorkRequest;
  readonly #o: RunItemsOptions;
  readonly #cache: BlobCache;
  readonly #slots: Slots;
  readonly #held: ObjectName[] = [];
  /** Outputs of earlier items: reference to value. */
  readonly #made = new Map<string, ObjectName>();
  #inlineBytes = 0;

  constructor(request: WorkRequest, options: RunItemsOptions) {
    this.#request = request;
    this.#o = options;
    const { cache, slots } = warmOf(options.directory);
    this.#cache = cache;
    this.#slots = slots;
  }

  end(): void {
    this.#cache.release(this.#held);
  }

  async #hold(names: Iterable<ObjectName>, fetcher: BlobFetcher = this.#o.fetcher): Promise<void> {
    this.#held.push(...(await this.#cache.hold(names, fetcher, this.#request.inline)));
  }

  async #manifest(name: ObjectName): Promise<ToolchainManifest> {
    let manifest = manifests.get(name);
    if (!manifest) {
      await this.#hold([name]);
      manifest = decodeManifest(readFileSync(this.#cache.path(name)));
      // A worker serves one user's few compilers.
      if (manifests.size >= 16) manifests.clear();
      manifests.set(name, manifest);
    }
    return manifest;
  }

  #valueOf(name: string): ObjectName {
    const value = isValue(name) ? (name as ObjectName) : this.#made.get(name);
    if (value === undefined)
      throw new Refused(`${name} is neither a value nor an output of an earlier thunk`);
    return value;
  }

  /** undefined: its result is known to the client. */
  async item(item: WorkItem): Promise<WorkDone | WorkFailed | undefined> {
    const started = performance.now();
    const toolchain = item.toolchain ?? this.#request.toolchain;
    const manifest = await this.#manifest(toolchain);
    const asked = checkItem(item, manifest);
    const thunk = reduceInputs(asked, (name) => this.#valueOf(name));
    // As it would be called if it had come alone: chance and the clock go by that.
    const name = thunk === asked ? item.name : encodeThunk(thunk).name;
    if (item.known?.includes(name)) return undefined;
    if (manifest.frames.length > 0 && !CAN_UNPACK)
      return {
        kind: 'failed',
        name: item.name,
        reason: 'toolchain-part',
        detail: `Node ${process.version} unpacks no zstd`,
      };
    await this.#hold(
      [
        ...manifest.files.map(([, name]) => name),
        ...asked.inputs.flatMap((i) => (isThunk(i.name) ? [] : this.#valueOf(i.name))),
      ],
      new FrameFetcher(this.#o.fetcher, manifest.frames),
    );
    const fetched = performance.now();
    const ran = await runItem({
      manifest,
      item: { ...item, name },
      thunk,
      resolveValue: (name) => this.#valueOf(name),
      pathOf: (name) => this.#cache.path(name),
      slots: this.#slots,
      toolchain,
      keep: (name, absPath) => {
        this.#cache.add(name, absPath);
        this.#held.push(name);
      },
      timeoutMs: this.#request.timeoutMs,
      signal: this.#o.signal,
      ...(this.#o.start ? { start: this.#o.start } : {}),
    });
    if (ran.kind === 'failed') return { ...ran, name: item.name };
    const before = performance.now();
    let outputs: readonly WorkOutput[];
    try {
      if (ran.outputs.length !== thunk.outputs.length && ran.exitCode === 0)
        throw new Error('an output got lost on the way');
      for (const made of ran.outputs) this.#made.set(outputRef(item.name, made.tag), made.name);
      if (item.internal === 'stored')
        await Promise.all(
          ran.outputs.map(({ name: made }) => this.#o.sink.put(made, this.#cache.path(made))),
        );
      outputs = item.internal
        ? ran.outputs.map((made) => ({ ...made, withheld: true }))
        : await this.#deliver(ran.outputs);
    } catch (error) {
      return undelivered(item.name, error);
    }
    return {
      kind: 'done',
      name: item.name,
      exitCode: ran.exitCode,
      stdout: ran.stdout.toString('base64'),
      stderr: ran.stderr.toString('base64'),
      outputs,
      undeclaredMisses: ran.undeclaredMisses,
      timings: {
        fetchMs: fetched - started,
        layoutMs: ran.layoutMs,
        runMs: ran.runMs,
        storeMs: performance.now() - before,
        cpuMs: ran.cpuMs,
        memoryMaxBytes: ran.rssMaxBytes,
      },
    };
  }

  /** What internal items made, after all: nobody else is going to read it here. */
  async releaseAll(results: readonly (WorkDone | WorkFailed)[]): Promise<readonly (WorkDone | WorkFailed)[]> {
    const released: (WorkDone | WorkFailed)[] = [];
    for (const result of results) {
      if (result.kind === 'failed' || !result.outputs.some((o) => o.withheld)) {
        released.push(result);
        continue;
      }
      try {
        released.push({ ...result, outputs: await this.#deliver(result.outputs) });
      } catch (error) {
        return [...released, undelivered(result.name, error)];
      }
    }
    return released;
  }

  async #deliver(
    made: readonly { readonly tag: string; readonly name: ObjectName }[],
  ): Promise<readonly WorkOutput[]> {
    const sent: Promise<void>[] = [];
    const outputs = made.map(({ tag, name }): WorkOutput => {
      const size = sizeOf(name);
      const path = this.#cache.path(name);
      if (size <= this.#request.inlineBytesMax && this.#inlineBytes + size <= INLINE_TOTAL_BYTES_MAX) {
        this.#inlineBytes += size;
        return { tag, name, inline: readFileSync(path).toString('base64') };
      }
      sent.push(this.#o.sink.put(name, path));
      return { tag, name };
    });
    await Promise.all(sent);
    return outputs;
  }
}

function undelivered(name: ObjectName, error: unknown): WorkFailed {
  return { kind: 'failed', name, reason: 'upload-outputs-failed', detail: (error as Error).message };
}
