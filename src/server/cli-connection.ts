// One connection of our command line: a session from its beginning to its end, and what is asked about the server.
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Placement } from '../ir/placement.ts';
import type { ObjectName } from '../ir/name.ts';
import { decodeThunk } from '../ir/thunk.ts';
import type { Event } from '../report/events.ts';
import { isBelow } from '../scan/disk/watching.ts';
import { tryStat } from '../base/stat.ts';
import { finalize, inScope } from '../session/finalize.ts';
import type { FromServer, ToServer } from '../wire/cli-messages.ts';
import { Prefetch, prefetchOwner } from '../session/prefetch.ts';
import { encodeFrame, FIELD } from '../wire/shim-frames.ts';
import type { ServerParts } from './server.ts';
import { Session } from '../session/session.ts';
import { absolute, placeholderAt } from '../tree/placeholder-at.ts';

/** Finished sessions whose counters `gg status` still shows. */
const SESSIONS_KEPT = 20;
/** Milliseconds an event may wait for others; nobody sees the difference. */
const EVENTS_MS = 20;

export class CliClient {
  readonly #socket: Socket;
  readonly #stop: () => Promise<void>;
  readonly #p: ServerParts;
  readonly #startedMs: number;
  #session: Session | undefined;
  /** Events of this turn of the loop; they go out together. */
  #events: Event[] = [];
  #prefetch: Prefetch | undefined;
  #sessionStartedMs = Date.now();
  #ended = false;

  /** @param stop ends the server. */
  constructor(socket: Socket, stop: () => Promise<void>, parts: ServerParts, startedMs: number) {
    this.#socket = socket;
    this.#stop = stop;
    this.#p = parts;
    this.#startedMs = startedMs;
  }

