// One tool process with what it prints and a deadline. The worker is small, so it starts processes by itself.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** Bytes of stdout or stderr; with base64 both fit into an answer. A tool that says more runs where it was called. */
export const PRINTED_BYTES_MAX = 1024 * 1024;

export interface ProcessRequest {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ProcessEnd {
  readonly how: 'exited' | 'signal' | 'timeout' | 'cancelled' | 'printed-too-much' | 'start-failed';
  readonly exitCode: number;
  readonly detail: string;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** Runs it in a process group of its own, which is killed as a whole at the end. Never rejects. */
export function runProcess(request: ProcessRequest): Promise<ProcessEnd> {
  const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let how: ProcessEnd['how'] | undefined;
  let child: ChildProcess;
  const finish = (exitCode: number, detail: string): void => {
    resolve({
      how: how ?? 'exited',
      exitCode,
      detail,
      stdout: Buffer.concat(stdout),
      stderr: Buffer.concat(stderr),
    });
  };
  try {
    child = spawn(request.file, [...request.args], {
      cwd: request.cwd,
      env: { ...request.env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    how = 'start-failed';
    finish(-1, (error as Error).message);
    return promise;
  }
  const killAll = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // nobody is left
    }
  };
  const stop = (why: ProcessEnd['how']): void => {
    how ??= why;
    killAll();
  };
  const timer = setTimeout(() => stop('timeout'), request.timeoutMs);
  const aborted = (): void => stop('cancelled');
  request.signal.addEventListener('abort', aborted, { once: true });
  if (request.signal.aborted) aborted();
  const collect = (stream: Readable, into: Buffer[]): void => {
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > PRINTED_BYTES_MAX) stop('printed-too-much');
      else into.push(chunk);
    });
  };
  collect(child.stdout!, stdout);
  collect(child.stderr!, stderr);
  child.on('error', (error) => {
    how ??= 'start-failed';
    clearTimeout(timer);
    request.signal.removeEventListener('abort', aborted);
    finish(-1, error.message);
  });
  // Who outlives the tool would hold its pipes open and write to the tree.
  child.on('exit', killAll);
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    request.signal.removeEventListener('abort', aborted);
    if (signal !== null) how ??= 'signal';
    finish(code ?? -1, signal ?? '');
  });
  return promise;
}
