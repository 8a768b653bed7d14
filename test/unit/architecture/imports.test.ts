// The folder list is the architecture: imports go down only.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../../../src', import.meta.url));

/** What each folder may import, besides itself. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  ir: [],
  driver: [],
  ninja: [],
  report: [],
  worker: ['ir', 'store', 'toolchain'],
  scan: [],
  store: ['ir'],
  toolchain: ['ir', 'scan', 'store'],
  models: ['ir', 'scan', 'driver'],
  engine: ['ir', 'driver', 'store', 'toolchain', 'worker'],
  force: ['ir', 'store', 'engine'],
  writeback: ['ir', 'store'],
  deploy: ['store'],
  session: ['ir', 'store', 'scan', 'models', 'toolchain', 'engine', 'force', 'writeback', 'report'],
  native: ['store', 'engine', 'writeback', 'worker', 'session'],
  cli: [
    'ir',
    'store',
    'scan',
    'ninja',
    'models',
    'toolchain',
    'engine',
    'force',
    'writeback',
    'report',
    'session',
    'native',
    'worker',
    'deploy',
  ],
};

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? sources(path) : path.endsWith('.ts') ? [path] : [];
  });
}

test('imports go down only, and models and engines never meet', () => {
  const wrong: string[] = [];
  let looked = 0;
  for (const file of sources(src)) {
    const folder = relative(src, file).split('/')[0]!;
    const may = MAY[folder];
    assert.ok(may, `src/${folder} is not in the list of folders`);
    for (const m of readFileSync(file, 'utf8').matchAll(/^(?:import|export)[^;]*? from '(\.[^']+)';/gms)) {
      looked++;
      const target = relative(src, resolve(dirname(file), m[1]!)).split('/')[0]!;
      if (target !== folder && !may.includes(target))
        wrong.push(`${relative(src, file)} imports from ${target}`);
    }
  }
  assert.ok(looked > 200, `${looked} imports looked at`);
  assert.deepEqual(wrong, []);
});
