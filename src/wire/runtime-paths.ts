// Where the state, the socket and the lock are: the same rules as wrappers/shim.c (wire/shim-frames.ts describes them).
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { PROTOCOL_VERSION } from './shim-frames.ts';
import { tryLstat } from '../base/stat.ts';
import { distrust, ownDirectory, removeForeign, UntrustedPath } from '../base/trusted-path.ts';

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

type Environment = Readonly<Record<string, string | undefined>>;

/** The first of these that is ours, or can be made; what is wrong with the others is collected. */
function firstOwn(places: readonly string[], uid: number, faults: string[]): string | undefined {
  for (const place of places) {
    try {
      if (ownDirectory(place, uid)) {
        const removed = removeForeign(place, uid);
        // Of programs a look is not enough: they are made anew.
        rmSync(join(place, 'native'), { recursive: true, force: true });
        say(
          `${place} was open to others and is closed now; ${removed} files that others could write removed`,
        );
      }
      return place;
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  return undefined;
}

const said = new Set<string>();
/** Once a process: several commands of one process look for the same places. */
function say(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  process.stderr.write(`gg: ${text}\n`);
}

/**
 * Both directories exist afterwards, belong to this user and are closed to others.
 * @throws UntrustedPath when somebody else could put another directory in the place of each that is thought of.
 */
export function runtimePaths(env: Environment, uid: number): RuntimePaths {
  const temporary = `/tmp/gg-${uid}`;
  const wanted =
    env['GG_DIR'] ||
    (env['XDG_CACHE_HOME'] ? `${env['XDG_CACHE_HOME']}/gg` : env['HOME'] ? `${env['HOME']}/.cache/gg` : '');
  const faults: string[] = [];
  const stateDir = firstOwn([...(wanted ? [wanted] : []), `${temporary}/cache`], uid, faults);
  if (stateDir === undefined) throw new UntrustedPath(faults.join('; '));
  if (wanted && stateDir !== wanted) say(`${faults.join('; ')}: ${stateDir} is used instead`);
  const runtime = env['XDG_RUNTIME_DIR'];
  const runDir = firstOwn(
    [...(runtime && isOwn(runtime, uid) ? [`${runtime}/gg`] : []), temporary, `${stateDir}/run`],
    uid,
    faults,
  );
  if (runDir === undefined) throw new UntrustedPath(faults.join('; '));
  const base = join(runDir, `${fnv1a64(stateDir)}-v${PROTOCOL_VERSION}`);
  return { stateDir, runDir, socketPath: env['GG_SOCKET'] || `${base}.sock`, lockPath: `${base}.lock` };
}

function isOwn(path: string, uid: number): boolean {
  const stat = tryLstat(path);
  return stat?.isDirectory() === true && stat.uid === uid;
}

/** Nobody else can answer there: the socket is ours, and so is all that leads to it. */
export function isOwnSocket(socketPath: string, uid: number): boolean {
  return tryLstat(socketPath)?.uid === uid && distrust(socketPath, uid) === undefined;
}
