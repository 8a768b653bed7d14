import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { credentialsOf, readAnswer } from '../../../src/server/credentials.ts';

const folder = mkdtempSync(join(tmpdir(), 'gg-credentials-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('keys of the environment are taken as they are', async () => {
  const keys = credentialsOf({ AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'B', AWS_SESSION_TOKEN: 'C' });
  assert.deepEqual(await keys(), { accessKeyId: 'A', secretAccessKey: 'B', sessionToken: 'C' });
});

test('a profile is looked up in the environment of the build, and this process keeps its own', async () => {
  const file = join(folder, 'profiles');
  writeFileSync(file, '[p]\naws_access_key_id = PA\naws_secret_access_key = PB\n');
  const before = { ...process.env };
  const keys = credentialsOf({
    AWS_PROFILE: 'p',
    AWS_SHARED_CREDENTIALS_FILE: file,
    AWS_CONFIG_FILE: '/dev/null',
  });
  assert.deepEqual(await keys(), { accessKeyId: 'PA', secretAccessKey: 'PB' });
  assert.deepEqual({ ...process.env }, before);
});

test('what finds nothing says so by the name that the store knows', async () => {
  const keys = credentialsOf({
    AWS_PROFILE: 'none',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  });
  await assert.rejects(keys(), { name: 'CredentialsProviderError' });
});

test('an answer that is none is an error', () => {
  for (const text of ['', '{', '{}', '{"accessKeyId":1,"secretAccessKey":2}'])
    assert.throws(() => readAnswer(text), { name: 'CredentialsProviderError' });
});
