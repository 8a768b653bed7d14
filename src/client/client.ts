// Our command line's connection to the session server.
import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { isOwnSocket, runtimePaths } from '../wire/runtime-paths.ts';
import type { FromServer, ToServer } from '../wire/cli-messages.ts';
import { decodeBody, encodeFrame, FIELD, FrameReader } from '../wire/shim-frames.ts';
import { CliError, EXIT } from '../settings/exit.ts';

export class Client {
  readonly #socket: Socket;
  readonly #waiting: {
    want: FromServer['op'];
    resolve: (m: FromServer) => void;
    reject: (e: Error) => void;
  }[] = [];
  onEvent: ((message: Extract<FromServer, { op: 'event' }>) => void) | undefined;
  /** The connection ended without close(). */
  onLost: (() => void) | undefined;
  #lost: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const frames = new FrameReader();
    socket.on('data', (chunk) => {
      for (const body of frames.push(chunk)) {
        const json = decodeBody(body).find(([tag]) => tag === FIELD.JSON)?.[1];
        if (json) this.#receive(JSON.parse(json.toString('utf8')) as FromServer);
        else
          this.#fail(
            new CliError(EXIT.server, 'the server speaks another version', "run 'gg stop' and try again"),
          );
      }
    });
    const lost = (): void =>
      this.#fail(new CliError(EXIT.server, 'the session server went away', "'gg force' goes on from here"));
    socket.on('error', lost);
    socket.on('close', lost);
  }

  #receive(message: FromServer): void {
    if (message.op === 'event') {
      this.onEvent?.(message);
      return;
    }
    const next = this.#waiting.shift();
    if (message.op === 'error')
      next?.reject(
        message.advice === undefined
          ? new CliError(EXIT.internal, message.message, 'please report this')
          : new CliError(EXIT.config, message.message, message.advice),
      );
    else next?.resolve(message);
  }

  #fail(error: Error): void {
    const first = this.#lost === undefined;
    this.#lost ??= error;
    if (first) this.onLost?.();
    for (const w of this.#waiting.splice(0)) w.reject(this.#lost);
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Sends and waits for the answer of that kind. */
  ask<Op extends FromServer['op']>(message: ToServer, want: Op): Promise<Extract<FromServer, { op: Op }>> {
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ want, resolve: resolve as (m: FromServer) => void, reject });
      this.send(message);
    });
  }

  send(message: ToServer): void {
    this.#socket.write(
      encodeFrame([
        [FIELD.REQUEST_KIND, 'cli'],
        [FIELD.JSON, JSON.stringify(message)],
      ]),
    );
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** @returns undefined when no server runs. */
export async function connectIfRunning(): Promise<Client | undefined> {
  const uid = process.getuid?.() ?? 0;
  const { socketPath } = runtimePaths(process.env, uid);
  // Credentials go over this connection.
  if (!isOwnSocket(socketPath, uid)) return undefined;
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(new Client(socket));
    });
    socket.once('error', () => resolve(undefined));
  });
}

/** Connects; starts the server when there is none. @throws CliError when it cannot be had. */
export async function connectOrStart(nativeDirectory: string): Promise<Client> {
  const running = await connectIfRunning();
  if (running) return running;
  const started = spawnSync(join(nativeDirectory, 'gg-server-start'), [], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const client = await connectIfRunning();
  if (client) return client;
  const why = started.stderr?.toString().trim().replace(/^gg: /, '') || 'it did not answer';
  throw new CliError(EXIT.server, `no session server: ${why}`, "run 'gg doctor'");
}
