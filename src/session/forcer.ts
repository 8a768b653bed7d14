// Joins the reductor with the tree: what a reduced thunk writes back, what a failed one takes away, who hears of it.
import { readFileSync, rmSync } from 'node:fs';
import type { Engine } from '../engine/engine.ts';
import type { Placement } from '../ir/placement.ts';
import { type Failure, type ForceNode, outputOf } from '../force/node.ts';
import type { ReductorHost } from '../force/reductor.ts';
import { Reductor } from '../force/reductor.ts';
import { baseName, type ObjectName, type ObjectRef, tagOf } from '../ir/name.ts';
import type { LocalStore } from '../store/local/local.ts';
import { tryLstat, tryStat } from '../base/stat.ts';
import { type Placer, writeBack } from '../tree/write-back.ts';
import type { History } from '../tree/history.ts';
import type { Journal, Outstanding } from '../tree/journal.ts';
import { removeLibtoolFiles } from '../tree/libtool.ts';
import { TRUST_NOBODY, type Trust } from '../store/provenance.ts';
import { TAKEN_MAX } from './unmade-outputs.ts';
import { prefetchOwner } from './prefetch.ts';
import type { Session } from './session.ts';
import { placeholderAt } from '../tree/placeholder-at.ts';

export interface ForcerParts {
  readonly store: LocalStore;
  readonly engine: Engine;
  readonly journal: Journal;
  readonly history: History;
  readonly place: Placer;
  readonly sessions: ReadonlyMap<string, Session>;
}

/** What calls answered at once and calls begun ahead put before the id of their session (calls.ts, prefetch.ts). */
const STANDS_FOR = /^(?:prefetch-|now-\d+-)/;

/** Tries to write over a placeholder that somebody changes meanwhile. */
const WRITES_MAX = 5;

