// Somebody else's S3, IAM, Lambda and CloudFormation (moto, from PyPI): what we deploy and store there, they accept and keep.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ran, Rig } from '../e2e/rig.ts';
import { freePort } from '../support/free-port.ts';

const PROGRAM = process.env['GG_TEST_MOTO'];
const START_TRIES_MAX = 200;

describe('moto', {
  skip: PROGRAM === undefined && 'GG_TEST_MOTO is not set; use npm run test:services',
}, () => {
  const rig = new Rig();
  let moto: ChildProcess | undefined;
  let url = '';
  let env: Record<string, string> = {};

  before(async () => {
    rig.fresh('hello-make');
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    moto = spawn(PROGRAM!, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
    for (let tries = 0; ; tries++) {
      const answers = await fetch(`${url}/moto-api/`).then(
        () => true,
        () => false,
      );
      if (answers) break;
      assert.ok(tries < START_TRIES_MAX, 'moto does not answer');
      await sleep(100);
    }
    env = {
      AWS_ENDPOINT_URL_S3: url,
      AWS_ENDPOINT_URL_IAM: url,
      AWS_ENDPOINT_URL_LAMBDA: url,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'AKIAMOTO',
      AWS_SECRET_ACCESS_KEY: 'moto',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  });
  after(() => {
    rig.close();
    moto?.kill();
  });

  const gg = async (words: string, more: Record<string, string> = {}): Promise<Ran> => {
    const ran = await rig.run(`gg ${words}`, { ...env, ...more });
    assert.equal(ran.code, 0, `gg ${words}: ${ran.err}${ran.out}`);
    return ran;
  };

  test('a deployment is made, stays as it is, is put right and taken away', async () => {
    const deploy = 'deploy lambda --remote=s3://moto-blobs/team/x';
    const made = await gg(`${deploy} --yes`);
    assert.match(made.out, /^GG_REMOTE=s3:\/\/moto-blobs\/team\/x GG_ENGINE=lambda gg make$/m);
    const nothing = /^everything is as it should be; nothing to do$/m;
    assert.match((await gg(`${deploy} --yes`)).out, nothing);
    await fetch(`${url}/2015-03-31/functions/gg-worker-link/configuration`, {
      method: 'PUT',
      headers: { authorization: 'AWS4-HMAC-SHA256 Credential=a/20200101/eu-central-1/lambda/aws4_request' },
      body: JSON.stringify({ Timeout: 3 }),
    });
    assert.match((await gg(`${deploy} --yes`)).out, /update\S* +function gg-worker-link/);
    assert.match((await gg(`${deploy} --yes`)).out, nothing);
    await gg(`${deploy} --destroy --yes`);
    assert.match((await gg(`${deploy} --dry-run`)).out, /create\S* +function gg-worker-compile/);
  });

  test('CloudFormation takes the template', async () => {
    const { out } = await gg('deploy lambda --remote=s3://moto-stack/team/x --template');
    await gg('deploy lambda --remote=s3://moto-code --zip worker.zip');
    await fetch(`${url}/moto-code`, { method: 'PUT' });
    const zip = readFileSync(join(rig.tree, 'worker.zip'));
    await fetch(`${url}/moto-code/gg-worker.zip`, { method: 'PUT', body: new Uint8Array(zip) });
    const ask = async (action: string, parameters: Record<string, string>): Promise<string> => {
      const answer = await fetch(url, {
        method: 'POST',
        headers: {
          authorization: 'AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/cloudformation/aws4_request',
          'content-type': 'application/x-www-form-urlencoded',
        },
        body: new URLSearchParams({ Action: action, Version: '2010-05-15', StackName: 'gg', ...parameters }),
      });
      const text = await answer.text();
      assert.equal(answer.status, 200, text.slice(0, 500));
      return text;
    };
    await ask('CreateStack', {
      TemplateBody: out,
      'Capabilities.member.1': 'CAPABILITY_NAMED_IAM',
      'Parameters.member.1.ParameterKey': 'CodeBucket',
      'Parameters.member.1.ParameterValue': 'moto-code',
    });
    const stack = await ask('DescribeStacks', {});
    assert.match(stack, /<StackStatus>CREATE_COMPLETE<\/StackStatus>/);
    assert.match(stack, /<OutputValue>s3:\/\/moto-stack\/team\/x<\/OutputValue>/);
    const resources = await ask('DescribeStackResources', {});
    for (const type of ['S3::Bucket', 'Logs::LogGroup', 'Lambda::Function', 'IAM::ManagedPolicy'])
      assert.match(resources, new RegExp(`AWS::${type}`));
  });

  test('two users share results through its S3', async () => {
    await fetch(`${url}/moto-shared`, { method: 'PUT' });
    const remote = '--remote=s3://moto-shared/p';
    await gg(`${remote} make`);
    const first = rig.shot();
    rig.sh('make -s clean');
    const other = { GG_DIR: join(rig.home, 'other') };
    const ran = await gg(`${remote} make`, other);
    assert.match(ran.err, /remote: [1-9]\d* results taken/);
    assert.deepEqual(
      [...rig.shot()].filter(([path]) => path !== 'worker.zip'),
      [...first].filter(([path]) => path !== 'worker.zip'),
    );
    await gg('stop', other);
  });
});
