// Before `gg ninja` starts: tells the server which compiler calls are coming, so that all of them can be on their way at
// once, beyond ninja's -j. ninja still makes every call, and its logs are its own; a call that never comes costs only work.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { encodeBytes } from '../../ninja/bytes.ts';
import { NinjaError } from '../../ninja/error.ts';
import { expectedCalls } from '../../ninja/expected.ts';
import { loadManifest } from '../../ninja/manifest.ts';
import { parseNinjaArgs } from '../../ninja/ninja-args.ts';
import { readFileIn } from '../../ninja/read-file.ts';
import { ENV_NAMES, ENV_PREFIXES } from '../../wire/shim-frames.ts';
import type { Client } from '../../client/client.ts';

/** Calls a message; a frame has a limit, and the server answers others in between. */
const CALLS_PER_MESSAGE = 200;

/** @param command ninja's own command line. @param env what it will run with. */
export function prefetch(client: Client, command: readonly string[], env: NodeJS.ProcessEnv): void {
  const args = parseNinjaArgs(command.slice(1));
  if (args.kind !== 'build' || args.dryRun) return;
  const cwd = resolve(args.directory ?? '.');
  let calls: readonly (readonly string[])[];
  try {
    const manifest = loadManifest(args.file, { readFile: readFileIn(cwd), dupbuild: args.dupbuild });
    calls = expectedCalls(manifest, args.targets, mtimesBelow(cwd)).calls;
  } catch (error) {
    // ninja will say it.
    if (error instanceof NinjaError) return;
    throw error;
  }
  const sent = Object.entries(env).filter(
    ([name]) =>
      (ENV_NAMES as readonly string[]).includes(name) ||
      ENV_PREFIXES.some((prefix) => name.startsWith(prefix)),
  ) as [string, string][];
  // The shell ninja starts puts this right.
  const surroundings = sent.map(([k, v]): [string, string] => [
    k,
    k === 'PWD' && args.directory !== undefined ? cwd : v,
  ]);
  const umask = process.umask();
  for (let at = 0; at < calls.length; at += CALLS_PER_MESSAGE)
    client.send({
      op: 'prefetch',
      cwd,
      umask,
      env: surroundings,
      calls: calls.slice(at, at + CALLS_PER_MESSAGE),
    });
}

function mtimesBelow(cwd: string): (path: string) => bigint | undefined {
  const known = new Map<string, bigint | undefined>();
  return (path) => {
    if (known.has(path)) return known.get(path);
    const absolute = path.startsWith('/') ? path : `${cwd}/${path}`;
    const time = statSync(encodeBytes(absolute), { bigint: true, throwIfNoEntry: false })?.mtimeNs;
    known.set(path, time);
    return time;
  };
}
