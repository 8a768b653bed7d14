// The native programs behind the command line, built on first use.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureNative, NativeBuildError } from '../native/build.ts';
import { runtimePaths } from '../wire/runtime-paths.ts';
import { CliError, EXIT } from '../settings/exit.ts';

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

/** @throws CliError when there is no compiler. */
export async function prepareNative(): Promise<Native> {
  const { stateDir } = runtimePaths(process.env, process.getuid?.() ?? 0);
  const root = packageRoot();
  const bundled = fileURLToPath(import.meta.url).startsWith(join(root, 'dist'));
  const serverScript = bundled
    ? join(root, 'dist', 'gg-server.js')
    : fileURLToPath(new URL('../server/main.ts', import.meta.url));
  try {
    const sources = join(root, 'wrappers');
    const { directory } = ensureNative({
      stateDir,
      sources,
      serverScript,
      nodePath: process.execPath,
      env: process.env,
    });
    return { directory, stateDirectory: stateDir };
  } catch (error) {
    if (error instanceof NativeBuildError) throw new CliError(EXIT.config, error.message, error.advice);
    throw error;
  }
}