  #send(message: FromServer): void {
    const events = this.#events.map((event): FromServer => ({ op: 'event', event }));
    this.#events = [];
    if (this.#socket.destroyed) return;
    const frames = [...events, message].map((each) =>
      encodeFrame([
        [FIELD.REQUEST_KIND, 'cli'],
        [FIELD.JSON, JSON.stringify(each)],
      ]),
    );
    this.#socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  /** A write costs more than an event: those that come within EVENTS_MS share one. */
  #sendSoon(event: Event): void {
    this.#events.push(event);
    if (this.#events.length > 1) return;
    setTimeout(() => {
      const last = this.#events.pop();
      if (last) this.#send({ op: 'event', event: last });
    }, EVENTS_MS);
  }

  receive(message: ToServer): void {
    switch (message.op) {
      case 'begin': {
        if (this.#session) {
          this.#send({ op: 'error', message: 'a second begin' });
          return;
        }
        const session = new Session(message);
        this.#session = session;
        this.#sessionStartedMs = Date.now();
        this.#p.sessions.set(session.id, session);
        session.listen((event) => this.#sendSoon(event));
        void this.#begin(session, message);
        return;
      }
      case 'finalize':
        void this.#finalize(message).catch((error: unknown) =>
          this.#send({
            op: 'error',
            message: error instanceof Error ? (error.stack ?? error.message) : String(error),
          }),
        );
        return;
      case 'prefetch': {
        if (!this.#session) return;
        const { nativeDirectory } = this.#p;
        this.#prefetch ??= new Prefetch(
          this.#p.calls,
          this.#session,
          new Set([join(nativeDirectory, 'bin'), nativeDirectory]),
        );
        this.#prefetch.add(message);
        return;
      }
      case 'abandon':
        this.#endPrefetch();
        this.#abandon();
        // After the cancelling: other trees may wait for the same thunks.
        if (this.#session && message.takeAway) this.#session.interrupted = true;
        return;
      case 'status': {
        const outstanding = this.#p.journal.outstanding();
        const here = outstanding.filter(
          (o) => o.path.startsWith(`${message.cwd}/`) || o.project === message.cwd,
        );
        this.#send({
          op: 'status',
          pid: process.pid,
          version: this.#p.version,
          upSeconds: Math.round((Date.now() - this.#startedMs) / 1000),
          memoryBytes: process.memoryUsage.rss(),
          outstanding: here.map((o) => ({ path: o.path, ref: o.ref })),
          outstandingElsewhere: outstanding.length - here.length,
          running: this.#p.forcer.reductor.inFlight,
          queued: this.#p.forcer.reductor.pending - this.#p.forcer.reductor.inFlight,
          sessions: [...this.#p.sessions.values()].map((s) => ({
            id: s.id,
            cwd: s.options.cwd,
            counts: s.counts,
            bypasses: Object.fromEntries(s.countByReason),
          })),
          stateDirectory: this.#p.stateDirectory,
          selfCheck: this.#p.selfCheck.status(),
        });
        return;
      }
      case 'explain':
        this.#send({
          op: 'explained',
          records: this.#p.history.about(message.path),
          ref: placeholderAt(message.path),
          bypasses: [...this.#p.sessions.values()].flatMap((s) =>
            s.bypasses.filter((b) => b.cwd === message.path || b.command.includes(message.path)),
          ),
        });
        return;
      case 'stop':
        this.#send({ op: 'stopping' });
        this.#socket.end(() => void this.#stop());
        return;
    }
  }

  async #begin(session: Session, message: Extract<ToServer, { op: 'begin' }>): Promise<void> {
    try {
      if (message.engine.engine !== 'local' || message.engine.remote !== '')
        await this.#p.openEngine(message.engine, session, message.jobs);
    } catch (error) {
      const { message: text, advice } = error as Error & { readonly advice?: string };
      this.#send({ op: 'error', message: text, ...(advice === undefined ? {} : { advice }) });
      return;
    }
    // The connection may be gone by now, and its end has been seen to.
    if (this.#ended) {
      void session.engine?.close();
      return;
    }
    // A session in the cloud uses this machine for what the cloud does not do: as much as is usual here, not its own -j.
    const isLocal = message.engine.engine === 'local';
    this.#p.engine.claim(session.id, isLocal ? message.jobs : undefined);
    this.#p.forcer.reductor.open(session.id, message.jobs, [prefetchOwner(session)]);
    this.#send({
      op: 'begun',
      session: session.id,
      slots: isLocal ? this.#p.engine.usual : message.jobs,
      nativeDirectory: this.#p.nativeDirectory,
      version: this.#p.version,
    });
  }

  async #finalize(message: Extract<ToServer, { op: 'finalize' }>): Promise<void> {
    const session = this.#session;
    if (!session) {
      this.#send({ op: 'error', message: 'finalize before begin' });
      return;
    }
    this.#endPrefetch();
    const scope = {
      ...(message.paths ? { paths: message.paths } : {}),
      ...(message.all ? { all: true } : {}),
      ...(message.earlier ? { earlier: true } : {}),
    };
    if (message.earlier) this.#tellUnheard(session);
    const owes = session.options.command !== undefined && !message.paths;
    const owed = owes && !session.interrupted ? this.#p.owed.makeUp(session) : [];
    const left = await finalize(session, scope, this.#sessionStartedMs, {
      journal: this.#p.journal,
      forcer: this.#p.forcer,
      moves: this.#p.moves,
      history: this.#p.history,
      heal: this.#p.heal,
    });
    if (owes) this.#p.owed.settle(session);
    await session.engineFlush();
    const elsewhere = this.#p.journal.outstanding().filter((o) => !inScope(o, session, scope)).length;
    this.#p.history.flush();
    this.#send({
      op: 'finished',
      counts: session.counts,
      left,
      wrote: [...session.paths],
      owed,
      elsewhere,
      bypasses: Object.fromEntries(session.countByReason),
      notes: session.engineReport(),
    });
  }

  /** What was forced while a plain make ran (`CC=gg-cc make`) had nobody to tell; a failure only while its outputs are missing. */
  #tellUnheard(session: Session): void {
    const { detached, forcer } = this.#p;
    const { cwd } = session.options;
    const isMissing = (name: string, place: Placement): boolean => {
      const bytes = forcer.store.get(name as ObjectName);
      return !bytes || decodeThunk(bytes).outputs.some((o) => !tryStat(absolute(place.cwd, o.path)));
    };
    const places = new Map<string, Placement>();
    const unheard = detached.takeUnheard((name) => {
      const place = forcer.placementOf(name as ObjectName);
      if (place) places.set(name, place);
      return place !== undefined && isBelow(place.cwd, [cwd]);
    });
    for (const event of unheard)
      if (event.type !== 'thunk-failed' || isMissing(event.name, places.get(event.name)!))
        session.emit(event);
  }

  /** What was begun ahead and nobody asked for is not wanted. */
  #endPrefetch(): void {
    if (!this.#prefetch || !this.#session) return;
    this.#prefetch.end();
    this.#p.forcer.reductor.cancel(prefetchOwner(this.#session), { running: true });
    this.#prefetch = undefined;
  }

  #abandon(): void {
    if (!this.#session) return;
    this.#session.abandoned = true;
    this.#p.forcer.reductor.cancel(this.#session.id, { running: true });
  }

  closed(): void {
    this.#ended = true;
    const session = this.#session;
    if (!session) return;
    this.#endPrefetch();
    session.listen(undefined);
    session.abandoned = true;
    this.#p.forcer.reductor.close(session.id, [prefetchOwner(session)]);
    this.#p.engine.release(session.id);
    void session.engine?.close();
    session.engine = undefined;
    const kept = [...this.#p.sessions.keys()].filter((id) => id !== this.#p.detached.id);
    for (const id of kept.slice(0, Math.max(0, kept.length - SESSIONS_KEPT))) this.#p.sessions.delete(id);
    if (this.#p.forcer.reductor.pending === 0) this.#p.forcer.reductor.forget();
  }
}
