// Results have an origin: what came from a shared store counts only for builds that trust that store, and, where signatures are
// demanded, only with one of a key they know.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { startS3, TEST_KEY } from '../../emulators/s3/server.ts';
import { type Ran, Rig } from '../rig.ts';

const rig = new Rig();
const s3 = await startS3();
s3.createBucket('bucket');
rig.fresh('hello-make');
const [COLLEAGUE, MALLORY, ME] = ['colleague', 'mallory', 'me'];
const REMOTE = '--remote=s3://bucket/team';

/** As somebody with a state, keys and a server of their own. */
function as(user: string, command: string, env: Record<string, string> = {}): Promise<Ran> {
  return rig.run(command, {
    GG_DIR: join(rig.home, user),
    XDG_CONFIG_HOME: join(rig.home, `${user}-config`),
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey,
    AWS_REGION: s3.region,
    AWS_EC2_METADATA_DISABLED: 'true',
    ...env,
  });
}

/** What ran, of a build from clean. */
async function ran(user: string, flags: string): Promise<number> {
  rig.sh('make -s clean');
  const build = await as(user, `gg --json ${flags} make`);
  assert.equal(build.code, 0, build.err);
  return rig.counts(build).ran;
}

/** A build whose summary says how many results it took. */
async function taken(user: string, flags: string): Promise<number> {
  rig.sh('make -s clean');
  const build = await as(user, `gg ${flags} make`);
  assert.equal(build.code, 0, build.err);
  return Number(/remote: (\d+) results taken/.exec(build.err)?.[1] ?? 0);
}

after(async () => {
  for (const user of [COLLEAGUE, MALLORY, ME]) await as(user, 'gg stop');
  rig.close();
  await s3.close();
});

describe('a store that is trusted no longer', () => {
  beforeEach(async () => {
    await as(ME, 'gg stop');
    rig.sh(`rm -rf ${rig.home}/${ME}`);
    await taken(COLLEAGUE, REMOTE);
  });

  test('is not believed by a build that believes nobody, nor by one without a store', async () => {
    const own = await ran(ME, '');
    await as(ME, 'gg clean --force');
    assert.equal(await taken(ME, REMOTE), own);
    assert.equal(await ran(ME, REMOTE), 0, 'what came from the store counts as long as it is named');
    assert.equal(await ran(ME, `${REMOTE} --remote-use=blobs`), own);
    assert.equal(await ran(ME, ''), 0, 'what ran here counts');
    assert.equal(await ran(ME, REMOTE), 0);
  });

  test('is named by gg explain, and gg gc --from removes what came from it', async () => {
    assert.ok((await taken(ME, REMOTE)) > 0);
    const { out } = await as(ME, 'gg explain hello');
    assert.match(
      out,
      /made by \S+@\S+, engine local\n.*taken from, .* s3:\/\/bucket\/team\S*, without a trusted signature/,
    );
    const gc = await as(ME, 'gg gc --from=s3://bucket/team');
    assert.match(gc.out, /removed [1-9]\d* results that came from s3:\/\/bucket\/team/);
    assert.ok((await taken(ME, REMOTE)) > 0, 'they come again');
    assert.match((await as(ME, 'gg gc --from=s3://other')).out, /removed 0 results/);
  });
});

describe('signatures', () => {
  test('unsigned, or signed by a key that nobody added, is a miss; a known one is taken', async () => {
    const key = (await as(COLLEAGUE, 'gg trust keygen')).out.trim();
    assert.match(key, /^ed25519:\S{44}$/);
    assert.notEqual((await as(COLLEAGUE, 'gg trust keygen')).code, 0, 'no key is overwritten');
    await as(MALLORY, 'gg trust keygen');
    const signed = `${REMOTE}-signed`;
    assert.equal(await taken(MALLORY, signed), 0);
    assert.equal(await taken(ME, `${signed} --remote-trust=signed --remote-use=read`), 0);
    const bucket = s3.bucket('bucket');
    for (const name of bucket.keys()) if (name.includes('signed')) bucket.delete(name);
    await as(COLLEAGUE, 'gg clean --force');
    assert.equal(await taken(COLLEAGUE, signed), 0);
    const added = await as(ME, `gg trust add colleague ${key}`);
    assert.equal(added.code, 0, added.err);
    assert.match((await as(ME, 'gg trust list')).out, /^[0-9a-f]{16} {2}ed25519:\S+ {2}colleague$/m);
    await as(ME, 'gg clean --force');
    assert.ok((await taken(ME, `${signed} --remote-trust=signed`)) > 0);
    assert.match((await as(ME, 'gg explain hello')).out, /signed by key [0-9a-f]{16}/);
    await as(ME, 'gg trust remove colleague');
    assert.ok(
      (await ran(ME, `${signed} --remote-trust=signed --remote-use=read`)) > 0,
      'nor from our own store',
    );
  });
});
