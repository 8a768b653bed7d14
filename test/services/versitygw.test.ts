// The S3 backend against a real S3 server (versitygw, built by scripts/test-services.ts).
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Store } from '../../src/store/remote/s3/s3.ts';
import { describeRemoteStore } from '../contract/remote-store.ts';
import { freePort } from '../support/free-port.ts';

const PROGRAM = process.env['GG_TEST_VERSITYGW'];
const START_TIMEOUT_MS = 10_000;
const credentials = { accessKeyId: 'AKTEST', secretAccessKey: 'test-secret' };

function filesBelow(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

if (PROGRAM === undefined)
  test('remote store contract: S3 (versitygw)', {
    skip: 'GG_TEST_VERSITYGW is not set; use npm run test:services',
  });
else
  describeRemoteStore({
    title: 'S3 (versitygw)',
    largeBytes: 20 * 1024 * 1024 + 3,
    start: async () => {
      const directory = mkdtempSync(join(tmpdir(), 'gg-versitygw-'));
      const bucket = join(directory, 'bucket');
      mkdirSync(bucket);
      const port = await freePort();
      const child = spawn(
        PROGRAM,
        ['--quiet', '--keep-alive', '--port', `127.0.0.1:${port}`, 'posix', directory],
        {
          stdio: 'ignore',
          env: {
            ...process.env,
            ROOT_ACCESS_KEY: credentials.accessKeyId,
            ROOT_SECRET_KEY: credentials.secretAccessKey,
          },
        },
      );
      const endpoint = `http://127.0.0.1:${port}`;
      for (const until = Date.now() + START_TIMEOUT_MS; ; await sleep(50)) {
        if (await fetch(endpoint).catch(() => undefined)) break;
        if (Date.now() > until || child.exitCode !== null) throw new Error('versitygw does not answer');
      }
      const objects = (kinds: readonly string[]) =>
        filesBelow(bucket).filter((path) =>
          kinds.some((kind) => path.startsWith(join(bucket, 'some/v1', kind))),
        );
      const damage = (kinds: readonly string[]) => {
        for (const path of objects(kinds))
          writeFileSync(
            path,
            readFileSync(path).map((byte) => byte ^ 0x10),
          );
      };
      return {
        store: (use) =>
          new S3Store(
            { kind: 's3', bucket: 'bucket', prefix: 'some/v1', region: 'us-east-1', endpoint },
            { ...use, credentials },
          ),
        loseBlobs: async () => {
          for (const path of objects(['cas', 'packs'])) rmSync(path);
        },
        damageBlobs: async () => damage(['cas', 'packs']),
        damageReductions: async () => damage(['reductions']),
        close: async () => {
          const gone = new Promise((resolve) => child.once('exit', resolve));
          child.kill('SIGTERM');
          await gone;
          rmSync(directory, { recursive: true, force: true });
        },
      };
    },
  });
