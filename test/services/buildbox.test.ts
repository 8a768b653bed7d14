// A real Remote Execution server (buildbox-casd, from PyPI): what it builds is what plain make builds.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ran, Rig } from '../e2e/rig.ts';
import { freePort } from '../support/free-port.ts';

const PROGRAMS = process.env['GG_TEST_BUILDBOX'];
const START_TRIES_MAX = 200;

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => socket.destroy() && resolve(true));
    socket.once('error', () => resolve(false));
  });

describe('buildbox-casd', {
  skip: PROGRAMS === undefined && 'GG_TEST_BUILDBOX is not set; use npm run test:services',
}, () => {
  const rig = new Rig();
  let casd: ChildProcess | undefined;
  let port = 0;
  let plain: Map<string, string>;

  const start = async (): Promise<void> => {
    casd = spawn(
      join(PROGRAMS!, 'buildbox-casd'),
      [
        `--bind=127.0.0.1:${port}`,
        `--buildbox-run=${join(PROGRAMS!, 'buildbox-run')}`,
        '--runner-arg=--staging-mode=copy-or-link',
        '--jobs=2',
        '--log-level=warning',
        join(rig.home, 'casd'),
      ],
      { stdio: 'ignore', env: { PATH: `${PROGRAMS}:/usr/bin:/bin` } },
    );
    for (let tries = 0; !(await answers(port)); tries++) {
      assert.ok(tries < START_TRIES_MAX, 'buildbox-casd does not come up');
      await sleep(50);
    }
  };
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => casd?.once('exit', resolve));
    casd?.kill();
    await ended;
  };

  before(async () => {
    port = await freePort();
    await start();
    rig.fresh('hello-make');
    assert.equal(rig.sh('make -j2').code, 0);
    plain = rig.shot();
  });
  after(async () => {
    await stop();
    rig.close();
  });

  const make = (env: Record<string, string> = {}): Promise<Ran> => {
    rig.fresh('hello-make');
    return rig.run(`gg make -j4 --engine grpc://127.0.0.1:${port}`, { GG_MODE: 'auto', ...env });
  };

  test('compiles, archives and links run there, and the tree is the plain one', async () => {
    const ran = await make();
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /reapi: 7 thunks, 0 of them from the server's cache/);
    assert.doesNotMatch(ran.err, /run here/);
    assert.deepEqual(rig.shot(), plain);
    assert.match(rig.sh('make').out, /Nothing to be done/);
  });

  test('somebody else takes every result from the server', async () => {
    const other = join(rig.home, 'other');
    const ran = await make({ GG_DIR: other });
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /reapi: 7 thunks, 7 of them from the server's cache/);
    assert.deepEqual(rig.shot(), plain);
    rig.sh('gg stop', { GG_DIR: other });
  });

  test('gg doctor talks to the server, and to no other cloud', async () => {
    const ran = await rig.run(`gg doctor --engine=grpc://127.0.0.1:${port}`);
    assert.equal(ran.code, 0, ran.out);
    assert.match(
      ran.out,
      /ok {4}Remote Execution server: grpc:\/\/127\.0\.0\.1:\d+ answers in \d+ ms, API 2\./,
    );
    assert.doesNotMatch(ran.out, /region|lambda/i);
    const none = await rig.run('gg doctor --engine=grpc://127.0.0.1:1');
    assert.equal(none.code, 1);
    assert.match(none.out, /FAIL {2}Remote Execution server: unreachable/);
  });

  test('a compile that fails says what it says plainly', async () => {
    rig.fresh('hello-make');
    rig.sh("echo 'int bad = ;' >> hello.c");
    const without = rig.sh('make -s 2>&1 >/dev/null | head -n 2').out;
    rig.fresh('hello-make');
    rig.sh("echo 'int bad = ;' >> hello.c");
    const ran = await rig.run(`gg make -s --engine grpc://127.0.0.1:${port}`, { GG_MODE: 'auto' });
    assert.equal(ran.code, 2);
    for (const line of without.split('\n')) assert.ok(ran.err.includes(line), `${line}\nin ${ran.err}`);
  });

  test('without the server the build goes on here, and says so', async () => {
    await stop();
    rmSync(join(rig.home, 'state/reductions'), { recursive: true, force: true });
    rig.sh('gg stop');
    const ran = await make();
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /unreachable/);
    assert.deepEqual(rig.shot(), plain);
    await start();
  });
});
