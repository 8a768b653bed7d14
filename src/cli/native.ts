// The native programs behind the command line, built on first use.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureNative } from '../native/build.ts';
import { runtimePaths } from '../native/paths.ts';

export interface Native {
  readonly directory: string;
  readonly stateDirectory: string;
}

/** Root of the installed package: the nearest directory upwards that has wrappers/. */
export function packageRoot(): string {
  let at = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(at, 'wrappers', 'shim.c'))) {
    const up = dirname(at);
    if (up === at) throw new Error('the installation is incomplete: no wrappers/shim.c');
    at = up;
  }
  return at;
}

export async function prepareNative(): Promise<Native> {
  const { stateDir } = runtimePaths(process.env, process.getuid?.() ?? 0);
  const bundled = join(packageRoot(), 'dist', 'gg.js');
  const script = existsSync(bundled) ? bundled : fileURLToPath(new URL('./gg.ts', import.meta.url));
  const native = await ensureNative({ stateDir, serverScript: script, nodePath: process.execPath });
  return { directory: native.directory, stateDirectory: stateDir };
}
