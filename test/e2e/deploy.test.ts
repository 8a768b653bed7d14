// `gg deploy lambda` as people run it, against stand-ins of S3, IAM and Lambda.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ACCOUNT, IamEmulator } from '../emulators/iam/server.ts';
import { LambdaEmulator } from '../emulators/lambda/server.ts';
import { type S3Control, startS3, TEST_KEY } from '../emulators/s3/server.ts';
import { type Ran, Rig } from './rig.ts';

const BUCKET = 'my-build-blobs';
const ROLE = 'gg-worker-role';
const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/${ROLE}`;
/** Longer than the pause between two tries: the first one comes too early. */
const PROPAGATION_MS = 700;
const FUNCTIONS = ['gg-worker-compile', 'gg-worker-link'] as const;

const rig = new Rig();
const s3Denied: string[] = [];
let s3: S3Control;
let iam: IamEmulator;
let lambda: LambdaEmulator;
let env: Record<string, string>;

before(async () => {
  rig.fresh('hello-make');
  s3 = await startS3({ keys: [{ ...TEST_KEY, deny: s3Denied }] });
  iam = new IamEmulator({ keys: [TEST_KEY], propagationMs: PROPAGATION_MS });
  lambda = new LambdaEmulator({
    keys: [TEST_KEY],
    assumable: (arn) => iam.assumable(arn),
    // The role's own.
    env: { AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId, AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey },
  });
  env = {
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ENDPOINT_URL_IAM: await iam.listen(),
    AWS_ENDPOINT_URL_LAMBDA: await lambda.listen(),
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
});
after(async () => {
  rig.close();
  await Promise.all([s3?.close(), iam?.close(), lambda?.close()]);
});
beforeEach(() => {
  s3Denied.length = 0;
  iam.denied.clear();
  lambda.denied.clear();
});

const deploy = (words: string): Promise<Ran> =>
  rig.run(`gg deploy lambda --remote=s3://${BUCKET} ${words}`, env);
const nothingChanged = (ran: Ran): void => {
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^everything is as it should be; nothing to do$/m);
};
/** Calls that change something, so far. */
const writes = (): string[] =>
  [...s3.requests, ...iam.seen, ...lambda.seen]
    .filter(([what]) => /^(?:Create|Put|Update|Delete|PUT|POST|DELETE)/.test(what))
    .map(([what, n]) => `${what} ${n}`);

test('--dry-run shows the plan and changes nothing; without a terminal nothing is done unasked', async () => {
  const ran = await deploy('--dry-run');
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(
    ran.out
      .split('\n')
      .filter((line) => line !== '' && !/^ /.test(line))
      .map((line) => line.split(':')[0]),
    [
      `create bucket ${BUCKET}`,
      `update bucket ${BUCKET}`,
      `create role ${ROLE}`,
      `update role ${ROLE}`,
      ...FUNCTIONS.map((name) => `create function ${name}`),
    ],
  );
  const unasked = await deploy('');
  assert.equal(unasked.code, 64);
  assert.match(unasked.err, /--yes/);
  assert.deepEqual(writes(), []);
});

test('what is denied is told by action and resource, where it stops and what was done', async () => {
  s3Denied.push('s3:ListBucket');
  const looking = await deploy('--yes');
  assert.equal(looking.code, 78);
  assert.match(
    looking.err,
    new RegExp(`not authorized to perform: s3:ListBucket on resource: arn:aws:s3:::${BUCKET}`),
  );
  s3Denied.length = 0;
  iam.denied.add('iam:CreateRole');
  const role = await deploy('--yes');
  assert.equal(role.code, 1);
  assert.match(role.err, new RegExp(`create role ${ROLE}: .*iam:CreateRole on resource: role ${ROLE}`));
  assert.match(role.out, new RegExp(`^done: update bucket ${BUCKET}$`, 'm'));
  iam.denied.clear();
  lambda.denied.add('iam:PassRole');
  const pass = await deploy('--yes');
  assert.equal(pass.code, 1);
  assert.match(
    pass.err,
    new RegExp(`create function ${FUNCTIONS[0]}: .*iam:PassRole on resource: ${ROLE_ARN}`),
  );
  lambda.denied.clear();
  iam.denied.add('iam:GetRole');
  assert.match((await deploy('--dry-run')).err, new RegExp(`iam:GetRole on resource: role ${ROLE}`));
});

