import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { CloudAdmin, FunctionState } from '../../../src/deploy/cloud-admin.ts';
import { type Deployment, workerPolicy } from '../../../src/deploy/desired.ts';
import { planDeployment, planRemoval, type Step } from '../../../src/deploy/plan.ts';
import { template } from '../../../src/deploy/template.ts';
import { makeZip } from '../../../src/deploy/zip.ts';
import { firstFile } from '../../emulators/lambda/unzip.ts';

const D: Deployment = {
  remote: 's3://blobs',
  prefix: 'gg-worker',
  bucket: 'blobs',
  keyPrefix: 'gg/v1',
  region: 'eu-central-1',
  architecture: 'x86_64',
};

/** A cloud in memory. */
class FakeAdmin implements CloudAdmin {
  readonly buckets = new Map<
    string,
    { blocksPublicAccess: boolean; encrypted: boolean; expireDays: number | undefined }
  >();
  readonly roles = new Map<string, { arn: string; trust: unknown; policy: unknown }>();
  readonly functions = new Map<string, FunctionState>();
  bucket: CloudAdmin['bucket'] = async (name) => this.buckets.get(name);
  createBucket: CloudAdmin['createBucket'] = async (name) => {
    this.buckets.set(name, { blocksPublicAccess: false, encrypted: false, expireDays: undefined });
  };
  configureBucket: CloudAdmin['configureBucket'] = async (name, _prefix, expireDays) => {
    this.buckets.set(name, { blocksPublicAccess: true, encrypted: true, expireDays });
  };
  emptyBucket: CloudAdmin['emptyBucket'] = async (name) => void this.buckets.delete(name);
  role: CloudAdmin['role'] = async (name) => this.roles.get(name);
  createRole: CloudAdmin['createRole'] = async (name, trust) => {
    this.roles.set(name, { arn: `arn:${name}`, trust, policy: undefined });
    return `arn:${name}`;
  };
  setTrust: CloudAdmin['setTrust'] = async (role, trust) => {
    this.roles.get(role)!.trust = trust;
  };
  putRolePolicy: CloudAdmin['putRolePolicy'] = async (role, _name, policy) => {
    this.roles.get(role)!.policy = JSON.parse(JSON.stringify(policy));
  };
  deleteRole: CloudAdmin['deleteRole'] = async (name) => void this.roles.delete(name);
  lambda: CloudAdmin['lambda'] = async (name) => this.functions.get(name);
  createLambda: CloudAdmin['createLambda'] = async (name, config, zip) => {
    this.functions.set(name, { ...config, codeSha256: createHash('sha256').update(zip).digest('base64') });
  };
  updateLambdaCode: CloudAdmin['updateLambdaCode'] = async (name, zip) => {
    const codeSha256 = createHash('sha256').update(zip).digest('base64');
    this.functions.set(name, { ...this.functions.get(name)!, codeSha256 });
  };
  updateLambdaConfig: CloudAdmin['updateLambdaConfig'] = async (name, config) => {
    this.functions.set(name, { ...this.functions.get(name)!, ...config });
  };
  deleteLambda: CloudAdmin['deleteLambda'] = async (name) => void this.functions.delete(name);
}

const zip = makeZip([['index.js', Buffer.from('exports.handler = 1')]]);
const texts = (steps: readonly Step[]): string[] => steps.map((s) => `${s.action} ${s.what}`);
async function apply(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await step.run();
}

