// Runs test/services/ against real servers, built once into a cache directory. What cannot be built is skipped with its reason.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const VERSITYGW = 'v1.8.0';
const BUILD_TIMEOUT_MS = 20 * 60 * 1000;

/** A Go program through the module proxy. @returns its path, or undefined after saying why there is none. */
function goProgram(name: string, module: string, version: string): string | undefined {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const directory = join(cache, 'gg-test-services', `${name}-${version}`);
  const program = join(directory, name);
  if (existsSync(program)) return program;
  if (spawnSync('go', ['version']).status !== 0) {
    console.error(`${name}: skipped, there is no Go here to build it`);
    return undefined;
  }
  console.error(`${name}: building ${module}@${version}, some minutes ...`);
  mkdirSync(directory, { recursive: true });
  const built = spawnSync('go', ['install', '-p', '2', `${module}@${version}`], {
    env: { ...process.env, GOBIN: directory, CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_TIMEOUT_MS,
  });
  if (built.status === 0 && existsSync(program)) return program;
  const reason = built.stderr.toString().trim().split('\n').at(-1) || String(built.error ?? built.signal);
  console.error(`${name}: skipped, it could not be built: ${reason}`);
  return undefined;
}

const versitygw = goProgram('versitygw', 'github.com/versity/versitygw/cmd/versitygw', VERSITYGW);
const tests = globSync('test/services/**/*.test.ts', { cwd: root });
const run = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...tests], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...(versitygw === undefined ? {} : { GG_TEST_VERSITYGW: versitygw }) },
});
process.exitCode = run.status ?? 1;