test('--yes does what is left; a role that is too new is waited for', async () => {
  iam.roles.delete(ROLE);
  const ran = await deploy('--yes');
  assert.equal(ran.code, 0, ran.err);
  assert.ok((lambda.seen.get('InvalidParameterValueException') ?? 0) >= 1, 'it came too early once');
  assert.match(ran.out, new RegExp(`GG_REMOTE=s3://${BUCKET} GG_ENGINE=lambda gg make`));
  const settings = s3.bucket(BUCKET)!.settings;
  for (const part of ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'])
    assert.match(settings.get('publicAccessBlock')!, new RegExp(`<${part}>true</${part}>`));
  assert.match(settings.get('encryption')!, /AES256/);
  assert.match(settings.get('lifecycle')!, /<Prefix>.+\/<\/Prefix>/);
  const { trust, policies } = iam.roles.get(ROLE)!;
  assert.match(trust, /lambda\.amazonaws\.com/);
  assert.doesNotMatch(policies.get('gg-worker')!, /Delete|"\*"/);
  for (const name of FUNCTIONS) assert.ok(lambda.pool(name), name);
});

test('a second run changes nothing; what others set stays', async () => {
  const before = writes();
  nothingChanged(await deploy('--yes'));
  assert.deepEqual(writes(), before);
});

test('what has drifted is put right, that and nothing else', async () => {
  const { settings } = s3.bucket(BUCKET)!;
  const role = iam.roles.get(ROLE)!;
  const drifts: readonly (readonly [what: RegExp, drift: () => void])[] = [
    [
      /^update bucket/m,
      () =>
        settings.set(
          'publicAccessBlock',
          settings.get('publicAccessBlock')!.replace('<BlockPublicPolicy>true', '<BlockPublicPolicy>false'),
        ),
    ],
    [/^update bucket/m, () => settings.delete('encryption')],
    [/^update bucket/m, () => settings.delete('lifecycle')],
    [
      /^update bucket/m,
      () => settings.set('lifecycle', settings.get('lifecycle')!.replace('Enabled', 'Disabled')),
    ],
    [
      /^update role/m,
      () => role.policies.set('gg-worker', role.policies.get('gg-worker')!.replace('s3:GetObject', 's3:*')),
    ],
    [/^update role/m, () => void role.policies.delete('gg-worker')],
    [
      /^update role/m,
      () => {
        role.trust = role.trust.replace('lambda.amazonaws.com', 'ec2.amazonaws.com');
      },
    ],
    [
      /^update function gg-worker-link/m,
      () => {
        const pool = lambda.pool('gg-worker-link')!;
        pool.config = { ...pool.config, memoryMb: 128 };
      },
    ],
  ];
  for (const [what, drift] of drifts) {
    drift();
    const ran = await deploy('--yes');
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, what);
    assert.equal(ran.out.match(/^done: /gm)?.length, 1, ran.out);
    nothingChanged(await deploy('--dry-run'));
  }
  const others =
    '<Rule><ID>theirs</ID><Status>Enabled</Status><Filter><Prefix>x/</Prefix></Filter><Expiration><Days>3</Days></Expiration></Rule>';
  settings.set('lifecycle', settings.get('lifecycle')!.replace(/<Rule>.*<\/Rule>/s, others));
  assert.equal((await deploy('--yes')).code, 0);
  assert.match(settings.get('lifecycle')!, /<ID>theirs<\/ID>.*<ID>gg<\/ID>/s);
});

test('what was deployed builds; --destroy takes everything away, once; a bucket in which others have something stays', async () => {
  const put = await rig.run('gg make --engine lambda -j2', {
    ...env,
    GG_REMOTE: `s3://${BUCKET}`,
    GG_REMOTE_USE: 'blobs',
  });
  assert.equal(put.code, 0, put.err);
  assert.match(put.err, /lambda: 7 thunks/);
  assert.ok(s3.bucket(BUCKET)!.keys().length > 0);
  const others = s3.bucket(BUCKET)!.keys()[0]!;
  s3.bucket(BUCKET)!.set('theirs/kept', s3.bucket(BUCKET)!.objects.get(others)!);
  const shown = await deploy('--destroy --dry-run');
  assert.equal(shown.out.match(/^delete /gm)?.length, 4, shown.out);
  assert.ok(iam.roles.has(ROLE));
  const ran = await deploy('--destroy --yes');
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(s3.bucket(BUCKET)!.keys(), ['theirs/kept']);
  assert.equal(iam.roles.size, 0);
  for (const name of FUNCTIONS) assert.equal(lambda.pool(name), undefined);
  s3.bucket(BUCKET)!.delete('theirs/kept');
  assert.equal((await deploy('--destroy --yes')).code, 0);
  assert.throws(() => s3.bucket(BUCKET), { code: 'NoSuchBucket' });
  assert.match((await deploy('--destroy --yes')).out, /^nothing is there$/m);
});
