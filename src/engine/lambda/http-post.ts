// One POST over a kept connection, with the two ways to give it up: the caller's signal and a limit of time.
import { type Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface PostOptions {
  readonly secure: boolean;
  readonly agent: HttpAgent | HttpsAgent;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
  /** Until the last byte of the answer. */
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Milliseconds a connection may take to come about. */
const CONNECT_MS_MAX = 5000;

/** @throws the network's error, with `code`; ETIMEDOUT when a limit was reached. */
export function post(options: PostOptions): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const late = (what: string): Error =>
      Object.assign(new Error(`${options.hostname}: ${what}`), { code: 'ETIMEDOUT' });
    const out = (options.secure ? httpsRequest : httpRequest)(
      {
        agent: options.agent,
        hostname: options.hostname,
        ...(options.port === undefined ? {} : { port: options.port }),
        method: 'POST',
        path: options.path,
        headers: options.headers,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          stopWatching();
          const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
        response.on('error', fail);
      },
    );
    const limit = setTimeout(() => out.destroy(late('no answer in time')), options.timeoutMs);
    const abort = (): void => void out.destroy(new Error('given up'));
    const stopWatching = (): void => {
      clearTimeout(limit);
      options.signal.removeEventListener('abort', abort);
    };
    function fail(error: Error): void {
      stopWatching();
      reject(error);
    }
    if (options.signal.aborted) abort();
    else options.signal.addEventListener('abort', abort, { once: true });
    out.on('error', fail);
    out.on('socket', (socket) => {
      if (!socket.connecting) return;
      const connecting = setTimeout(() => out.destroy(late('no connection')), CONNECT_MS_MAX);
      socket.once('connect', () => clearTimeout(connecting));
      socket.once('close', () => clearTimeout(connecting));
    });
    out.end(options.body);
  });
}
