// What models may ask about the world, answered from the session's caches.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { baseName } from '../ir/name.ts';
import { decodeThunk } from '../ir/thunk.ts';
import type { FileStat, ModelContext } from '../models/model.ts';
import type { QueryRunner, Scanner, ScanRequest, ScanResult } from '../scan/scanner.ts';
import { tryStat } from '../base/stat.ts';
import type { Store } from '../store/store.ts';
import type { Toolchains } from '../toolchain/toolchain.ts';
import type { Journal } from '../tree/journal.ts';
import { isProbePath } from '../caller/probes.ts';
import type { Scanned } from './self-check.ts';
import { absolute, placeholderAt } from '../tree/placeholder-at.ts';

const READ_BYTES_MAX = 16 * 1024 * 1024;
/** Answers of queries kept; a build has a few dozen flag sets. The oldest goes first. */
const QUERIES_MAX = 4096;

export interface ContextParts {
  readonly store: Store;
  readonly journal: Journal;
  readonly toolchains: Toolchains;
  readonly scanner: Scanner;
  readonly query: QueryRunner;
}

type QueryAnswer = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Lives as long as the server; `forCall` gives a view with the caller's PATH. */
export class Contexts {
  readonly #parts: ContextParts;
  readonly #queries = new Map<string, Promise<QueryAnswer>>();

  constructor(parts: ContextParts) {
    this.#parts = parts;
  }

  /**
   * @param searchPath $PATH of the call without our shims.
   * @param sinceMs performance.now() of the call.
   * @param scanned hears of every scan that was answered.
   */
  forCall(searchPath: string, sinceMs: number, scanned?: (scan: Scanned) => void): ModelContext {
    const { store, journal, toolchains, scanner } = this.#parts;
    return {
      stat: (absPath): FileStat | undefined => {
        const s = tryStat(absPath);
        if (!s) return undefined;
        return {
          kind: s.isFile() ? 'file' : s.isDirectory() ? 'directory' : 'other',
          sizeBytes: s.size,
          mode: s.mode & 0o7777,
        };
      },
      read: (absPath, maxBytes = READ_BYTES_MAX) => {
        try {
          const s = statSync(absPath);
          return s.isFile() && s.size <= maxBytes ? readFileSync(absPath) : undefined;
        } catch {
          return undefined;
        }
      },
      entries: (absPath) => {
        try {
          return readdirSync(absPath).sort();
        } catch {
          return [];
        }
      },
      isPlaceholder: (absPath) => placeholderAt(absPath) !== undefined,
      placeholderInputs: (absPath) => {
        const ref = placeholderAt(absPath);
        const bytes = ref === undefined ? undefined : store.get(baseName(ref));
        if (ref === undefined || !bytes) return [];
        const cwd = journal.placement(baseName(ref))?.cwd ?? '/';
        return decodeThunk(bytes).inputs.map((i) => absolute(cwd, i.path));
      },
      isProbePath,
      query: (realTool, args, options) => this.#query(realTool, args, searchPath, sinceMs, options),
      scan: async (request): Promise<ScanResult> => {
        const toolchain = await toolchains.of(request.driver, searchPath, sinceMs);
        const full: ScanRequest = { ...request, toolchain: toolchain.digest };
        const result = await scanner.scan(full);
        if (result.kind === 'found') scanned?.({ request: full, found: result });
        return result;
      },
    };
  }

  async #query(
    realTool: string,
    args: readonly string[],
    searchPath: string,
    sinceMs: number,
    options: { readonly env?: ReadonlyMap<string, string>; readonly cwd?: string } = {},
  ): Promise<QueryAnswer> {
    const { digest } = await this.#parts.toolchains.of(realTool, searchPath, sinceMs);
    const env = new Map(options.env ?? []);
    env.set('PATH', searchPath);
    const key = JSON.stringify([realTool, digest, args, options.cwd ?? '', [...env]]);
    const known = this.#queries.get(key);
    if (known) return known;
    if (this.#queries.size >= QUERIES_MAX) this.#queries.delete(this.#queries.keys().next().value as string);
    const answer = this.#parts
      .query(realTool, args, { cwd: options.cwd ?? '/', env })
      .then((r) => ({ code: r.code, stdout: r.stdout.toString(), stderr: r.stderr.toString() }));
    this.#queries.set(key, answer);
    answer.catch(() => this.#queries.delete(key));
    return answer;
  }
}
