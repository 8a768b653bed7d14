// What builds that failed or were interrupted still owe: outputs whose placeholders were taken away. make repeats such calls,
// for their targets are missing, unless a recipe went on after a call that had been put off and made its target all the same
// (`gcc -c x.c` and, in the next line, `touch stamp`). The next build by the same command makes those up.
//
// Format (version 1): one JSON file, `{"version":1,"debts":[Debt]}`; what does not parse is forgotten.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Placement } from '../ir/placement.ts';
import { baseName, isValue, type ObjectRef } from '../ir/name.ts';
import { decodeThunk, type Thunk } from '../ir/thunk.ts';
import type { DigestCache } from '../store/local/digest-cache.ts';
import type { LocalStore } from '../store/local/local.ts';
import { tryLstatNs, tryStat, tryStatNs } from '../base/stat.ts';
import type { Journal } from '../tree/journal.ts';
import type { Session } from './session.ts';
import { absolute } from '../tree/placeholder-at.ts';

/** A placeholder that was taken away. */
export interface Taken {
  readonly path: string;
  readonly ref: ObjectRef;
  readonly project: string;
  readonly place: Placement;
  readonly mode: number;
  /** The placeholder, base64. */
  readonly placeholder: string;
}

interface Debt {
  /** Where the build's command ran, and what it was. */
  readonly cwd: string;
  readonly command: string;
  /**
   * What else the build was by: the directories where the command ran and around the outputs, with the build files in them and the
   * files that the command names. Another tree or other rules may not want the outputs any more.
   */
  readonly by: readonly string[];
  readonly taken: readonly Taken[];
}

const BUILD_FILE =
  /^(?:(?:GNU)?[Mm]akefile(?:\..*)?|.*\.(?:mk|mak|make|ninja)|Kbuild.*|\.config|config\.status|CMakeLists\.txt|meson\.build)$/;
/** Build files looked at; in a directory of more the first ones by name stand for all. */
const BUILD_FILES_MAX = 256;
/** Directories whose build files are looked at. */
const DIRECTORIES_MAX = 64;
const DEBTS_MAX = 64;
/** Outputs remembered of a build. */
export const TAKEN_MAX = 4096;

export interface OwedParts {
  readonly file: string;
  readonly journal: Journal;
  readonly store: LocalStore;
  readonly digests: DigestCache;
}

export class Owed {
  readonly #p: OwedParts;
  #debts: readonly Debt[] | undefined;

  constructor(parts: OwedParts) {
    this.#p = parts;
  }

  /**
   * Leaves placeholders anew for what an earlier build by the same command owes and this one did not make.
   * @returns outputs that cannot be made so: what they are made of has changed since.
   */
  makeUp(session: Session): readonly string[] {
    const due = this.#due(session);
    if (!due) return [];
    const changed: string[] = [];
    for (const taken of due.taken) {
      if (session.paths.has(taken.path) || tryLstatNs(taken.path)) continue;
      if (!tryStat(dirname(taken.path))?.isDirectory()) continue;
      const bytes = this.#p.store.get(baseName(taken.ref));
      if (!bytes) continue;
      const thunk = decodeThunk(bytes);
      // Its source is gone: nobody wants it.
      if (thunk.inputs.some((i) => isValue(i.name) && !tryStat(absolute(taken.place.cwd, i.path)))) continue;
      if (!this.#isAsItWas(thunk, taken)) {
        changed.push(taken.path);
        continue;
      }
      const { path, ref, project, mode, place } = taken;
      this.#p.journal.place(baseName(ref), place);
      this.#p.journal.promise({ path, ref, project, sides: [] });
      writeFileSync(path, Buffer.from(taken.placeholder, 'base64'), { mode, flag: 'wx' });
      session.paths.add(path);
    }
    return changed;
  }

  /** Remembers what this build took away, in place of what was remembered of builds by the same command. */
  settle(session: Session): void {
    const others = this.#read().filter((d) => !isBy(d, session));
    if (session.taken.size === 0 && others.length === this.#read().length) return;
    const taken = [...(session.interrupted ? this.#stillOwed(session) : []), ...session.taken.values()];
    const debt: Debt = {
      cwd: session.options.cwd,
      command: session.options.command ?? '',
      by: this.#by(session, taken),
      taken,
    };
    this.#write([...others.slice(1 - DEBTS_MAX), ...(debt.taken.length > 0 ? [debt] : [])]);
  }

  /** An interrupted build has made up nothing. */
  #stillOwed(session: Session): readonly Taken[] {
    const before = this.#due(session)?.taken ?? [];
    return before.filter((t) => !session.paths.has(t.path)).slice(0, TAKEN_MAX);
  }

  /** Its inputs are what they were; those that are outputs of thunks are owed themselves. */
  #isAsItWas(thunk: Thunk, taken: Taken): boolean {
    return thunk.inputs.every((input) => {
      return (
        !isValue(input.name) || this.#p.digests.digest(absolute(taken.place.cwd, input.path)) === input.name
      );
    });
  }

  /** What is owed to builds by the session's command, while all is there that it was left by. */
  #due(session: Session): Debt | undefined {
    const debt = this.#read().find((d) => isBy(d, session));
    return debt && String(debt.by) === String(this.#by(session, debt.taken)) ? debt : undefined;
  }

  #by(session: Session, taken: readonly Taken[]): string[] {
    const { cwd, command } = session.options;
    const around = taken.flatMap((t) => [t.place.cwd, dirname(t.path)]);
    const directories = [...new Set([cwd, ...around])].slice(0, DIRECTORIES_MAX);
    const found = directories.flatMap((directory) =>
      namesIn(directory)
        .filter((name) => BUILD_FILE.test(name))
        .map((name) => join(directory, name)),
    );
    const named = (command ?? '').split('\0').map((word) => absolute(cwd, word));
    const files = [...named.filter((path) => tryStat(path)?.isFile()), ...found].slice(0, BUILD_FILES_MAX);
    return [
      ...directories.map((directory) => `${directory} ${originOf(directory)}`),
      ...files.map((file) => `${file} ${this.#p.digests.digest(file) ?? ''}`),
    ];
  }

  #read(): readonly Debt[] {
    if (this.#debts) return this.#debts;
    this.#debts = [];
    try {
      const parsed = JSON.parse(readFileSync(this.#p.file, 'utf8')) as { version: number; debts: Debt[] };
      if (parsed.version === 1) this.#debts = parsed.debts;
    } catch {
      // nothing is owed, or nobody can tell
    }
    return this.#debts;
  }

  #write(debts: readonly Debt[]): void {
    this.#debts = debts;
    const temporary = `${this.#p.file}.${process.pid}`;
    mkdirSync(dirname(this.#p.file), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify({ version: 1, debts }), { mode: 0o600 });
    renameSync(temporary, this.#p.file);
  }
}

function isBy(debt: Debt, session: Session): boolean {
  return debt.cwd === session.options.cwd && debt.command === (session.options.command ?? '');
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** Tells a directory from one that came to stand in its place. */
function originOf(directory: string): string {
  const stat = tryStatNs(directory);
  return stat ? `${stat.dev}:${stat.ino}:${stat.birthtimeNs}` : '';
}
