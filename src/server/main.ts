// node gg-server SOCKET NATIVE_DIRECTORY
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { runtimePaths } from '../wire/runtime-paths.ts';
import { serve } from './compose.ts';

const [socketPath, nativeDirectory] = process.argv.slice(2);
if (socketPath === undefined || nativeDirectory === undefined) {
  process.stderr.write('gg: the server is started by gg itself\n');
  process.exit(64);
}

/** The server has no terminal: what ends it goes to a file that `gg doctor` shows. */
function report(error: unknown): void {
  const { stateDir } = runtimePaths(process.env, process.getuid?.() ?? 0);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  try {
    appendFileSync(join(stateDir, 'server.log'), `${new Date().toISOString()} ${text}\n`, { mode: 0o600 });
  } catch {
    // nowhere to say it
  }
}

process.on('uncaughtException', (error) => {
  report(error);
  process.exit(70);
});
process.on('unhandledRejection', (error) => {
  report(error);
  process.exit(70);
});
serve(socketPath, nativeDirectory).catch((error: unknown) => {
  report(error);
  process.exit(70);
});