export type ForcedPath =
  | { readonly kind: 'real' }
  | { readonly kind: 'failed'; readonly node: ForceNode }
  /** Its thunk is in no store of ours. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unwritable'; readonly errno: number };

export class Forcer implements ReductorHost {
  readonly store: LocalStore;
  readonly engine: Engine;
  readonly reductor: Reductor;
  readonly #p: ForcerParts;
  /** Paths a waiting reader has looked at already: written into the same inode. */
  readonly #held = new Map<string, number>();
  readonly #writers = new Map<string, Promise<unknown>>();

  constructor(parts: ForcerParts) {
    this.#p = parts;
    this.store = parts.store;
    this.engine = parts.engine;
    this.reductor = new Reductor(this, parts.engine.slots);
  }

  /** The engine of the session that pays for a run; what no session pays for runs here. */
  engineFor(owner: string): Engine {
    return this.#p.sessions.get(owner)?.engine ?? this.engine;
  }

  /** Those who stand for a session take what it takes. */
  trustOf(owner: string): Trust {
    const id = owner.replace(STANDS_FOR, '');
    return this.#p.sessions.get(id)?.trust ?? TRUST_NOBODY;
  }

  placementOf(thunk: ObjectName): Placement | undefined {
    return this.#p.journal.placement(thunk);
  }

  expectedMs(thunk: ObjectName): number | undefined {
    const path = this.#p.journal.pathsOf(thunk)[0];
    return path === undefined ? undefined : this.#p.history.lastRun(path)?.ms;
  }

  isPromised(thunk: ObjectName): boolean {
    return this.#p.journal.pathsOf(thunk).length > 0;
  }

  before(thunk: ObjectName): ObjectName | undefined {
    const path = this.#p.journal.pathsOf(thunk)[0];
    return path === undefined ? undefined : (this.#p.history.lastRun(path)?.thunk as ObjectName | undefined);
  }

  #owners(node: ForceNode): Session[] {
    return [...node.owners].flatMap((id) => this.#p.sessions.get(id) ?? []);
  }

  #label(node: ForceNode): string {
    return this.placementOf(node.name)?.label ?? node.name.slice(0, 12);
  }

  started(node: ForceNode): void {
    for (const s of this.#owners(node))
      s.emit({ type: 'thunk-started', name: node.name, label: this.#label(node) });
  }

  reduced(node: ForceNode, how: 'ran' | 'memoized', cpuMs: number): Promise<void> | undefined {
    for (const session of this.#owners(node)) this.announce(node, how, cpuMs, session);
    const paths = this.#p.journal.pathsOf(node.name);
    if (paths.length === 0) return undefined;
    return Promise.all(paths.map((path) => this.#writeBack(path, node))).then(() => undefined);
  }

  /** Tells a session what a finished thunk did and printed. */
  announce(node: ForceNode, how: 'ran' | 'memoized', cpuMs: number, session: Session): void {
    const silent = session.silent.has(node.name);
    session.emit({
      type: 'thunk-finished',
      name: node.name,
      label: this.#label(node),
      how,
      command: this.placementOf(node.name)?.command ?? '',
      stdout: silent ? '' : node.stdout.toString('base64'),
      stderr: silent ? '' : node.stderr.toString('base64'),
      wallMs: node.wallMs,
      cpuMs,
    });
    for (const path of this.#p.journal.pathsOf(node.name))
      this.#p.history.note({
        path,
        thunk: node.name,
        how,
        wallMs: node.wallMs,
        ...(how === 'ran' ? { cpuMs } : {}),
      });
  }

  /** One writer at a time for a path: a placeholder that replaces another must not be overwritten by the other's value. */
  async withPath<T>(path: string, write: () => Promise<T>): Promise<T> {
    const before = this.#writers.get(path);
    const mine = (async () => {
      await before?.catch(() => {});
      return write();
    })();
    this.#writers.set(path, mine);
    try {
      return await mine;
    } finally {
      if (this.#writers.get(path) === mine) this.#writers.delete(path);
    }
  }

  #writeBack(path: string, node: ForceNode): Promise<void> {
    return this.withPath(path, () => this.#writeBackAlone(path, node));
  }

  async #writeBackAlone(path: string, node: ForceNode): Promise<void> {
    const entry = this.#p.journal.at(path);
    if (!entry || baseName(entry.ref) !== node.name) return;
    // Where it went the end of the build finds out, or says that it does not know.
    if (!entry.watched && !tryLstat(path)) return;
    const problem = await this.#put(path, entry.ref, node);
    if (problem === 0) {
      if (!tryLstat(path)) this.#p.history.note({ path, how: 'gone', thunk: node.name });
      this.#p.journal.settle(path);
      return;
    }
    for (const session of this.#owners(node)) {
      session.emit({
        type: 'problem',
        reason: 'writeback-failed',
        subject: path,
        detail: errnoName(problem),
        advice: "make the place writable and run 'gg force' again; the result is kept",
      });
    }
  }

  /** @returns errno; 0 when the value is in place or the placeholder is no longer there. */
  async #put(path: string, ref: ObjectRef, node: ForceNode): Promise<number> {
    const value = outputOf(node, tagOf(ref));
    const source = value === undefined ? undefined : this.store.path(value);
    if (value === undefined || source === undefined) return 2;
    for (let tries = 0; ; tries++) {
      const result = await writeBack(path, ref, source, this.#p.place, { sameInode: this.#held.has(path) });
      if (typeof result === 'object') return result.errno;
      // Its time was set in between: it is another state of the same placeholder.
      if (result === 'written' || placeholderAt(path) !== ref || tries === WRITES_MAX) return 0;
    }
  }

  failed(node: ForceNode, failure: Failure): void {
    const owners = this.#owners(node);
    const placement = this.placementOf(node.name);
    const run = failure.kind === 'tool' ? failure.run : undefined;
    for (const session of owners) {
      session.emit({
        type: 'thunk-failed',
        name: node.name,
        label: this.#label(node),
        reason:
          failure.kind === 'tool'
            ? 'exit-non-zero'
            : failure.kind === 'dependency'
              ? 'dependency'
              : failure.run.reason,
        detail:
          failure.kind === 'engine' ? failure.run.detail : failure.kind === 'dependency' ? failure.on : '',
        exitCode: run?.exitCode ?? 0,
        command: placement?.command ?? '',
        stdout: (run?.stdout ?? Buffer.alloc(0)).toString('base64'),
        stderr: (run?.stderr ?? Buffer.alloc(0)).toString('base64'),
      });
    }
    this.#takeAway(node, owners);
    for (const session of owners) {
      if (session.options.keepGoing || session.stopped) continue;
      session.stopped = true;
      setImmediate(() => this.reductor.cancel(session.id, { running: false }));
    }
  }

  cancelled(node: ForceNode): void {
    const owners = this.#owners(node);
    for (const session of owners)
      session.emit({ type: 'thunk-cancelled', name: node.name, label: this.#label(node) });
    // After a failure the tree is left as make leaves it; what an interruption takes away is for finalize to say.
    if (owners.some((s) => s.stopped)) this.#takeAway(node, owners);
  }

  /** What failed leaves no output behind, so that the next build tries again. */
  #takeAway(node: ForceNode, owners: readonly Session[]): void {
    const keep = { depfiles: node.failure?.kind === 'tool' && writesDepfileThough(node) };
    for (const path of this.#p.journal.pathsOf(node.name)) this.takeAwayPath(path, owners, keep);
  }

  takeAwayPath(path: string, owners: readonly Session[], keep = { depfiles: false }): void {
    const entry = this.#p.journal.at(path);
    if (!entry) return;
    if (placeholderAt(path) === entry.ref) {
      this.#note(entry, owners);
      rmSync(path, { force: true });
      if (!keep.depfiles) for (const side of entry.sides) rmSync(side, { force: true });
      // Else at the end of the build: libtool itself would complain of what it misses.
      if (!owners.some((s) => s.options.eager)) removeLibtoolFiles(path);
      for (const session of owners) session.failedPaths.add(path);
    }
    this.#p.journal.settle(path);
  }

  /** Another build that still runs has left a placeholder there too. */
  isAnothers(path: string, session: Session): boolean {
    for (const other of this.#p.sessions.values())
      if (other !== session && !other.abandoned && other.paths.has(path)) return true;
    return false;
  }

  #note(entry: Outstanding, owners: readonly Session[]): void {
    const { path, ref, project } = entry;
    const place = this.placementOf(baseName(ref));
    const mode = tryStat(path)?.mode;
    if (!place || mode === undefined) return;
    const placeholder = readFileSync(path).toString('base64');
    for (const { taken } of owners)
      if (taken.size < TAKEN_MAX)
        taken.set(path, { path, ref, project, place, mode: mode & 0o7777, placeholder });
  }

  /** Brings a path that was promised for a thunk under way to where the thunk is by now. */
  async catchUp(path: string): Promise<void> {
    const entry = this.#p.journal.at(path);
    const node = entry && this.reductor.node(baseName(entry.ref));
    if (!node) return;
    const owners = this.#owners(node);
    if (node.state === 'done') await this.#writeBack(path, node);
    else if (node.state === 'failed' || (node.state === 'cancelled' && owners.some((s) => s.stopped)))
      this.#takeAway(node, owners);
  }

  /**
   * A placeholder that no record leads to: made real, or taken away when its thunk failed in this session or is not wanted
   * after a failure, since a later build would take it for a result.
   */
  async settleStray(path: string, session: Session): Promise<'real' | 'taken' | 'left'> {
    const ref = placeholderAt(path);
    if (ref === undefined) return 'real';
    const known = this.reductor.node(baseName(ref), session.id);
    const tried = known?.owners.has(session.id) === true && known.state === 'failed';
    const unwanted = session.stopped && !session.options.keepGoing && known?.state !== 'done';
    if (!tried && !unwanted) {
      const forced = await this.forcePath(path, session.id);
      if (forced.kind === 'real') return 'real';
      if (forced.kind !== 'failed') return 'left';
      if (forced.node.state !== 'failed' && !session.stopped) return 'left';
    } else if (!this.knows(ref)) return 'left';
    if (placeholderAt(path) === ref) {
      const entry = this.#p.journal.at(path);
      if (entry?.ref === ref) this.#note(entry, [session]);
      rmSync(path, { force: true });
      session.failedPaths.add(path);
    }
    if (this.#p.journal.at(path)?.ref === ref) this.#p.journal.settle(path);
    return 'taken';
  }

  /**
   * Makes the file at `path` real if it is a placeholder, with everything it needs in parallel.
   * @param keep somebody knows the file by its inode: it stays.
   */
  async forcePath(
    path: string,
    owner: string,
    options: { readonly keep?: boolean } = {},
  ): Promise<ForcedPath> {
    const ref = placeholderAt(path);
    if (ref === undefined) return { kind: 'real' };
    if (!this.knows(ref)) {
      this.#p.sessions.get(owner)?.emit({
        type: 'problem',
        reason: 'unknown-placeholder',
        subject: path,
        detail: `a placeholder for ${ref.slice(0, 13)}…, a thunk that is not in this store`,
        advice: 'it is damaged, or was made with another GG_DIR; remove the file and build again',
      });
      return { kind: 'unknown' };
    }
    if (options.keep) this.#held.set(path, (this.#held.get(path) ?? 0) + 1);
    try {
      const node = await this.reductor.force(baseName(ref), owner, { urgent: true });
      if (node.state !== 'done') return { kind: 'failed', node };
      const errno = await this.withPath(path, async () => {
        const problem = await this.#put(path, ref, node);
        if (problem === 0 && this.#p.journal.at(path)?.ref === ref) this.#p.journal.settle(path);
        return problem;
      });
      return errno === 0 ? { kind: 'real' } : { kind: 'unwritable', errno };
    } finally {
      if (options.keep) {
        const left = (this.#held.get(path) ?? 1) - 1;
        if (left === 0) this.#held.delete(path);
        else this.#held.set(path, left);
      }
    }
  }

  /** Whether the thunk behind a reference can be forced or has been. */
  knows(ref: ObjectRef): boolean {
    const name = baseName(ref);
    return (
      this.reductor.node(name) !== undefined ||
      this.store.has(name) ||
      this.store.reduction(name) !== undefined
    );
  }

  /** Starts a thunk for a session that forces while it infers. */
  begin(name: ObjectName, session: Session): void {
    if (session.stopped || session.abandoned) return;
    const known = this.reductor.node(name, session.id);
    const done = known?.state === 'done' && !known.owners.has(session.id);
    const node = this.reductor.add(name, session.id);
    if (!done || node.state !== 'done') return;
    // Another session finished it before: its artifacts are new here, and so is what it printed.
    this.announce(node, begunAhead(node, session) ? 'ran' : 'memoized', 0, session);
    for (const path of this.#p.journal.pathsOf(name)) void this.#writeBack(path, node);
  }
}

/** Compilers write the depfile of a unit with errors too, unless they stop at the first one. */
function writesDepfileThough(node: ForceNode): boolean {
  return !node.thunk?.args.some(
    (arg) => typeof arg === 'string' && /^-(Wfatal-errors|fmax-errors)/.test(arg),
  );
}

/** It ran for this very session, before it was asked for. */
function begunAhead(node: ForceNode, session: Session): boolean {
  return node.memoHit === false && node.owners.has(prefetchOwner(session));
}

const ERRNO: Readonly<Record<number, string>> = {
  1: 'not permitted',
  2: 'no such file or directory',
  5: 'input/output error',
  13: 'permission denied',
  26: 'the program is running',
  28: 'no space left on the device',
  30: 'read-only file system',
  122: 'disk quota exceeded',
};

export function errnoName(errno: number): string {
  return ERRNO[errno] ?? `errno ${errno}`;
}
