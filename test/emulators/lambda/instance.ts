// One instance: a process of its own with an empty directory to write to, as another user where we may, and the Runtime API it
// polls. Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

const NOBODY = 65534;
const RSS_POLL_MS = 200;
export const PAYLOAD_BYTES_MAX = 6 * 1024 * 1024;

export interface InstanceOptions {
  readonly node: string;
  /** The worker's bundle. */
  readonly script: string;
  /** A runtime interface client that loads it, as in Lambda; without one the bundle polls by itself. */
  readonly client?: string | undefined;
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly functionArn: string;
  /** A start takes at least this long. */
  readonly coldStartMs: number;
}

export type Ended =
  | { readonly kind: 'response'; readonly body: Buffer }
  | { readonly kind: 'error'; readonly body: Buffer }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'timeout' | 'out-of-memory' | 'exit' };

export interface Finished {
  readonly ended: Ended;
  readonly durationMs: number;
  /** 0 for a warm one. */
  readonly initMs: number;
  readonly memoryUsedMb: number;
}

interface Current {
  readonly id: string;
  readonly startedMs: number;
  readonly finish: (ended: Ended) => void;
}

export class Instance {
  readonly #o: InstanceOptions;
  readonly #server: Server;
  #child: ChildProcess | undefined;
  #poll: ServerResponse | undefined;
  #ready: (() => void) | undefined;
  #current: Current | undefined;
  #initMs = 0;
  #rssMaxMb = 0;
  dead = false;

  constructor(options: InstanceOptions) {
    this.#o = options;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      request.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= PAYLOAD_BYTES_MAX + 1024) chunks.push(chunk);
      });
      request.on('error', () => {});
      request.on('end', () =>
        this.#route(request.method!, request.url!, Buffer.concat(chunks), size, response),
      );
    });
    this.#server.keepAliveTimeout = 0;
  }

  #route(method: string, url: string, body: Buffer, size: number, response: ServerResponse): void {
    const m =
      /^\/2018-06-01\/runtime\/(?:invocation\/(next|[0-9a-f-]+\/(?:response|error))|init\/error)$/.exec(url);
    const accepted = (status = 202): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end('{"status":"OK"}');
    };
    if (!m) return void response.writeHead(404).end();
    if (m[1] === 'next' && method === 'GET') {
      this.#poll = response;
      this.#ready?.();
      return;
    }
    const current = this.#current;
    const [id, what] = (m[1] ?? '').split('/');
    if (!current || id !== current.id || method !== 'POST') return void response.writeHead(400).end();
    if (what === 'response' && size > PAYLOAD_BYTES_MAX) {
      accepted(413);
      current.finish({ kind: 'too-large' });
      return;
    }
    accepted();
    current.finish({ kind: what === 'error' ? 'error' : 'response', body });
  }

  /** @throws when the process ends before it asks for work. */
  async start(): Promise<void> {
    const began = performance.now();
    const o = this.#o;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    mkdirSync(join(o.directory, 'tmp'), { recursive: true, mode: 0o700 });
    const drop = process.getuid?.() === 0;
    if (drop) chownSync(join(o.directory, 'tmp'), NOBODY, NOBODY);
    const tmp = join(o.directory, 'tmp');
    const child = spawn(o.node, o.client ? [o.client, 'index.handler'] : [o.script, 'runtime-loop'], {
      cwd: o.client ? dirname(o.script) : tmp,
      detached: true,
      stdio: ['ignore', 'ignore', process.env['LAMBDA_EMULATOR_LOG'] ? 'inherit' : 'ignore'],
      env: {
        ...o.env,
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(o.memoryMb),
        GG_WORKER_DIR: join(tmp, 'gg-worker'),
        TMPDIR: tmp,
        HOME: tmp,
        PATH: '/nowhere',
        LANG: 'en_US.UTF-8',
        TZ: ':UTC',
      },
      ...(drop ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    this.#child = child;
    const started = new Promise<void>((resolve, reject) => {
      this.#ready = resolve;
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        this.dead = true;
        this.#ready?.();
        reject(new Error(`instance ended at its start: ${code ?? signal}`));
        this.#current?.finish({ kind: 'exit' });
      });
    });
    await started;
    this.#initMs = performance.now() - began;
    if (this.#initMs < o.coldStartMs) {
      await new Promise((resolve) => setTimeout(resolve, o.coldStartMs - this.#initMs));
      this.#initMs = performance.now() - began;
    }
  }

  /** Runs one event; the instance is idle again afterwards unless it died. */
  async run(id: string, event: Buffer): Promise<Finished> {
    const o = this.#o;
    if (!this.#poll && !this.dead)
      await new Promise<void>((resolve) => {
        this.#ready = resolve;
        if (this.dead) resolve();
      });
    const startedMs = performance.now();
    const initMs = this.#initMs;
    this.#initMs = 0;
    const ended = await new Promise<Ended>((resolve) => {
      this.#current = { id, startedMs, finish: resolve };
      if (this.dead) return resolve({ kind: 'exit' });
      const clock = setTimeout(() => resolve({ kind: 'timeout' }), o.timeoutMs);
      const watch = setInterval(() => {
        if (this.#rss() > o.memoryMb) resolve({ kind: 'out-of-memory' });
      }, RSS_POLL_MS);
      this.#current = {
        id,
        startedMs,
        finish: (e) => {
          clearTimeout(clock);
          clearInterval(watch);
          resolve(e);
        },
      };
      const poll = this.#poll!;
      this.#poll = undefined;
      this.#ready = undefined;
      poll.writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': String(Date.now() + o.timeoutMs),
        'lambda-runtime-invoked-function-arn': o.functionArn,
      });
      poll.end(event);
    });
    const current = this.#current;
    this.#current = undefined;
    current?.finish(ended);
    this.#rss();
    if (ended.kind === 'timeout' || ended.kind === 'out-of-memory' || ended.kind === 'exit') this.kill();
    return { ended, durationMs: performance.now() - startedMs, initMs, memoryUsedMb: this.#rssMaxMb };
  }

  /** Megabytes of the process and its children. */
  #rss(): number {
    const page = 4096;
    const sum = (pid: number): number => {
      try {
        const own = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * page;
        const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
        return children.split(' ').reduce((n, c) => (c === '' ? n : n + sum(Number(c))), own);
      } catch {
        return 0;
      }
    };
    const mb = Math.round(sum(this.#child!.pid!) / 1048576);
    this.#rssMaxMb = Math.max(this.#rssMaxMb, Math.min(mb, this.#o.memoryMb));
    return mb;
  }

  /** Ends all of its processes and takes its directory away. */
  kill(): void {
    this.dead = true;
    try {
      if (this.#child?.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // gone already
    }
    this.#server.close();
    this.#server.closeAllConnections();
    const clear = (): void => {
      try {
        rmSync(this.#o.directory, { recursive: true, force: true });
      } catch {
        // a process of it is still ending
      }
    };
    if (this.#child?.exitCode === null && this.#child.signalCode === null) this.#child.once('exit', clear);
    else clear();
  }
}