test('from nothing: everything; then nothing; then only what changed; then gone', async () => {
  const admin = new FakeAdmin();
  const first = await planDeployment(D, zip, admin);
  assert.deepEqual(texts(first), [
    'create bucket blobs',
    'update bucket blobs',
    'create role gg-worker-role',
    'update role gg-worker-role',
    'create function gg-worker-compile',
    'create function gg-worker-link',
  ]);
  assert.equal(admin.buckets.size, 0, 'a plan does nothing');
  await apply(first);
  assert.deepEqual(texts(await planDeployment(D, zip, admin)), []);

  admin.functions.set('gg-worker-link', { ...admin.functions.get('gg-worker-link')!, memoryMb: 128 });
  admin.buckets.get('blobs')!.blocksPublicAccess = false;
  admin.roles.get('gg-worker-role')!.policy = { Version: '2012-10-17', Statement: [] };
  admin.roles.get('gg-worker-role')!.trust = { Version: '2012-10-17', Statement: [] };
  const newer = makeZip([['index.js', Buffer.from('exports.handler = 2')]]);
  const changes = await planDeployment(D, newer, admin);
  assert.deepEqual(texts(changes), [
    'update bucket blobs',
    'update role gg-worker-role',
    'update role gg-worker-role',
    'update function gg-worker-compile',
    'update function gg-worker-link',
    'update function gg-worker-link',
  ]);
  await apply(changes);
  assert.deepEqual(texts(await planDeployment(D, newer, admin)), []);

  const arm = await planDeployment({ ...D, architecture: 'arm64' }, newer, admin);
  assert.equal(arm.filter((s) => s.action === 'delete').length, 2, 'code for another machine is made anew');

  const removal = await planRemoval(D, admin);
  assert.equal(removal.length, 4);
  await apply(removal);
  assert.deepEqual(texts(await planRemoval(D, admin)), []);
});

test('workers may neither delete nor write outside of the blobs; the template says the same', () => {
  const text = JSON.stringify(template(D));
  const worker = JSON.stringify((template(D) as { Resources: { WorkerRole: unknown } }).Resources.WorkerRole);
  assert.doesNotMatch(worker, /Delete|"s3:\*"|"\*"/);
  assert.match(worker, /arn:\$\{AWS::Partition\}:s3:::blobs\/gg\/v1\/cas\/\*/);
  assert.match(text, /"GgWorkerCompile":\{"Type":"AWS::Lambda::Function"/);
  assert.match(text, /"BlockPublicAcls":true/);
});

test('a zip has the same bytes each time, and others can read it', () => {
  const files = [
    ['index.js', Buffer.from('a'.repeat(5000))],
    ['b.txt', Buffer.from('b')],
  ] as const;
  assert.deepEqual(makeZip(files), makeZip(files));
  assert.equal(firstFile(makeZip(files), 'index.js').toString(), 'a'.repeat(5000));
  assert.equal(firstFile(makeZip(files), 'b.txt').toString(), 'b');
});

test('the template keeps to the prefix, names no partition, and closes what may be closed', () => {
  const d = { ...D, remote: 's3://blobs/team/x', keyPrefix: 'team/x/v1' };
  const made = template(d) as {
    Resources: Record<string, { Type: string; Properties: Record<string, unknown> }>;
    Outputs: Record<string, { Value: unknown }>;
  };
  const text = JSON.stringify(made);
  assert.equal(made.Outputs['Remote']?.Value, 's3://blobs/team/x');
  assert.doesNotMatch(text, /arn:aws/);
  for (const [, arn] of text.matchAll(/"(arn:\$\{AWS::Partition\}:s3:::blobs\/[^"]*)"/g))
    assert.match(arn!, /blobs\/(?:team\/x\/v1\/|\*$)/);
  const of = (type: string) => Object.values(made.Resources).filter((r) => r.Type === type);
  assert.match(
    JSON.stringify(of('AWS::S3::BucketPolicy')[0]),
    /"Effect":"Deny".*"aws:SecureTransport":"false"/,
  );
  assert.equal(of('AWS::Logs::LogGroup').length, of('AWS::Lambda::Function').length);
  for (const log of of('AWS::Logs::LogGroup')) assert.equal(log.Properties['RetentionInDays'], 14);
  for (const f of of('AWS::Lambda::Function')) assert.ok(f.Properties['ReservedConcurrentExecutions']);
  const reader = JSON.stringify(made.Resources['Readers']);
  assert.match(reader, /s3:GetObject/);
  assert.doesNotMatch(reader, /Put|Delete|Invoke|\*"\]?,"Action/);
});

test('the worker’s policy names the partition of its region', () => {
  for (const [region, partition] of [
    ['eu-central-1', 'aws'],
    ['cn-north-1', 'aws-cn'],
    ['us-gov-west-1', 'aws-us-gov'],
  ] as const)
    assert.match(JSON.stringify(workerPolicy({ ...D, region })), new RegExp(`"arn:${partition}:s3:::blobs/`));
});
