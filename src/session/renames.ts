// A placeholder, or a directory with such, gets another name: what was promised for the old name is promised for the new one.
//
// The preload library asks before the call and keeps its connection until the call is done. From our answer until then nothing
// is written at either name: a value must not bring the old name back, nor land on what takes its place. The journal has the
// new name before the file does, so that a kill at any moment loses nothing.
import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { baseName, type ObjectRef } from '../ir/name.ts';
import { isBelow } from '../scan/disk/watching.ts';
import { tryStat } from '../base/stat.ts';
import type { CallRequest } from '../caller/call-request.ts';
import type { Forcer } from './forcer.ts';
import type { History } from '../tree/history.ts';
import type { Journal, Outstanding } from '../tree/journal.ts';
import type { Session } from './session.ts';
import { placeholderAt } from '../tree/placeholder-at.ts';

export interface MovesParts {
  readonly journal: Journal;
  readonly forcer: Forcer;
  readonly history: History;
  readonly sessions: ReadonlyMap<string, Session>;
  readonly sessionOf: (id: string | undefined) => Session;
}

/** Writers wait no longer for a process that was stopped between the question and the call. */
const HOLD_MS_MAX = 10_000;

interface Move {
  readonly ref: ObjectRef;
  readonly from: string;
  /** The journal's names of the same file, as the calls spelled them. */
  readonly entries: readonly Outstanding[];
  /** What is promised at the new name. */
  readonly promised: Outstanding;
}

/** One that was answered. */
interface OpenMove {
  /** Whether something comes to stand below a directory, "/" at its end. */
  readonly into: (directory: string) => boolean;
  /** The journal has what became of it, or its process takes too long. */
  readonly arrived: Promise<void>;
  /** ... and what was finished meanwhile is written. */
  readonly over: Promise<void>;
}

export class Moves {
  readonly #p: MovesParts;
  readonly #open = new Set<OpenMove>();

  constructor(parts: MovesParts) {
    this.#p = parts;
  }

