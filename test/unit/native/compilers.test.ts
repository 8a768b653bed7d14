// The C programs compile without a warning for every machine and C library that builds may run on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const wrappers = fileURLToPath(new URL('../../../wrappers', import.meta.url));
const FLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2', '-fPIC', '-c', '-o', '/dev/null'];

for (const compiler of ['gcc', 'aarch64-linux-gnu-gcc', 'musl-gcc', 'clang']) {
  const skip = spawnSync(compiler, ['--version']).status === 0 ? false : `no ${compiler}`;
  test(`${compiler} has nothing to say about any of them`, { skip }, () => {
    const files = readdirSync(wrappers).filter((name) => name.endsWith('.c'));
    assert.ok(files.length >= 5, files.join(' '));
    for (const file of files) {
      const { status, stderr } = spawnSync(compiler, [...FLAGS, join(wrappers, file)]);
      assert.deepEqual({ file, status, said: stderr.toString() }, { file, status: 0, said: '' });
    }
  });
}
