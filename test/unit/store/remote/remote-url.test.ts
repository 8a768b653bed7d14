import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRemote } from '../../../../src/store/remote/open-remote.ts';
import { parseRemoteUrl, withoutSecrets } from '../../../../src/store/remote/remote-url.ts';

for (const [text, env, expected] of [
  ['s3://bucket', {}, { address: { kind: 's3', bucket: 'bucket', prefix: 'gg/v1', region: 'us-east-1' } }],
  [
    's3://my.bucket-1/team/a/?region=eu-west-1&endpoint=http://127.0.0.1:9000/',
    { AWS_REGION: 'x', AWS_ENDPOINT_URL_S3: 'http://other' },
    {
      address: {
        kind: 's3',
        bucket: 'my.bucket-1',
        prefix: 'team/a/v1',
        region: 'eu-west-1',
        endpoint: 'http://127.0.0.1:9000',
      },
    },
  ],
  [
    's3://bucket',
    { AWS_DEFAULT_REGION: 'sa-east-1', AWS_ENDPOINT_URL_S3: 'https://s3.example.org' },
    {
      address: {
        kind: 's3',
        bucket: 'bucket',
        prefix: 'gg/v1',
        region: 'sa-east-1',
        endpoint: 'https://s3.example.org',
      },
    },
  ],
  ['redis://host', {}, { address: { kind: 'redis', url: 'redis://host', prefix: 'gg:v1' } }],
  [
    'rediss://us%40er:p%3Aw@host:6380/2?prefix=x&ttl=3600',
    {},
    {
      address: { kind: 'redis', url: 'rediss://host:6380/2', prefix: 'x:v1' },
      username: 'us@er',
      password: 'p:w',
      ttlSeconds: 3600,
    },
  ],
] as const)
  test(`remote URL: ${text}`, async () => {
    const settings = parseRemoteUrl(text, env);
    assert.deepEqual(settings, expected);
    const store = openRemote(expected.address);
    assert.deepEqual(store.address, expected.address);
    await store.close();
  });

for (const [text, part] of [
  ['', 'expected'],
  ['bucket', 'expected'],
  ['http://bucket', 'expected'],
  ['s3://', 'expected'],
  ['s3://Bucket_', 'Bucket_'],
  ['s3://key:secret@bucket', 'credentials'],
  ['s3://bucket/a//b', 'a//b'],
  ['s3://bucket/a*', 'a*'],
  ['s3://bucket?regoin=x', 'regoin'],
  ['s3://bucket?endpoint=ftp://x', 'endpoint'],
  ['s3://bucket?endpoint=http://u:secret@x', 'endpoint'],
  ['redis://u:secret@host?ttl=soon', 'ttl=soon'],
  ['redis://u:secret@host/db', 'db'],
  ['redis://host?prefix=a*', 'a*'],
] as const)
  test(`not a remote URL: ${text}`, () => {
    const settings = parseRemoteUrl(text, {});
    assert.ok('problem' in settings);
    assert.ok(settings.problem.includes(part), settings.problem);
    assert.ok(!settings.problem.includes('secret'));
  });

test('no password is ever shown, well-formed or not', () => {
  for (const [text, shown] of [
    ['redis://me:pw@host:1/0', 'redis://***@host:1/0'],
    ['redis://me:p/w@x@bad:host:x', 'redis://***@bad:host:x'],
    ['s3://key:pw@bucket', 's3://***@bucket'],
    ['s3://bucket/prefix', 's3://bucket/prefix'],
  ] as const)
    assert.equal(withoutSecrets(text), shown);
});
