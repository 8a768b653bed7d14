// The two programs that decide whose directories are believed, TypeScript and C, over the same trees.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runtimePaths } from '../../../src/wire/runtime-paths.ts';
import { distrust, ownDirectory, removeForeign, UntrustedPath } from '../../../src/base/trusted-path.ts';

const uid = process.getuid!();
const isRoot = uid === 0;
const SOMEBODY = 65534;
// Below a sticky directory as /tmp is, whatever TMPDIR says.
const root = mkdtempSync('/tmp/gg-trusted-');
after(() => rmSync(root, { recursive: true, force: true }));

const wrappers = fileURLToPath(new URL('../../../wrappers', import.meta.url));
writeFileSync(
  join(root, 'main.c'),
  '#include "trusted.h"\nint main(int n, char **v) { return n == 2 && trusted_directory(v[1]) ? 0 : 1; }\n',
);
const program = join(root, 'trusted');
const built = spawnSync('cc', ['-D_GNU_SOURCE', `-I${wrappers}`, join(root, 'main.c'), '-o', program]);
assert.equal(built.status, 0, built.stderr.toString());

/** Both say the same of a directory that exists. */
function isTrusted(path: string): boolean {
  const inC = spawnSync(program, [path]).status === 0;
  const mode = statSync(path).mode;
  const inTs = distrust(path, uid) === undefined && statSync(path).uid === uid && (mode & 0o022) === 0;
  assert.equal(inC, inTs, path);
  return inTs;
}

function folder(name: string, mode = 0o700, owner = uid): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  if (owner !== uid) chownSync(path, owner, owner);
  chmodSync(path, mode);
  return path;
}

test('a directory of ours is believed, one that others may write to is not', () => {
  assert.equal(isTrusted(folder('own')), true);
  assert.equal(isTrusted(folder('readable', 0o755)), true);
  assert.equal(isTrusted(folder('open', 0o777)), false);
  assert.equal(isTrusted(folder('sticky', 0o1777)), false);
});

test('what others may write to must not lead there, unless it is sticky', () => {
  folder('shared', 0o777);
  assert.equal(isTrusted(folder('shared/own')), false);
  folder('temporary', 0o1777);
  assert.equal(isTrusted(folder('temporary/own')), true);
  assert.equal(isTrusted(`${join(root, 'own')}/../shared/own`), false);
});

test('symlinks are looked through', () => {
  symlinkSync(join(root, 'shared/own'), join(root, 'to-shared'));
  symlinkSync('own', join(root, 'to-own'));
  symlinkSync('loop', join(root, 'loop'));
  assert.equal(isTrusted(join(root, 'to-shared')), false);
  assert.equal(isTrusted(join(root, 'to-own')), true);
  assert.notEqual(distrust(join(root, 'loop'), uid), undefined);
  assert.notEqual(spawnSync(program, [join(root, 'loop')]).status, 0);
});

test('nothing of another user is believed', { skip: !isRoot && 'needs root to act as another user' }, () => {
  assert.equal(isTrusted(folder('theirs', 0o755, SOMEBODY)), false);
  mkdirSync(join(root, 'theirs/ours'), { mode: 0o700 });
  assert.equal(isTrusted(join(root, 'theirs/ours')), false);
  symlinkSync(join(root, 'own'), join(root, 'temporary/their-link'));
  lchownSync(join(root, 'temporary/their-link'), SOMEBODY, SOMEBODY);
  assert.equal(isTrusted(join(root, 'temporary/their-link')), false);
  assert.throws(() => ownDirectory(join(root, 'theirs/new'), uid), UntrustedPath);
  assert.equal(existsSync(join(root, 'theirs/new')), false);
});

test('an open directory of ours is closed, and what others could write is removed', () => {
  const path = folder('reopened', 0o777);
  writeFileSync(join(path, 'mine'), '');
  chmodSync(join(path, 'mine'), 0o600);
  writeFileSync(join(path, 'anybodys'), '');
  chmodSync(join(path, 'anybodys'), 0o666);
  assert.equal(ownDirectory(path, uid), true);
  assert.equal(removeForeign(path, uid), 1);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(existsSync(join(path, 'mine')), true);
  assert.equal(ownDirectory(path, uid), false);
  assert.equal(isTrusted(path), true);
});

test('a place that is not to be believed is passed over for the next', () => {
  const run = folder('run');
  const bad = folder('shared/state');
  const env = { GG_DIR: bad, XDG_RUNTIME_DIR: run };
  const told = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { runtimePaths } = await import(${JSON.stringify(new URL('../../../src/wire/runtime-paths.ts', import.meta.url).href)});
       console.log(runtimePaths(process.env, ${uid}).stateDir);`,
    ],
    { env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' },
  );
  assert.equal(told.stdout.trim(), `/tmp/gg-${uid}/cache`, told.stderr);
  assert.match(told.stderr, /others may write to .*shared/);
  assert.equal(runtimePaths({ GG_DIR: join(root, 'own'), XDG_RUNTIME_DIR: run }, uid).runDir, `${run}/gg`);
});
