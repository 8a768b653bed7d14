// gg toolchain, run as a command.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const home = mkdtempSync(join(tmpdir(), 'gg-toolchain-'));
after(() => rmSync(home, { recursive: true, force: true }));
const gg = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

function run(...args: readonly string[]): {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
} {
  const r = spawnSync(process.execPath, [gg, 'toolchain', ...args], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', HOME: home, GG_DIR: join(home, 'state') },
  });
  return { code: r.status, out: r.stdout, err: r.stderr };
}

test('files with sizes, the total, the digest', () => {
  const text = run('gcc', 'ar');
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /^ +\d{6,} {2}\/\S+\/cc1$/m);
  assert.match(text.out, /^ +\d+ {2}bytes in \d+ files and \d+ symlinks$/m);
  assert.equal([...text.out.matchAll(/^digest [0-9a-f]{64}$/gm)].length, 2);
  const json = run('--json', 'gcc');
  const listed = JSON.parse(json.out) as {
    kind: string;
    digest: string;
    sizeBytes: number;
    files: { path: string; sizeBytes: number }[];
  };
  assert.equal(listed.kind, 'captured');
  assert.ok(text.out.includes(`digest ${listed.digest}`));
  assert.ok(listed.files.some((f) => f.path.endsWith('/cc1') && f.sizeBytes > 1_000_000));
  const total = listed.files.reduce((sum, f) => sum + f.sizeBytes, 0);
  assert.ok(listed.sizeBytes <= total && listed.sizeBytes > total / 2);
});

test('what is no program', () => {
  const missing = run('no-such-compiler');
  assert.notEqual(missing.code, 0);
  assert.match(missing.err, /^gg: no-such-compiler: no such program$/m);
  const script = run('/usr/bin/ldd');
  assert.equal(script.code, 1);
  assert.match(script.out, /^\/usr\/bin\/ldd: runs on this machine only: script-program: \/usr\/bin\/ldd/m);
});
