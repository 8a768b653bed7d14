// Two builds with credentials of their own through one server, against stores that know one of the two only.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startS3 } from '../../emulators/s3/server.ts';
import { Rig } from '../rig.ts';

const SOURCES = 4;
const rig = new Rig();
const one = { accessKeyId: 'AKIDONEONEONEONEONE0', secretAccessKey: 'secret-of-the-first-build' };
const two = { accessKeyId: 'AKIDTWOTWOTWOTWOTWO0', secretAccessKey: 'secret-of-the-second-build' };
const stores = [await startS3({ keys: [one] }), await startS3({ keys: [two] })] as const;
after(async () => {
  rig.close();
  await Promise.all(stores.map((store) => store.close()));
});

test('each build asks its own store with its own keys, from the environment or from a profile', async () => {
  rig.fresh('hello-make');
  for (const name of ['one', 'two']) {
    rig.sh(`mkdir ${name}`);
    for (let i = 0; i < SOURCES; i++)
      writeFileSync(join(rig.tree, name, `f${i}.c`), `int ${name}${i}(void) { return ${i}; }\n`);
    const objects = Array.from({ length: SOURCES }, (_, i) => `f${i}.o`).join(' ');
    writeFileSync(
      join(rig.tree, name, 'Makefile'),
      `all: ${objects}\n%.o: %.c\n\tsleep 0.3; $(CC) -c $< -o $@\n`,
    );
  }
  writeFileSync(
    join(rig.home, 'aws'),
    `[work]\naws_access_key_id = ${two.accessKeyId}\naws_secret_access_key = ${two.secretAccessKey}\n`,
  );
  const common = { AWS_EC2_METADATA_DISABLED: 'true', AWS_REGION: 'us-east-1', AWS_CONFIG_FILE: '/dev/null' };
  for (const store of stores) store.createBucket('bucket');
  const [first, second] = await Promise.all([
    rig.run('gg --remote=s3://bucket make -C one', {
      ...common,
      AWS_ENDPOINT_URL_S3: stores[0].url,
      AWS_ACCESS_KEY_ID: one.accessKeyId,
      AWS_SECRET_ACCESS_KEY: one.secretAccessKey,
    }),
    rig.run('gg --remote=s3://bucket make -C two', {
      ...common,
      AWS_ENDPOINT_URL_S3: stores[1].url,
      AWS_PROFILE: 'work',
      AWS_SHARED_CREDENTIALS_FILE: join(rig.home, 'aws'),
    }),
  ]);
  for (const ran of [first, second]) assert.equal(ran.code, 0, ran.err);
  for (const store of stores) {
    assert.ok((store.requests.get('PutObject') ?? 0) > 0, 'the store got results');
    assert.deepEqual(
      [...store.refusals.keys()].filter((code) => /Key|Signature|Denied/.test(code)),
      [],
    );
  }
  const pid = /process (\d+)/.exec(rig.sh('gg doctor').out)?.[1];
  assert.ok(pid);
  const kept = readFileSync(`/proc/${pid}/environ`, 'latin1');
  assert.doesNotMatch(kept, /AKID|secret-of|AWS_/);
});
