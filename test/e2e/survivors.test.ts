// No process of ours survives a build: none that a build started, none with the preload library, but the server and its
// spawner, which stay until they have been idle; and after `gg stop` not even these.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Process, processesOf, slowUnit } from './processes.ts';
import { Rig } from './rig.ts';

const WAIT_MS = 10_000;
const STEP_MS = 50;

const rig = new Rig();
after(() => rig.close());

const ours = (): Process[] => processesOf(rig.home);
const isServer = (p: Process): boolean => /gg-server|gg-spawner/.test(p.what);

/** What is left of a build once it had time to end. */
async function survivors(): Promise<Process[]> {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const left = ours().filter((p) => !isServer(p));
    if (left.length === 0 || Date.now() > until) return left;
    await sleep(STEP_MS);
  }
}

async function appears(what: RegExp): Promise<boolean> {
  const until = Date.now() + WAIT_MS;
  while (Date.now() < until) {
    if (ours().some((p) => what.test(p.what))) return true;
    await sleep(STEP_MS);
  }
  return false;
}

/** Starts `command` in a process group of its own and acts when a process of that kind is there. */
async function meanwhile(command: string, what: RegExp, act: (pid: number) => void): Promise<void> {
  const child = spawn('bash', ['-c', `exec ${command}`], {
    cwd: rig.tree,
    env: rig.env,
    stdio: 'ignore',
    detached: true,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  assert.ok(await appears(what), `${what} was started`);
  act(child.pid!);
  await ended;
}

describe('processes', () => {
  before(() => rig.fresh('hello-make'));

  for (const command of [
    'gg make -j2',
    'gg ninja',
    'gg build -- sh -c "make -j2 & wait"',
    'gg infer -- make',
  ]) {
    test(`after ${command}: the server and its spawner, nothing else`, async () => {
      rig.sh('gg clean --force');
      rig.fresh('hello-make');
      writeFileSync(
        join(rig.tree, 'build.ninja'),
        'rule cc\n  command = gcc -c $in -o $out\nbuild count.o: cc count.c\nbuild counter.o: cc counter.c\n',
      );
      const ran = rig.sh(command);
      assert.equal(ran.code, 0, ran.err);
      assert.deepEqual(await survivors(), []);
      assert.deepEqual(ours().filter((p) => /gg-server/.test(p.what)).length, 1);
      assert.ok(ours().length <= 2, JSON.stringify(ours()));
    });
  }

  for (const [how, signal, group] of [
    ['Ctrl-C', 'SIGINT', true],
    ['SIGTERM to gg', 'SIGTERM', false],
    ['kill -9 of gg', 'SIGKILL', false],
  ] as const) {
    const strike = (pid: number): void => void process.kill(group ? -pid : pid, signal);

    test(`after ${how} while a recipe runs`, async () => {
      // What nobody interrupts goes on, as below plain make whose parent dies: it ends in its own time.
      writeFileSync(
        join(rig.tree, 'Makefile'),
        `all: slow\nslow: ; sleep ${signal === 'SIGKILL' ? 3 : 60}\n`,
      );
      await meanwhile('gg make', /^sleep/, strike);
      assert.deepEqual(await survivors(), []);
    });

    test(`after ${how} while a thunk is forced`, async () => {
      writeFileSync(join(rig.tree, 'Makefile'), 'all: big.o\n%.o: %.c ; gcc -O2 -c $< -o $@\n');
      writeFileSync(join(rig.tree, 'big.c'), slowUnit(Date.now()));
      rig.sh('rm -f big.o');
      await meanwhile('gg make', /cc1/, strike);
      const left = await survivors();
      assert.deepEqual(left, []);
      // As make removes what it has half made: a plain make that comes next must not take a placeholder for an object.
      // What was killed could not; the next gg goes on from there.
      assert.equal(existsSync(join(rig.tree, 'big.o')), signal === 'SIGKILL');
    });
  }

  test('a recipe that went on before the interruption: the next build makes up for it', async () => {
    rig.sh('rm -f big.o');
    writeFileSync(join(rig.tree, 'Makefile'), 'stamp:\n\tgcc -O2 -c big.c\n\ttouch stamp\n');
    writeFileSync(join(rig.tree, 'big.c'), slowUnit(Date.now(), 14));
    await meanwhile('gg make', /cc1/, (pid) => void process.kill(-pid, 'SIGINT'));
    assert.deepEqual(
      [existsSync(join(rig.tree, 'stamp')), existsSync(join(rig.tree, 'big.o'))],
      [true, false],
    );
    const ran = rig.sh('gg make');
    assert.equal(ran.code, 0, ran.err);
    assert.ok(statSync(join(rig.tree, 'big.o')).size > 10_000);
  });

  test('after gg stop: none at all', async () => {
    rig.sh('gg stop');
    const until = Date.now() + WAIT_MS;
    while (ours().length > 0 && Date.now() < until) await sleep(STEP_MS);
    assert.deepEqual(ours(), []);
  });
});
