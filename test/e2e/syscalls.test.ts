// How many system calls the interposer adds: to a process that opens plain files, and to a whole make (strace -f -c). The
// server runs before and outside of strace, which would else wait for it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig, root } from './rig.ts';

/** The loader's for one library more (openat, read, fstat, 4 mmap, mprotect, close) and ours. */
const PER_PROCESS_MAX = 30;
const PER_EXEC_MAX = 12;
const FILES = 100;

const traced = spawnSync('strace', ['-f', '-c', '/bin/true']);
const skip =
  traced.status === 0 ? false : `strace does not work here: ${traced.error?.message ?? traced.stderr}`;

const rig = new Rig();
after(() => rig.close());

/** Calls by name of everything below a command. */
function calls(command: string, env: Record<string, string> = {}): Map<string, number> {
  const ran = rig.sh(`strace -f -c -U name,calls -o ../counts ${command}`, env);
  assert.equal(ran.code, 0, ran.err);
  const found = new Map<string, number>();
  for (const line of readFileSync(join(rig.home, 'counts'), 'utf8').split('\n')) {
    const m = /^(\w+)\s+(\d+)$/.exec(line.trim());
    if (m && m[1] !== 'total') found.set(m[1]!, Number(m[2]));
  }
  assert.ok(found.size > 5, 'strace counted something');
  return found;
}

const total = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);

/** The variables a build of ours has, of a session that stays open while `inside` runs. */
function environment(): Record<string, string> {
  const ran = rig.sh(
    `gg infer -- sh -c 'env | grep -E "^(GG_SESSION|GG_SOCKET|GG_SHIM_DIR|GG_MODE|LD_PRELOAD)="'`,
  );
  assert.equal(ran.code, 0, ran.err);
  return Object.fromEntries(
    ran.out
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

describe('system calls', { skip }, () => {
  let env: Record<string, string>;
  before(() => {
    rig.fresh('hello-make');
    // Starts the server.
    const started = rig.sh('gg make -j2');
    assert.equal(started.code, 0, started.err);
    for (let i = 0; i < FILES; i++) writeFileSync(join(rig.tree, `FILE.${i}`), 'x'.repeat(i + 1));
    const built = rig.sh(`gcc -O1 -o opens ${join(root, 'test', 'e2e', 'interpose', 'opens.c')}`);
    assert.equal(built.code, 0, built.err);
    env = environment();
    assert.match(env['LD_PRELOAD']!, /gg-interpose/);
  });

  test('a process: a constant, one for each opened file, none for a stat, two for a rename', (t) => {
    const added = (count: number, what: string): number =>
      total(calls(`${preloaded()} ./opens ${count} ${what}`, { ...env, LD_PRELOAD: '' })) -
      total(calls(`./opens ${count} ${what}`));
    const preloaded = (): string => `-E LD_PRELOAD=${env['LD_PRELOAD']}`;
    const nothing = added(0, 'both');
    const opens = added(1000, 'open') - nothing;
    const stats = added(1000, 'stat') - nothing;
    const renames = added(1000, 'rename') - nothing;
    t.diagnostic(
      `a process ${nothing} more, 1,000 opens ${opens} more, 1,000 stats ${stats} more, 1,000 renames ${renames} more`,
    );
    assert.ok(nothing > 0 && nothing <= PER_PROCESS_MAX, `${nothing} for a process`);
    assert.ok(opens > 0 && opens <= 1000, `${opens} for 1,000 opens`);
    assert.equal(stats, 0);
    assert.ok(renames > 0 && renames <= 2000, `${renames} for 1,000 renames`);
  });

  test('a whole make', (t) => {
    const make = (variables: Record<string, string>, preload: string): Map<string, number> => {
      rig.sh('make clean');
      return calls(`${preload} make`, variables);
    };
    // The shims are in the way in neither: only what the library itself does is counted.
    const plain = make({}, '');
    const under = make({ ...env, GG_SHIM_DIR: '/nonexistent' }, `-E LD_PRELOAD=${env['LD_PRELOAD']}`);
    const execs = plain.get('execve')!;
    const opens = (plain.get('openat') ?? 0) + (plain.get('open') ?? 0);
    const added = total(under) - total(plain);
    const bound = execs * (PER_PROCESS_MAX + PER_EXEC_MAX) + opens;
    const most = [...under]
      .map(([name, n]) => [name, n - (plain.get(name) ?? 0)] as const)
      .filter(([, n]) => n !== 0)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 8)
      .map(([name, n]) => `${name} ${n}`);
    t.diagnostic(
      `make with ${execs} programs and ${opens} opens: ${total(plain)} system calls, ${added} more (${(added / execs).toFixed(1)} a program): ${most.join(', ')}`,
    );
    assert.ok(added > 0, 'the library was there');
    assert.ok(added <= bound, `${added} > ${bound}`);
    assert.equal(under.get('execve'), execs, 'no process of ours');
    assert.deepEqual(under.get('fork'), plain.get('fork'));
  });

  test('a whole make with deferred compiles makes fewer than plain make', (t) => {
    rig.sh('make clean');
    const plain = total(calls('make'));
    rig.sh('make clean');
    const deferred = total(calls(`-E LD_PRELOAD=${env['LD_PRELOAD']} make`, { ...env, LD_PRELOAD: '' }));
    rig.sh('gg force');
    t.diagnostic(`plain make: ${plain}, with the shims answered by the server: ${deferred}`);
    assert.ok(deferred < plain);
  });
});