  /** Waits until every move that was announced is done. */
  async settled(): Promise<void> {
    while (this.#open.size > 0) await Promise.all([...this.#open].map((o) => o.over));
  }

  /**
   * @param closed resolves when the call is over, whether it worked or not.
   * @returns when the call may be made; false: make the file real first.
   */
  async move(request: CallRequest, closed: Promise<void>): Promise<boolean> {
    const session = this.#p.sessionOf(request.env.get('GG_SESSION'));
    const { path: from, to } = request;
    const directory = tryStat(from)?.isDirectory() === true;
    // What was just moved into it is on record when that call's connection has ended.
    if (directory) await Promise.all([...this.#open].flatMap((o) => (o.into(`${from}/`) ? o.arrived : [])));
    if (directory && this.#p.journal.size === 0) return true;
    const target = canonical(to.replace(/\/+$/, ''));
    if (target === undefined) return true;
    if (!request.utf8) {
      if (directory) await this.#forceBelow([from], session);
      return directory;
    }
    const find = (): Move[] => (directory ? this.#below(from, target) : this.#one(from, target));
    const moves = find();
    if (moves.length === 0) return true;
    let release = (): void => {};
    const over = new Promise<void>((resolve) => {
      release = resolve;
    });
    await Promise.all([...this.#places(moves)].map((place) => this.#hold(place, over)));
    // Anew: the move before this one may just have come to its end.
    const held = find().filter((m) => placeholderAt(m.from) === m.ref);
    try {
      for (const m of held) this.#p.journal.arriving(m.promised);
    } catch (error) {
      release();
      throw error;
    }
    if (held.length === 0) {
      release();
      // Real by now, or another's placeholder.
      return directory || placeholderAt(from) === undefined;
    }
    if (directory) session.directories.add(target);
    this.#watch(held, session, closed, release);
    return true;
  }

  /** Sees an answered move to its end. */
  #watch(held: readonly Move[], session: Session, closed: Promise<void>, release: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, HOLD_MS_MAX);
    });
    const arrive = (those: readonly Move[]): void => {
      try {
        for (const m of those) this.#arrive(m, session);
      } catch (error) {
        this.#p.history.fault(error);
      }
      release();
    };
    void late.then(() => arrive(held.filter((m) => placeholderAt(m.promised.path) === m.ref)));
    const arrived = closed.then(() => {
      clearTimeout(timer);
      arrive(held);
    });
    const written = arrived
      .then(() => Promise.all(held.map((m) => this.#p.forcer.catchUp(m.promised.path))))
      .then(
        () => undefined,
        (error: unknown) => this.#p.history.fault(error),
      );
    const open: OpenMove = {
      into: (directory) => held.some((m) => m.promised.path.startsWith(directory)),
      arrived: Promise.race([arrived, late]),
      over: Promise.race([written, late]),
    };
    this.#open.add(open);
    void open.over.finally(() => this.#open.delete(open));
  }

  /** Another file is about to take a placeholder's place: nothing is written there until it has. */
  async over(request: CallRequest, closed: Promise<void>): Promise<boolean> {
    const ref = placeholderAt(request.path);
    if (ref === undefined || !request.utf8) return true;
    const places = new Set([request.path, ...this.#entriesOf(ref).map((o) => o.path)]);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, HOLD_MS_MAX);
    });
    const over = Promise.race([closed.then(() => clearTimeout(timer)), late]);
    await Promise.all([...places].map((place) => this.#hold(place, over)));
    return true;
  }

  /** Two directories change places: nothing below them may be outstanding. */
  async settle(request: CallRequest): Promise<boolean> {
    await this.#forceBelow([request.path, request.to], this.#p.sessionOf(request.env.get('GG_SESSION')));
    return true;
  }

  async #forceBelow(directories: readonly string[], session: Session): Promise<void> {
    const canonicalOf = canonicalPaths();
    const roots = directories.flatMap((d) => canonicalOf(d) ?? []);
    const paths = this.#p.journal
      .outstanding()
      .map((o) => o.path)
      .filter((path) => isBelow(canonicalOf(path) ?? '', roots));
    await Promise.all(paths.map((path) => this.#p.forcer.forcePath(path, session.id)));
  }

  #one(from: string, to: string): Move[] {
    const ref = placeholderAt(from);
    if (ref === undefined || !this.#p.forcer.knows(ref)) return [];
    const entries = this.#entriesOf(ref);
    const { project, sides, watched } = entries[0] ?? { project: dirname(to), sides: [], watched: true };
    const promised = { path: to, ref, project, sides, ...(watched ? { watched } : {}) };
    return [{ ref, from, entries, promised }];
  }

  /** Every promise for a file below a directory, with the file's new place. */
  #below(from: string, to: string): Move[] {
    const canonicalOf = canonicalPaths();
    const moved = (path: string): string => {
      const real = canonicalOf(path);
      return real?.startsWith(`${from}/`) ? to + real.slice(from.length) : path;
    };
    return this.#p.journal.outstanding().flatMap((o) => {
      const path = moved(o.path);
      const real = canonicalOf(o.path);
      if (path === o.path || real === undefined) return [];
      const promised = { ...o, path, sides: o.sides.map(moved) };
      return [{ ref: o.ref, from: real, entries: [o], promised }];
    });
  }

  #entriesOf(ref: ObjectRef): Outstanding[] {
    return this.#p.journal
      .pathsOf(baseName(ref))
      .flatMap((path) => this.#p.journal.at(path) ?? [])
      .filter((o) => o.ref === ref);
  }

  /** Where something may be written, by all names that lead to one of the files. */
  #places(moves: readonly Move[]): Set<string> {
    const places = new Set<string>();
    for (const { from, entries, promised } of moves) {
      for (const place of [from, promised.path, ...entries.map((o) => o.path)]) places.add(place);
      const there = placeholderAt(promised.path);
      if (there !== undefined) for (const o of this.#entriesOf(there)) places.add(o.path);
    }
    return places;
  }

  /** Resolves when this is the path's writer, which it stays until `over`. Who asks for many asks in one turn: no deadlock. */
  #hold(path: string, over: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      void this.#p.forcer.withPath(path, () => {
        resolve();
        return over;
      });
    });
  }

  /** The call is over: the promise is kept for the names that have the placeholder now. */
  #arrive({ ref, from, promised }: Move, mover: Session): void {
    const { journal, history } = this.#p;
    const entries = this.#entriesOf(ref);
    const arrived = placeholderAt(promised.path) === ref;
    const known = entries.some((o) => o.path !== promised.path && canonical(o.path) === promised.path);
    if (arrived && !known) journal.promise(promised);
    else journal.notArrived(promised.path);
    let stays = 0;
    for (const o of entries) {
      if (o.path === promised.path) continue;
      if (placeholderAt(o.path) === ref) stays++;
      else if (journal.at(o.path)?.ref === ref) journal.settle(o.path);
    }
    // A symlink was renamed, and the file it leads to is still where it was.
    if (stays === 0 && from !== promised.path && placeholderAt(from) === ref)
      journal.promise({ ...promised, path: from });
    if (!arrived) return;
    const paths = entries.map((o) => o.path);
    for (const session of this.#p.sessions.values())
      if (session === mover || paths.some((p) => session.paths.has(p))) session.paths.add(promised.path);
    for (const path of paths)
      if (path !== promised.path)
        history.note({ path, how: 'moved', thunk: baseName(ref), detail: promised.path });
    history.note({ path: promised.path, how: 'deferred', thunk: baseName(ref) });
  }
}

/** A path as its directory really is; the last part may be a symlink. */
function canonical(path: string): string | undefined {
  try {
    const directory = realpathSync.native(dirname(path));
    return `${directory === '/' ? '' : directory}/${basename(path)}`;
  } catch {
    return undefined;
  }
}

/** As `canonical`, for many paths of few directories. */
function canonicalPaths(): (path: string) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (path) => {
    const directory = dirname(path);
    if (!known.has(directory)) known.set(directory, canonical(`${directory}/.`)?.slice(0, -2));
    const real = known.get(directory);
    return real === undefined ? undefined : `${real}/${basename(path)}`;
  };
}
