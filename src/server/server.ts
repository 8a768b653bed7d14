// The session server: one per user, answers shims and our command line over a Unix socket that only its user can reach.
import { chmodSync, existsSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { EngineChoice } from '../settings/engine-choice.ts';
import type { LimitedEngine } from '../engine/layers/limited.ts';
import { tryStat } from '../base/stat.ts';
import { isGone } from '../caller/ancestry.ts';
import { readCallRequest } from '../caller/call-request.ts';
import type { Answer, Calls } from '../session/calls.ts';
import { CliClient } from './cli-connection.ts';
import type { Barriers } from '../session/barrier.ts';
import type { Forcer } from '../session/forcer.ts';
import type { History } from '../tree/history.ts';
import type { Journal } from '../tree/journal.ts';
import type { ToServer } from '../wire/cli-messages.ts';
import type { Moves } from '../session/renames.ts';
import type { Owed } from '../session/unmade-outputs.ts';
import { decodeBody, encodeFrame, FIELD, FrameReader, ProtocolError } from '../wire/shim-frames.ts';
import type { SelfCheck } from '../session/self-check.ts';
import type { Session } from '../session/session.ts';

export interface ServerParts {
  readonly socketPath: string;
  readonly stateDirectory: string;
  readonly nativeDirectory: string;
  readonly version: string;
  readonly idleMs: number;
  readonly calls: Calls;
  readonly forcer: Forcer;
  readonly moves: Moves;
  readonly barriers: Barriers;
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
            client ??= new CliClient(socket, () => this.stop(), this.#p, this.#startedMs);
            const json = fields.find(([tag]) => tag === FIELD.JSON)?.[1];
            if (json) client.receive(JSON.parse(json.toString('utf8')) as ToServer);
          } else if (kind === 'move' || kind === 'over' || kind === 'settle')
            void this.#move(socket, kind, fields);
          else if (kind === 'call' || kind === 'open' || kind === 'keep' || kind === 'barrier')
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

  async #answer(
    socket: Socket,
    kind: 'call' | 'open' | 'keep' | 'barrier',
    fields: [number, Buffer][],
  ): Promise<void> {
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
      if (kind === 'call') answer = await this.#p.calls.call(request, gone);
      else if (kind === 'barrier')
        answer = { kind: (await this.#p.barriers.pass(request)) ? 'ready' : 'failed' };
      else answer = await this.#p.calls.open(request, kind === 'keep');
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
