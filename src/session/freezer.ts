// Turns what a model planned into thunks with names: every input by its content, the user's files kept in the store, since they
// may be edited before the thunk runs.
import { readFileSync } from 'node:fs';
import type { Placement } from '../ir/placement.ts';
import { type ObjectName, type ObjectRef, sizeOf } from '../ir/name.ts';
import { mayBePlaceholder } from '../ir/placeholder.ts';
import { encodeThunk, type Thunk, type ThunkInput } from '../ir/thunk.ts';
import { type Bypass, bypass, type Plan, type PlannedThunk } from '../models/model.ts';
import type { DigestCache } from '../store/local/digest-cache.ts';
import type { LocalStore } from '../store/local/local.ts';
import type { Toolchains } from '../toolchain/toolchain.ts';
import { type CallRequest, commandText } from '../caller/call-request.ts';
import type { Forcer } from './forcer.ts';
import type { Journal } from '../tree/journal.ts';
import { mtimeClasses } from '../tree/mtime-classes.ts';
import { canCreate } from '../tree/output-files.ts';
import { isPackaged } from '../tree/system-files.ts';
import type { Session } from './session.ts';
import { absolute, placeholderAt } from '../tree/placeholder-at.ts';

/** Names of inputs remembered as kept; then they are looked up anew. */
const KEPT_MAX = 100_000;

export interface FreezerParts {
  readonly store: LocalStore;
  readonly journal: Journal;
  readonly digests: DigestCache;
  readonly forcer: Forcer;
  readonly toolchains: Toolchains;
  /** Heals an archive that holds placeholders; true when it is clean. */
  readonly heal: (absPath: string, owner: string) => Promise<boolean>;
}

export interface Frozen {
  readonly planned: PlannedThunk;
  readonly thunk: Thunk;
  readonly name: ObjectName;
}

export class Freezer {
  readonly #p: FreezerParts;
  /** Values of user files known to be in the store. */
  readonly #kept = new Set<ObjectName>();

  constructor(parts: FreezerParts) {
    this.#p = parts;
  }

  /** Blobs may have gone from the store. */
  storeShrank(): void {
    this.#kept.clear();
  }

  /**
   * Turns planned thunks into named ones; a Bypass when an input cannot be named.
   * @param sinceMs performance.now() of the call.
   */
  async freeze(
    plan: Plan,
    request: CallRequest,
    searchPath: string,
    sinceMs: number,
    session: Session,
  ): Promise<Frozen[] | Bypass> {
    let toolchain: string;
    try {
      toolchain = (await this.#p.toolchains.of(request.realTool, searchPath, sinceMs)).digest;
    } catch (error) {
      return bypass('toolchain-query-failed', (error as Error).message, 'all');
    }
    const frozen: Frozen[] = [];
    for (const planned of plan.thunks) {
      const inputs: ThunkInput[] = [];
      const seen = new Set<string>();
      for (const path of planned.inputs) {
        if (seen.has(path)) continue;
        seen.add(path);
        const name = await this.#nameInput(absolute(request.cwd, path), session);
        if (name === undefined) return bypass('unreadable-input', path, 'all');
        inputs.push({ path, name });
      }
      const unwritable = planned.outputs.find((o) => !canCreate(planned, absolute(request.cwd, o.path)));
      if (unwritable) return bypass('unwritable-output', unwritable.path, 'all');
      const thunk: Thunk = {
        tool: planned.tool,
        toolchain,
        args: planned.args,
        env: planned.env,
        cwd: planned.needsCwd ? request.cwd : '',
        inputs,
        absent: planned.absent,
        outputs: planned.outputs.map((o) =>
          o.from === undefined ? { tag: o.tag, path: o.path } : { tag: o.tag, path: o.path, from: o.from },
        ),
        salt:
          planned.stage === 'compile' || planned.stage === 'preprocess'
            ? [...planned.salt, ...mtimeClasses(inputs, request.cwd, mentionsOnce)]
            : planned.salt,
      };
      const { name, bytes } = encodeThunk(thunk);
      this.#p.store.put(bytes, 'T');
      const place: Placement = {
        realTool: request.realTool,
        cwd: request.cwd,
        pwd: request.env.get('PWD') ?? request.cwd,
        searchPath,
        label: planned.label,
        stage: planned.stage,
        command: commandText([request.tool, ...request.args]),
        sandbox: session.options.sandbox,
      };
      this.#p.journal.place(name, place);
      frozen.push({ planned, thunk, name });
    }
    return frozen;
  }

  async #nameInput(path: string, session: Session): Promise<ObjectRef | ObjectName | undefined> {
    const archive = /\.(?:a|lo|lib)$/.test(path);
    // A value's name tells its size, and placeholders have few: most files need one stat only.
    let name = archive ? undefined : await this.#p.digests.digestSoon(path);
    if (name === undefined || mayBePlaceholder(sizeOf(name))) {
      const ref = placeholderAt(path);
      if (ref !== undefined) return this.#p.forcer.knows(ref) ? ref : undefined;
      if (archive && !(await this.#p.heal(path, session.id))) return undefined;
      // Anew: it may just have stopped being a placeholder.
      name = await this.#p.digests.digestSoon(path);
    }
    if (name === undefined) return undefined;
    // Packages' files stay; others may be edited before the thunk runs, so their bytes are kept.
    if (!this.#kept.has(name) && !isPackaged(path)) {
      try {
        if (!(await this.#p.store.putCopySoon(path, name))) return undefined;
      } catch {
        return undefined;
      }
      if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
      this.#kept.add(name);
    }
    return name;
  }
}

function mentionsOnce(path: string): boolean {
  try {
    return readFileSync(path).includes('once');
  } catch {
    return true;
  }
}
