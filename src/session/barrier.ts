// Barriers: the preload library sees the start of a program that it cannot be in (static, set-user-ID, of another class, with a
// cleared environment, below another root, as another user). Such a program reads what stands in the tree, so all it can reach is
// made real before it starts.
import { dirname } from 'node:path';
import { isBelow } from '../scan/disk/watching.ts';
import { tryStat } from '../base/stat.ts';
import { type CallRequest, commandText } from '../caller/call-request.ts';
import type { History } from '../tree/history.ts';
import type { Journal, Outstanding } from '../tree/journal.ts';
import { absolute, placeholderAt } from '../tree/placeholder-at.ts';
import type { Forcer } from './forcer.ts';
import type { Session } from './session.ts';

export interface BarrierParts {
  readonly journal: Journal;
  readonly forcer: Forcer;
  readonly history: History;
  /** Heals an archive that holds placeholders; true when it is clean. */
  readonly heal: (absPath: string, owner: string) => Promise<boolean>;
  readonly sessionOf: (id: string | undefined) => Session;
}

/** Why the library is not in a program, as wrappers/interpose.c says it. */
const MEANING: Readonly<Record<string, string>> = {
  'cleared-environment': 'it starts without our variables',
  'other-class': 'it is of another class, machine or C library',
  'other-user': 'it runs as another user, or where our library is not',
  'setuid-program': 'it gets rights its caller lacks',
  'static-program': 'it is static',
  chroot: 'it runs below another root',
  daemon: 'a program that was there before the build works for it',
  loader: 'the dynamic loader speaks for it',
  sanitizer: 'its runtime wants to be the first library',
};

const SHARED_LIBRARY = /\.so(?:\.|$)/;

export class Barriers {
  readonly #p: BarrierParts;

  constructor(parts: BarrierParts) {
    this.#p = parts;
  }

  /**
   * @param request its path is the program, its arguments those of the program, `unusual` the reason; `libraries`: only the loader
   * reads behind the library's back.
   * @returns false when something of it could not be made real.
   */
  async pass(request: CallRequest): Promise<boolean> {
    const session = this.#p.sessionOf(request.env.get('GG_SESSION'));
    const paths = this.#reachable(request, session);
    const unmade = paths.filter((path) => placeholderAt(path) !== undefined);
    const since = Date.now();
    const made = await Promise.all(paths.map((path) => this.#makeReal(path, session)));
    if (unmade.length > 0 && request.unusual !== 'libraries')
      this.#tell(request, session, unmade, Date.now() - since);
    return !made.includes(false);
  }

  #reachable(request: CallRequest, session: Session): string[] {
    const outstanding = this.#p.journal.outstanding();
    if (request.unusual === 'libraries')
      return outstanding.filter(({ path }) => SHARED_LIBRARY.test(path)).map(({ path }) => path);
    const named = namedFiles(request);
    const places = new Set([request.cwd, ...named.flatMap((path) => [path, dirname(path)])]);
    if (session.options.cwd !== '/') places.add(session.options.cwd);
    // "/" holds everything, and is named by many who mean less.
    places.delete('/');
    const below = [...places];
    const isWithin = ({ path, project }: Outstanding): boolean =>
      session.paths.has(path) || isBelow(path, below) || isBelow(request.cwd, [project]);
    const paths = new Set(outstanding.filter(isWithin).map(({ path }) => path));
    // Archives, too, that other programs made of placeholders, and placeholders that no record leads to.
    for (const path of named) if (tryStat(path)?.isFile()) paths.add(path);
    return [...paths];
  }

  async #makeReal(path: string, session: Session): Promise<boolean> {
    const forced = await this.#p.forcer.forcePath(path, session.id);
    return forced.kind === 'real' && (await this.#p.heal(path, session.id));
  }

  #tell(request: CallRequest, session: Session, unmade: readonly string[], waitMs: number): void {
    const { path, args, cwd, unusual } = request;
    const tool = path.slice(path.lastIndexOf('/') + 1) || unusual;
    const command = commandText([path || unusual, ...args]);
    const detail = `${path || unusual}: ${MEANING[unusual] ?? unusual}; ${unmade.length} made real before it`;
    session.noteBypass({ tool, reason: 'unreachable-program', detail, command, cwd });
    this.#p.history.note({ path: cwd, how: 'bypass', reason: 'unreachable-program', detail, command });
    session.emit({ type: 'midway', path: unmade[0]!, by: tool, waitMs });
  }
}

/** Files and directories that the program's words name, also behind "=": `--from=FILE`, `if=FILE`. */
function namedFiles({ args, cwd }: CallRequest): string[] {
  const named = new Set<string>();
  for (const word of args)
    for (const text of [word, word.slice(word.indexOf('=') + 1)]) {
      const path = absolute(cwd, text);
      if (text !== '' && tryStat(path)) named.add(path);
    }
  return [...named];
}
