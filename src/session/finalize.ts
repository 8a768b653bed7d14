// The end of a build: forces what is outstanding, finds placeholders that were moved or copied, heals archives, and goes on
// until the tree holds none.
import { type Dirent, lstatSync, readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { baseName, type ObjectName, type ObjectRef } from '../ir/name.ts';
import { mayBePlaceholder } from '../ir/placeholder.ts';
import { isBelow } from '../scan/disk/watching.ts';
import { tryLstat, tryStat } from '../base/stat.ts';
import { placeholdersInArchive } from './archives.ts';
import type { Forcer } from './forcer.ts';
import type { History } from '../tree/history.ts';
import type { Journal, Outstanding } from '../tree/journal.ts';
import { removeLibtoolFiles } from '../tree/libtool.ts';
import type { Moves } from './renames.ts';
import type { Session } from './session.ts';
import { placeholderAt } from '../tree/placeholder-at.ts';

export interface FinalizeParts {
  readonly journal: Journal;
  readonly forcer: Forcer;
  readonly moves: Moves;
  readonly history: History;
  readonly heal: (absPath: string, owner: string) => Promise<boolean>;
}

export interface FinalizeScope {
  /** Only these files and what is below these directories (absolute). */
  readonly paths?: readonly string[];
  /** Everything outstanding, wherever it is. */
  readonly all?: boolean;
  /** What earlier commands left outstanding is owed too, if its placeholder is gone by now. */
  readonly earlier?: boolean;
}

/** Directory entries looked at before other requests get a turn. */
const SLICE = 2000;
/** What git alone writes in a repository, thousands of files; a build may put its own beside them. */
const GIT_OWN: ReadonlySet<string> = new Set(['objects', 'refs', 'logs', 'lfs']);
/** A healed archive may let more be forced; more rounds than this mean something is written as fast as it is forced. */
const ROUNDS_MAX = 10;

export function inScope(o: Outstanding, session: Session, scope: FinalizeScope): boolean {
  if (scope.all) return true;
  if (scope.paths) return isBelow(o.path, scope.paths);
  return (
    session.paths.has(o.path) ||
    isBelow(o.path, [session.options.cwd]) ||
    isBelow(o.project, [session.options.cwd])
  );
}

/** Placeholders and archives with placeholders below a directory. */
export async function findPlaceholders(
  roots: Iterable<string>,
  changedSinceMs: number,
): Promise<{ files: string[]; archives: string[] }> {
  const files: string[] = [];
  const archives: string[] = [];
  const stack = [...new Set(roots)];
  const seen = new Set<string>();
  let looked = 0;
  while (stack.length > 0) {
    const directory = stack.pop()!;
    if (seen.has(directory)) continue;
    seen.add(directory);
    let entries: Dirent[];
    try {
      entries = readdirSync(directory, { withFileTypes: true });
    } catch {
      continue;
    }
    const isRepository = ['HEAD', 'objects', 'refs'].every((name) => entries.some((e) => e.name === name));
    for (const entry of entries) {
      if (++looked % SLICE === 0) await turn();
      const path = `${directory === '/' ? '' : directory}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!(isRepository && GIT_OWN.has(entry.name))) stack.push(path);
        continue;
      }
      if (!entry.isFile()) continue;
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat) continue;
      if (mayBePlaceholder(stat.size) && placeholderAt(path) !== undefined) files.push(path);
      else if (stat.size > 1152 && stat.ctimeMs >= changedSinceMs && placeholdersInArchive(path).length > 0)
        archives.push(path);
    }
  }
  return { files, archives };
}

/** Where placeholders may have been moved that nobody watched. */
function projectsOf(gone: Iterable<Outstanding>): string[] {
  return [...gone].flatMap((o) => (o.watched || o.project === '/' ? [] : [o.project]));
}

/** Says what is not known of a placeholder that is not where it was promised, unless it is known. */
function settleGone(
  o: Outstanding,
  found: ReadonlySet<ObjectRef>,
  session: Session,
  parts: FinalizeParts,
): void {
  const { journal, forcer, history } = parts;
  if (journal.at(o.path) !== o) return;
  journal.settle(o.path);
  const thunk = baseName(o.ref);
  const elsewhere = found.has(o.ref) || journal.pathsOf(thunk).some((p) => journal.at(p)?.ref === o.ref);
  if (elsewhere || tryLstat(o.path) || forcer.reductor.node(thunk)?.state === 'failed') return;
  history.note({ path: o.path, how: 'gone', thunk });
  // The preload library tells of moves: it was removed, as recipes do with what they need no more.
  if (!o.watched) session.emit({ type: 'gone', path: o.path });
}

/** @returns paths that still are placeholders when nothing more can be done. */
export async function finalize(
  session: Session,
  scope: FinalizeScope,
  startedMs: number,
  parts: FinalizeParts,
): Promise<readonly string[]> {
  const { journal, forcer } = parts;
  const { cwd } = session.options;
  const isOurs = (project: string): boolean => isBelow(project, [cwd]) || isBelow(cwd, [project]);
  // A build that was killed may have left archives that a real ar made of placeholders.
  const sinceMs = Math.min(startedMs, journal.openSinceMs(isOurs) ?? startedMs);
  let strays: readonly string[] = [];
  const gone = new Map<string, Outstanding>();
  const found = new Set<ObjectRef>();
  let unhealed = false;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await parts.moves.settled();
    const targets = new Set<ObjectName>();
    const outstanding = journal.outstanding().filter((o) => inScope(o, session, scope));
    if (session.interrupted) {
      const own = outstanding.filter((o) => session.paths.has(o.path) && !forcer.isAnothers(o.path, session));
      for (const o of own) await forcer.withPath(o.path, async () => forcer.takeAwayPath(o.path, [session]));
      break;
    }
    for (const o of outstanding) {
      if (session.stopped && !session.options.keepGoing) {
        forcer.takeAwayPath(o.path, [session]);
        continue;
      }
      if (placeholderAt(o.path) === o.ref) targets.add(baseName(o.ref));
      else if (session.paths.has(o.path) || !tryLstat(o.path)) {
        // Its command was answered with success: a failure must come to light, wherever the placeholder went.
        gone.set(o.path, o);
        if (scope.earlier || session.paths.has(o.path)) targets.add(baseName(o.ref));
      } else journal.settle(o.path);
    }
    await Promise.all([...targets].map((name) => forcer.reductor.force(name, session.id)));
    if (session.abandoned) break;
    const roots = scope.paths
      ? scope.paths.filter((p) => tryStat(p)?.isDirectory())
      : [session.options.cwd, ...session.directories, ...projectsOf(gone.values())];
    const walked = await findPlaceholders(roots, sinceMs);
    const single = (scope.paths ?? []).filter((p) => placeholderAt(p) !== undefined);
    strays = [...walked.files, ...single];
    if (strays.length + walked.archives.length === 0) break;
    for (const p of strays) {
      const ref = placeholderAt(p);
      if (ref !== undefined) found.add(ref);
    }
    const archives = session.stopped && !session.options.keepGoing ? [] : walked.archives;
    const results = await Promise.all([
      ...strays.map(async (p) => (await forcer.settleStray(p, session)) === 'real'),
      ...archives.map((p) => parts.heal(p, session.id)),
    ]);
    unhealed = results.slice(strays.length).includes(false);
    if (!results.includes(true)) break;
  }
  if (!session.abandoned) for (const o of gone.values()) settleGone(o, found, session, parts);
  // Not before: libtool may have written its own when the output was gone already.
  for (const path of session.failedPaths) if (!tryLstat(path)) removeLibtoolFiles(path);
  const outstanding = journal.outstanding().filter((o) => inScope(o, session, scope));
  const left = new Set(outstanding.filter((o) => placeholderAt(o.path) === o.ref).map((o) => o.path));
  for (const path of strays) if (placeholderAt(path) !== undefined) left.add(path);
  if (left.size === 0 && !unhealed && !session.stopped && !session.abandoned && !scope.paths)
    journal.closeProjects((p) => isBelow(p, [cwd]));
  return [...left];
}
