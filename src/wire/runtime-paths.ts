// Where the state, the socket and the lock are: the same rules as wrappers/shim.c (wire/shim-frames.ts describes them).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROTOCOL_VERSION } from './shim-frames.ts';
import { tryLstatNs } from '../base/stat.ts';

export interface RuntimePaths {
  readonly stateDir: string;
  readonly runDir: string;
  readonly socketPath: string;
  readonly lockPath: string;
}

/** FNV-1a, 64 bits, as 16 hex digits. */
export function fnv1a64(text: string): string {
  let h = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) h = ((h ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return h.toString(16).padStart(16, '0');
}

function ownDirectory(path: string, uid: number): boolean {
  const stat = tryLstatNs(path);
  return stat?.isDirectory() === true && Number(stat.uid) === uid;
}

export function runtimePaths(env: Readonly<Record<string, string | undefined>>, uid: number): RuntimePaths {
  const stateDir =
    env['GG_DIR'] ||
    (env['XDG_CACHE_HOME']
      ? `${env['XDG_CACHE_HOME']}/gg`
      : env['HOME']
        ? `${env['HOME']}/.cache/gg`
        : `/tmp/gg-${uid}/cache`);
  const runtime = env['XDG_RUNTIME_DIR'];
  const runDir = runtime && ownDirectory(runtime, uid) ? `${runtime}/gg` : `/tmp/gg-${uid}`;
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const base = join(runDir, `${fnv1a64(stateDir)}-v${PROTOCOL_VERSION}`);
  return { stateDir, runDir, socketPath: env['GG_SOCKET'] || `${base}.sock`, lockPath: `${base}.lock` };
}
