// The server's side of wrappers/spawner.c (wire/spawner-frames.ts describes the frames).
import { type ChildProcess, spawn } from 'node:child_process';
import type { ProcessRunner, RunRequest, RunResult } from '../base/process-runner.ts';
import { NO_ROOT, OP, PLACE_FLAG } from '../wire/spawner-frames.ts';
import type { PlaceRequest } from '../tree/write-back.ts';

class Body {
  readonly #parts: Buffer[] = [];

  text(value: string): this {
    const bytes = Buffer.from(value);
    return this.u32(bytes.length).#push(bytes);
  }

  list(values: readonly string[]): this {
    this.u32(values.length);
    for (const v of values) this.text(v);
    return this;
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return this.#push(bytes);
  }

  u64(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return this.#push(bytes);
  }

  #push(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  frame(id: number, op: number): Buffer {
    const body = Buffer.concat(this.#parts);
    const head = Buffer.alloc(9);
    head.writeUInt32LE(body.length, 0);
    head.writeUInt32LE(id, 4);
    head[8] = op;
    return Buffer.concat([head, body]);
  }
}

const EPIPE = 32;
const NO_BYTES = Buffer.alloc(0);

/** Spawners that are started anew within RESTART_WINDOW_MS: what kills more than that kills all. */
const RESTARTS_MAX = 20;
const RESTART_WINDOW_MS = 60_000;

/** A spawner process, and another one when that has died: whoever kills it costs a build some runs and not its result. */
export class Spawner implements ProcessRunner {
  readonly #program: string;
  #living: SpawnerProcess;
  readonly #restartsMs: number[] = [];
  #closed = false;

  /** @param program absolute path of the compiled spawner. */
  constructor(program: string) {
    this.#program = program;
    this.#living = new SpawnerProcess(program);
  }

  #current(): SpawnerProcess {
    if (!this.#living.ended || this.#closed) return this.#living;
    const now = Date.now();
    while (this.#restartsMs.length > 0 && now - this.#restartsMs[0]! > RESTART_WINDOW_MS)
      this.#restartsMs.shift();
    if (this.#restartsMs.length >= RESTARTS_MAX) return this.#living;
    this.#restartsMs.push(now);
    this.#living = new SpawnerProcess(this.#program);
    return this.#living;
  }

  async run(request: RunRequest, signal?: AbortSignal): Promise<RunResult> {
    const process = this.#current();
    const result = await process.run(request, signal);
    // A run's outputs are files of ours until it has ended well: what the spawner took along with it can run again.
    if (!process.ended || result.startErrno !== EPIPE || signal?.aborted || this.#closed) return result;
    return this.#current().run(request, signal);
  }

  /** @returns errno, 0 when the file is in place. A negative mtime: leave it to the clock. */
  place(request: PlaceRequest): Promise<number> {
    return this.#current().place(request);
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#living.close();
  }
}

/** One spawner process; it ends with its children when this process does. */
class SpawnerProcess {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, (body: Buffer | undefined) => void>();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #nextId = 1;
  #ended = false;

  constructor(program: string) {
    this.#process = spawn(program, [], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    this.#process.stdout!.on('data', (chunk: Buffer) => this.#receive(chunk));
    const end = (): void => {
      this.#ended = true;
      for (const settle of this.#pending.values()) settle(undefined);
      this.#pending.clear();
    };
    this.#process.on('exit', end);
    this.#process.on('error', end);
    this.#process.stdin!.on('error', end);
  }

  get ended(): boolean {
    return this.#ended;
  }

  #receive(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#held.length > 1 && this.#heldBytes < 9) return;
    let bytes = this.#held.length === 1 ? this.#held[0]! : undefined;
    for (;;) {
      if (this.#heldBytes < 9) break;
      // Joined only when a whole frame is there: joining for each chunk of a large answer would be quadratic.
      const first = bytes ?? this.#held[0]!;
      const head = first.length >= 9 ? first : Buffer.concat(this.#held);
      const total = 9 + head.readUInt32LE(0);
      if (this.#heldBytes < total) break;
      bytes ??= Buffer.concat(this.#held);
      const id = bytes.readUInt32LE(4);
      const body = bytes.subarray(9, total);
      bytes = bytes.subarray(total);
      this.#held = [bytes];
      this.#heldBytes = bytes.length;
      const settle = this.#pending.get(id);
      this.#pending.delete(id);
      settle?.(body);
    }
    if (this.#heldBytes === 0) this.#held = [];
  }

  #ask(op: number, body: Body, onId?: (id: number) => void): Promise<Buffer | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0 || 1;
    onId?.(id);
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#process.stdin!.write(body.frame(id, op));
    });
  }

  async run(request: RunRequest, signal?: AbortSignal): Promise<RunResult> {
    const body = new Body();
    if (request.root !== undefined) body.text(request.root).list(request.binds ?? []);
    body.text(request.cwd).text(request.file).list(request.argv).list(request.env).u32(0o022).u32(0);
    let kill: (() => void) | undefined;
    const answer = await this.#ask(request.root === undefined ? OP.RUN : OP.SANDBOX, body, (id) => {
      kill = () => void this.#ask(OP.KILL, new Body().u32(id));
      // An abort that came before would never be heard of again.
      if (signal?.aborted) queueMicrotask(kill);
      else signal?.addEventListener('abort', kill, { once: true });
    });
    if (kill) signal?.removeEventListener('abort', kill);
    if (!answer) {
      return {
        startErrno: EPIPE,
        exitCode: 0,
        signal: 0,
        timedOut: false,
        wallUs: 0,
        cpuUs: 0,
        stdout: NO_BYTES,
        stderr: NO_BYTES,
      };
    }
    const outLength = answer.readUInt32LE(40);
    const errLength = answer.readUInt32LE(44 + outLength);
    return {
      startErrno: answer.readUInt32LE(0) & ~NO_ROOT,
      noRoot: (answer.readUInt32LE(0) & NO_ROOT) !== 0,
      exitCode: answer.readUInt32LE(4),
      signal: answer.readUInt32LE(8),
      timedOut: answer.readUInt32LE(12) !== 0,
      wallUs: Number(answer.readBigUInt64LE(16)),
      cpuUs: Number(answer.readBigUInt64LE(24)),
      stdout: Buffer.from(answer.subarray(44, 44 + outLength)),
      stderr: Buffer.from(answer.subarray(48 + outLength, 48 + outLength + errLength)),
    };
  }

  async place(request: PlaceRequest): Promise<number> {
    const keep = request.mtimeNs < 0n;
    const flags = (request.sameInode ? PLACE_FLAG.SAME_INODE : 0) | (keep ? PLACE_FLAG.KEEP_MTIME : 0);
    const ns = keep ? 0n : request.mtimeNs;
    const answer = await this.#ask(
      OP.PLACE,
      new Body()
        .text(request.source)
        .text(request.dest)
        .u32(request.mode)
        .u64(ns / 1_000_000_000n)
        .u32(Number(ns % 1_000_000_000n))
        .u64(request.inode ?? 0n)
        .u32(flags),
    );
    return answer ? answer.readUInt32LE(0) : EPIPE;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.stdin!.end();
    await exited;
  }
}
