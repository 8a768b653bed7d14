// A real redis-server on a loopback port of its own, with nothing on disk that outlives it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../support/free-port.ts';

export interface RedisControl {
  readonly url: string;
  readonly port: number;
  /** Ends the server and starts it again with what it held, after so many milliseconds without it. */
  restart(pauseMs: number): Promise<void>;
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 10_000;

/** @returns why there is no redis-server here, or undefined when there is one. */
export function redisMissing(): string | undefined {
  const r = spawnSync('redis-server', ['--version']);
  return r.status === 0 ? undefined : 'redis-server is not installed (apt-get install redis-server)';
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => socket.write('PING\r\n'));
    // +PONG, or an error such as NOAUTH: either way it serves.
    socket.on('data', (data) => {
      socket.destroy();
      resolve(!data.toString().startsWith('-LOADING'));
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

export async function startRedis(options: { readonly args?: readonly string[] } = {}): Promise<RedisControl> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'gg-redis-'));
  let child: ChildProcess;
  const start = async (): Promise<void> => {
    child = spawn(
      'redis-server',
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--dir',
        directory,
        '--save',
        '',
        ...(options.args ?? []),
      ],
      { stdio: 'ignore' },
    );
    const until = Date.now() + START_TIMEOUT_MS;
    while (!(await answers(port))) {
      if (Date.now() > until || child.exitCode !== null) throw new Error('redis-server does not answer');
      await sleep(20);
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    restart: async (pauseMs) => {
      await end('SIGTERM');
      await sleep(pauseMs);
      await start();
    },
    close: async () => {
      await end('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
