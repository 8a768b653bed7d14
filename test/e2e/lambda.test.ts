// The product against both stand-ins: every thunk runs in a process of a worker that has nothing of this machine's tools.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Cloud, startCloud } from '../emulators/cloud.ts';
import { type Ran, Rig } from './rig.ts';

const rig = new Rig();
let cloud: Cloud;
let plain: Map<string, string>;

before(async () => {
  rig.fresh('hello-make');
  assert.equal(rig.sh('make -j2').code, 0);
  plain = rig.shot();
});
after(async () => {
  rig.close();
  await cloud?.close();
});

/** The emulators run in this process: the product must not block it. Results are shared only where a test says so. */
function gg(command: string, env: Record<string, string> = {}): Promise<Ran> {
  return rig.run(command, { ...cloud.env, GG_REMOTE_USE: 'blobs', ...env });
}

function notes(ran: Ran): string {
  return ran.err
    .split('\n')
    .filter((l) => /^gg: (?:lambda|local|remote): /.test(l))
    .join('\n');
}

describe('hello-make on Lambda', () => {
  before(async () => {
    cloud = await startCloud({ limits: { coldStartMs: 0 } });
  });

  test('the tree is the plain one, everything ran over there', async () => {
    rig.fresh('hello-make');
    const ran = await gg('gg make -j20');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
    assert.match(notes(ran), /lambda: 7 thunks, 7 invocations/);
    assert.doesNotMatch(notes(ran), /run here/);
    assert.match(rig.sh('make').out, /Nothing to be done/);
  });

  test('a fresh machine with the same bucket: blobs are known, instances are warm', async () => {
    rig.fresh('hello-make');
    rig.sh('gg clean; gg stop');
    const before = new Map(cloud.s3.requests);
    const ran = await gg('gg make -j20');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
    assert.equal(cloud.s3.requests.get('UploadPart'), before.get('UploadPart'), 'the toolchain goes up once');
  });

  test('results are shared: with another engine, read only, and not believed where damaged', async () => {
    const alone = { GG_REMOTE: 's3://gg-test/shared' };
    const make = (engine: string, use: string) => {
      rig.fresh('hello-make');
      rig.sh('gg clean --force; gg stop');
      return gg(`gg make --engine ${engine} --remote-use ${use} -j4`, alone);
    };
    const expected: readonly (readonly [engine: string, use: string, says: RegExp])[] = [
      ['local', 'read', /^$/],
      ['local', 'share', /remote: 0 results taken, 7 added/],
      ['local', 'share', /remote: 7 results taken, 0 added/],
      ['local', 'read', /remote: 7 results taken, 0 added/],
      ['lambda', 'share', /lambda: 0 thunks, 0 invocations.*\ngg: remote: 7 results taken, 0 added/],
    ];
    for (const [engine, use, says] of expected) {
      const ran = await make(engine, use);
      assert.equal(ran.code, 0, ran.err);
      assert.match(notes(ran), says, `${engine} ${use}`);
      assert.deepEqual(rig.shot(), plain);
    }
    assert.equal((await make('lambda', 'read')).code, 78);
    alone.GG_REMOTE = 's3://gg-test/damaged';
    cloud.s3.faults.change({ corruptedRate: 1 });
    assert.match(notes(await make('local', 'share')), /7 added/);
    cloud.s3.faults.change({ corruptedRate: 0 });
    const damaged = await make('local', 'share');
    assert.equal(damaged.code, 0, damaged.err);
    assert.match(notes(damaged), /remote: 0 results taken/);
    assert.deepEqual(rig.shot(), plain);
  });

  test('lambda,local shares the work and makes the same', async () => {
    rig.fresh('hello-make');
    rig.sh('gg clean; gg stop');
    const ran = await gg('gg make --engine lambda,local -j20');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
    assert.match(notes(ran), /local: [1-9] thunks on idle cores/);
  });

  test('a compile error is the plain one, confirmed here', async () => {
    rig.fresh('hello-make');
    rig.sh('echo "int broken(" >> greet.c');
    const wrapped = await gg('gg make -j20');
    assert.equal(wrapped.code, 2);
    assert.match(wrapped.err, /greet\.c:\d+:\d+: error: expected/);
    assert.match(notes(wrapped), /1 failures confirmed here, 0 not/);
  });

  test('no credentials: one clear line, and the build ends here; with --strict it fails', async () => {
    rig.fresh('hello-make');
    rig.sh('gg clean; gg stop');
    const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
    const ran = await gg('gg make -j4', none);
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
    assert.equal(ran.err.match(/gg: lambda \(no-credentials\)/g)?.length, 1, ran.err);
    rig.fresh('hello-make');
    rig.sh('gg clean');
    assert.notEqual((await gg('gg make --strict -j4', none)).code, 0);
  });

  test('no function of that name, no store set', async () => {
    rig.fresh('hello-make');
    rig.sh('gg clean');
    const ran = await gg('gg make --lambda-function absent -j4');
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /gg: lambda \(no-such-function\): .*absent-compile/);
    const unset = await gg('gg make -j4', { GG_REMOTE: '' });
    assert.equal(unset.code, 78);
    assert.match(unset.err, /GG_REMOTE=s3:/);
  });

  test('a budget of nearly nothing: the build ends here', async () => {
    rig.fresh('hello-make');
    rig.sh('gg clean');
    const ran = await gg('gg make --budget 0.001 -j4');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
    assert.match(ran.err, /gg: lambda \(budget\)/);
  });
});

test('the same with faults: throttles, deaths, timeouts, SlowDown, lost and corrupted objects', async () => {
  await cloud.close();
  cloud = await startCloud({
    lambdaFaults: { throttles: 0.2, deaths: 0.1, timeouts: 0.1 },
    s3Faults: { slowDownRate: 0.02, lostRate: 0.01, corruptedRate: 0.01, resetRate: 0.01, seed: 3 },
    limits: { coldStartMs: 0 },
  });
  rig.fresh('hello-make');
  rig.sh('gg clean; gg stop');
  const ran = await gg('gg make -j20');
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(rig.shot(), plain);
});
