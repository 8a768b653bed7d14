// The session server: one per user, answers shims and our command line over a Unix socket that only its user can reach.
import { chmodSync, existsSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { EngineChoice } from '../engine/choice.ts';
import type { Placement } from '../engine/engine.ts';
import type { LimitedEngine } from '../engine/limited.ts';
import type { ObjectName } from '../ir/name.ts';
import { decodeThunk } from '../ir/thunk.ts';
import type { Event } from '../report/events.ts';
import { isBelow } from '../scan/watching.ts';
import { tryStat } from '../store/stat.ts';
import { isGone } from './ancestry.ts';
import { readCallRequest } from './call-request.ts';
import type { Answer, Calls } from './calls.ts';
import { finalize, inScope } from './finalize.ts';
import type { Forcer } from './forcer.ts';
import type { History } from './history.ts';
import type { Journal } from './journal.ts';
import type { FromServer, ToServer } from './messages.ts';
import type { Moves } from './moves.ts';
import type { Owed } from './owed.ts';
import { Prefetch, prefetchOwner } from './prefetch.ts';
import { decodeBody, encodeFrame, FIELD, FrameReader, ProtocolError } from './protocol.ts';
import type { SelfCheck } from './self-check.ts';
import { Session } from './session.ts';
import { absolute, placeholderAt } from './tree.ts';

export interface ServerParts {
  readonly socketPath: string;
  readonly stateDirectory: string;
  readonly nativeDirectory: string;
  readonly version: string;
  readonly idleMs: number;
  readonly calls: Calls;
  readonly forcer: Forcer;
  readonly moves: Moves;
  /** The local one, of all sessions. */
  readonly engine: LimitedEngine;
  /** Joins a session with the engine it asks for. @throws Error whose message tells the person what is missing. */
  readonly openEngine: (choice: EngineChoice, session: Session, jobs: number) => Promise<void>;
  readonly journal: Journal;
  readonly history: History;
  readonly owed: Owed;
  readonly sessions: Map<string, Session>;
  readonly detached: Session;
  readonly selfCheck: SelfCheck;
  readonly heal: (absPath: string, owner: string) => Promise<boolean>;
  /** Called when nobody has asked for anything for `idleMs`, before the server ends: time to keep house. */
  readonly idle: () => void;
  /** Called once, when the server has ended. */
  readonly ended: () => Promise<void>;
}

/** Finished sessions whose counters `gg status` still shows. */
const SESSIONS_KEPT = 20;
/** Milliseconds an event may wait for others; nobody sees the difference. */
const EVENTS_MS = 20;
/** Connections at once; a build makes as many as its -j, and file descriptors are bounded. */
const CONNECTIONS_MAX = 4096;

export class SessionServer {
  readonly #p: ServerParts;
  readonly #server: Server;
  readonly #startedMs = Date.now();
  #connections = 0;
  #idle: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(parts: ServerParts) {
    this.#p = parts;
    this.#server = createServer({ allowHalfOpen: false }, (socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** @throws when the directory is not ours alone, or another server answers on the socket. */
  async listen(): Promise<void> {
    const path = this.#p.socketPath;
    const directory = lstatSync(dirname(path));
    if (!directory.isDirectory() || directory.uid !== process.getuid?.() || (directory.mode & 0o077) !== 0) {
      throw new Error(`${dirname(path)} must be a directory of yours with mode 0700`);
    }
    if (existsSync(path)) rmSync(path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => resolve());
    });
    chmodSync(path, 0o600);
    this.#beIdle();
  }

  #beIdle(): void {
    clearTimeout(this.#idle);
    if (this.#connections > 0 || this.#p.idleMs === 0) return;
    this.#idle = setTimeout(() => {
      if (this.#connections > 0 || this.#p.forcer.reductor.pending > 0) return this.#beIdle();
      this.#p.idle();
      // Somebody may have come meanwhile.
      setImmediate(() => (this.#connections === 0 ? void this.stop() : undefined));
    }, this.#p.idleMs);
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearTimeout(this.#idle);
    rmSync(this.#p.socketPath, { force: true });
    this.#server.close();
    this.#p.history.flush();
    this.#p.journal.close();
    await this.#p.engine.close();
    await this.#p.ended();
  }

  #accept(socket: Socket): void {
    this.#connections++;
    clearTimeout(this.#idle);
    const frames = new FrameReader();
    let client: CliClient | undefined;
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#connections--;
      client?.closed();
      this.#beIdle();
    });
    socket.on('data', (chunk) => {
      try {
        for (const body of frames.push(chunk)) {
          const fields = decodeBody(body);
          const kind = fields.find(([tag]) => tag === FIELD.REQUEST_KIND)?.[1].toString('latin1');
          if (kind === 'cli') {
            client ??= new CliClient(socket, this, this.#p, this.#startedMs);
            const json = fields.find(([tag]) => tag === FIELD.JSON)?.[1];
            if (json) client.receive(JSON.parse(json.toString('utf8')) as ToServer);
          } else if (kind === 'move' || kind === 'over' || kind === 'settle')
            void this.#move(socket, kind, fields);
          else if (kind === 'call' || kind === 'open' || kind === 'keep')
            void this.#answer(socket, kind, fields);
          else socket.end(encodeFrame([[FIELD.ANSWER_KIND, 'wrong-version']]));
        }
      } catch (error) {
        if (error instanceof ProtocolError) socket.end(encodeFrame([[FIELD.ANSWER_KIND, 'wrong-version']]));
        else socket.destroy();
      }
    });
  }

  /** The connection stays until the file has its new name; what may be written meanwhile waits for its end. */
  async #move(socket: Socket, kind: 'move' | 'over' | 'settle', fields: [number, Buffer][]): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      for (const end of ['end', 'close']) socket.once(end, () => resolve());
    });
    let ready = false;
    try {
      const request = readCallRequest(fields);
      if (!ownProcess(request.pid)) throw new Error(`process ${request.pid} is not ours`);
      ready = await this.#p.moves[kind](request, closed);
    } catch (error) {
      this.#p.history.fault(error);
    }
    if (!socket.destroyed) socket.write(encodeFrame([[FIELD.ANSWER_KIND, ready ? 'ready' : 'failed']]));
  }

  async #answer(socket: Socket, kind: 'call' | 'open' | 'keep', fields: [number, Buffer][]): Promise<void> {
    let hungUp = false;
    let writes = false;
    // Who hung up waits for our end: it comes at once, but not while files are written.
    socket.allowHalfOpen = true;
    socket.once('close', () => (hungUp = true));
    socket.once('end', () => {
      hungUp = true;
      if (!writes) socket.end();
    });
    let answer: Answer;
    try {
      const request = readCallRequest(fields);
      if (!ownProcess(request.pid)) throw new Error(`process ${request.pid} is not ours`);
      const gone = (): boolean => {
        writes = !(request.direct ? hungUp : isGone(request.pid));
        return !writes;
      };
      answer =
        kind === 'call'
          ? await this.#p.calls.call(request, gone)
          : await this.#p.calls.open(request, kind === 'keep');
    } catch (error) {
      this.#p.history.fault(error);
      answer = { kind: kind === 'call' ? 'run' : 'failed' };
    }
    if (socket.destroyed || socket.writableEnded) return;
    socket.end(
      answer.kind === 'exit'
        ? encodeFrame([
            [FIELD.ANSWER_KIND, 'exit'],
            [FIELD.EXIT_CODE, answer.code],
            [FIELD.STDOUT, answer.stdout],
            [FIELD.STDERR, answer.stderr],
          ])
        : encodeFrame([[FIELD.ANSWER_KIND, answer.kind]]),
    );
  }
}

/** A caller must be a process of the same user; the socket's directory already keeps others out. */
function ownProcess(pid: number): boolean {
  const stat = tryStat(`/proc/${pid}`);
  return stat === undefined || stat.uid === process.getuid?.() || process.getuid?.() === 0 || stat.uid === 0;
}

/** One connection of our command line. */
class CliClient {
  readonly #socket: Socket;
  readonly #server: SessionServer;
  readonly #p: ServerParts;
  readonly #startedMs: number;
  #session: Session | undefined;
  /** Events of this turn of the loop; they go out together. */
  #events: Event[] = [];
  #prefetch: Prefetch | undefined;
  #sessionStartedMs = Date.now();
  #ended = false;

  constructor(socket: Socket, server: SessionServer, parts: ServerParts, startedMs: number) {
    this.#socket = socket;
    this.#server = server;
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
        this.#socket.end(() => void this.#server.stop());
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
