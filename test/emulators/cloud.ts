// Both stand-ins as one cloud, with the worker deployed: for tests, and by hand:
//   node test/emulators/cloud.ts [--lambda throttles=0.05] [--s3 slowDownRate=0.02] [--outage AFTER_INVOCATIONS,FOR_MS] -- COMMAND...
// runs COMMAND with the environment that makes gg use it, and prints counters at its end.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildWorker } from '../../scripts/build-worker.ts';
import { functionSizes } from '../../src/deploy/function-sizes.ts';
import type { FaultShares } from './lambda/faults.ts';
import type { ServiceLimits } from './lambda/functions.ts';
import { LambdaEmulator } from './lambda/server.ts';
import type { Faults } from './s3/faults.ts';
import { type S3Control, startS3, TEST_KEY } from './s3/server.ts';

export interface CloudOptions {
  readonly lambdaFaults?: Partial<FaultShares>;
  readonly s3Faults?: Partial<Faults>;
  readonly limits?: Partial<ServiceLimits>;
  /** LambdaEmulatorOptions.client */
  readonly client?: string;
}

export interface Cloud {
  readonly s3: S3Control;
  readonly lambda: LambdaEmulator;
  /** What gg needs to find it. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

const BUCKET = 'gg-test';

export async function startCloud(options: CloudOptions = {}): Promise<Cloud> {
  const s3 = await startS3({ buckets: [BUCKET], faults: options.s3Faults ?? {} });
  const lambda = new LambdaEmulator({
    keys: [TEST_KEY],
    faults: options.lambdaFaults ?? {},
    limits: options.limits ?? {},
    ...(options.client === undefined ? {} : { client: options.client }),
    env: {
      AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey,
    },
  });
  const endpoint = await lambda.listen();
  const directory = mkdtempSync(join(tmpdir(), 'gg-worker-'));
  await buildWorker(join(directory, 'worker.cjs'));
  const code = readFileSync(join(directory, 'worker.cjs'));
  rmSync(directory, { recursive: true });
  for (const { name, memoryMb } of functionSizes('gg-worker')) lambda.add(name, code, { memoryMb });
  return {
    s3,
    lambda,
    env: {
      GG_ENGINE: 'lambda',
      GG_REMOTE: `s3://${BUCKET}`,
      AWS_ENDPOINT_URL_S3: s3.url,
      AWS_ENDPOINT_URL_LAMBDA: endpoint,
      AWS_REGION: s3.region,
      AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey,
      // Nothing of the machine's own configuration.
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    close: async () => {
      await lambda.close();
      await s3.close();
    },
  };
}

function shares(words: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    words.map((word) => {
      const [name, value] = word.split('=');
      return [name!, Number(value)];
    }),
  );
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      lambda: { type: 'string', multiple: true, default: [] },
      s3: { type: 'string', multiple: true, default: [] },
      limit: { type: 'string', multiple: true, default: [] },
      outage: { type: 'string' },
    },
  });
  const cloud = await startCloud({
    lambdaFaults: shares(values.lambda),
    s3Faults: shares(values.s3),
    limits: shares(values.limit),
  });
  if (values.outage !== undefined) {
    const [invocations, forMs] = values.outage.split(',').map(Number);
    const watch = setInterval(() => {
      if ((cloud.lambda.seen.get('ok') ?? 0) < invocations!) return;
      clearInterval(watch);
      cloud.s3.faults.startOutage(forMs!);
    }, 50);
  }
  const child = spawn(positionals[0]!, positionals.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, ...cloud.env },
  });
  const code = await new Promise<number>((resolve) => child.once('exit', (c) => resolve(c ?? 1)));
  console.error(
    JSON.stringify({
      lambda: Object.fromEntries(cloud.lambda.seen),
      lambdaFaults: cloud.lambda.faults.counts,
      s3: Object.fromEntries(cloud.s3.requests),
      s3Refusals: Object.fromEntries(cloud.s3.refusals),
    }),
  );
  await cloud.close();
  process.exit(code);
}
