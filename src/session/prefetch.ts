// Compiler calls that are expected: planned and begun before they are made. The call itself is answered as ever; when its
// thunk has the name of one begun here, the work is done or on its way.
import { accessSync, constants } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { type CallRequest, searchPathWithout } from '../caller/call-request.ts';
import type { Calls } from './calls.ts';
import type { ToServer } from '../wire/cli-messages.ts';
import type { Session } from './session.ts';

type Expected = Extract<ToServer, { op: 'prefetch' }>;

/** Owner of what nobody has asked for yet; not a session, so that nobody hears of it. */
export const prefetchOwner = (session: Session): string => `prefetch-${session.id}`;

export class Prefetch {
  readonly #calls: Calls;
  readonly #session: Session;
  readonly #shims: ReadonlySet<string>;
  #ended = false;
  #before: Promise<void> = Promise.resolve();

  constructor(calls: Calls, session: Session, shims: ReadonlySet<string>) {
    this.#calls = calls;
    this.#session = session;
    this.#shims = shims;
  }

  add(expected: Expected): void {
    this.#before = this.#before.then(() => this.#run(expected)).catch(() => {});
  }

  /** No call will come any more. */
  end(): void {
    this.#ended = true;
  }

  async #run(expected: Expected): Promise<void> {
    const env = new Map(expected.env);
    const path = searchPathWithout(env.get('PATH') ?? '/usr/local/bin:/usr/bin:/bin', this.#shims);
    const found = new Map<string, string | undefined>();
    for (const [word, ...args] of expected.calls) {
      if (this.#ended || this.#session.stopped || word === undefined) return;
      if (!found.has(word)) found.set(word, programOf(word, expected.cwd, path));
      const realTool = found.get(word);
      if (realTool === undefined) continue;
      const request: CallRequest = {
        tool: basename(realTool),
        realTool,
        args,
        cwd: expected.cwd,
        env,
        umask: expected.umask,
        pid: process.pid,
        direct: false,
        to: '',
        stderrTty: false,
        interposed: (env.get('LD_PRELOAD') ?? '').includes('gg-interpose'),
        stackKb: 0,
        unusual: '',
        path: '',
        utf8: true,
      };
      await this.#calls.prefetch(request, this.#session, prefetchOwner(this.#session));
      // Calls that have come go first.
      await turn();
    }
  }
}

function programOf(word: string, cwd: string, searchPath: string): string | undefined {
  const candidates = word.startsWith('/')
    ? [word]
    : word.includes('/')
      ? [join(cwd, word)]
      : searchPath.split(':').map((d) => join(d, word));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
