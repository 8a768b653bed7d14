// The worker as Lambda's own runtime loads it: aws-lambda-ric, built by scripts/test-services.ts, polls the stand-in's Runtime
// API and calls the bundle's `handler`.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Rig } from '../e2e/rig.ts';
import { startCloud } from '../emulators/cloud.ts';

const PACKAGE = process.env['GG_TEST_LAMBDA_RIC'];

test('a build on Lambda, with aws-lambda-ric in the instances', {
  skip: PACKAGE === undefined && 'GG_TEST_LAMBDA_RIC is not set; use npm run test:services',
}, async () => {
  // Instances run as nobody, who may not read the cache directory.
  const copy = mkdtempSync(join(tmpdir(), 'gg-ric-'));
  chmodSync(copy, 0o755);
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(PACKAGE!, part), join(copy, part), { recursive: true });
  const rig = new Rig();
  const cloud = await startCloud({ limits: { coldStartMs: 0 }, client: join(copy, 'bin/index.mjs') });
  after(async () => {
    rig.close();
    await cloud.close();
    rmSync(copy, { recursive: true, force: true });
  });
  rig.fresh('hello-make');
  assert.equal(rig.sh('make -j2').code, 0);
  const plain = rig.shot();
  rig.fresh('hello-make');
  const ran = await rig.run('gg make -j4', { ...cloud.env, GG_REMOTE_USE: 'blobs' });
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(rig.shot(), plain);
  assert.match(ran.err, /lambda: 7 thunks, 7 invocations/);
  assert.doesNotMatch(ran.err, /run here|again after/);
});
