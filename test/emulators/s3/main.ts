// The emulator as a process: prints one line of JSON ({url, region, accessKeyId, secretAccessKey}) when it listens, a line
// of counters when it is told to end (SIGTERM, SIGINT).
import { parseArgs } from 'node:util';
import { NO_FAULTS } from './faults.ts';
import { startS3, TEST_KEY } from './server.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    region: { type: 'string', default: 'us-east-1' },
    bucket: { type: 'string', multiple: true, default: [] },
    directory: { type: 'string' },
    'access-key': { type: 'string', default: TEST_KEY.accessKeyId },
    'secret-key': { type: 'string', default: TEST_KEY.secretAccessKey },
    /** Any of Faults: --fault slowDownRate=0.05 */
    fault: { type: 'string', multiple: true, default: [] },
  },
});

const faults = Object.fromEntries(
  values.fault.map((text) => {
    const [name, value] = text.split('=');
    if (!Object.hasOwn(NO_FAULTS, name!) || !Number.isFinite(Number(value)) || value === undefined) {
      console.error(`--fault ${text}: one of ${Object.keys(NO_FAULTS).join(', ')} and a number`);
      process.exit(2);
    }
    return [name, Number(value)];
  }),
);

const s3 = await startS3({
  port: Number(values.port),
  region: values.region,
  buckets: values.bucket,
  keys: [{ accessKeyId: values['access-key'], secretAccessKey: values['secret-key'] }],
  faults,
  ...(values.directory === undefined ? {} : { directory: values.directory }),
});
console.log(JSON.stringify({ url: s3.url, region: s3.region, ...s3.key }));

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, async () => {
    await s3.close();
    console.log(
      JSON.stringify({
        requests: Object.fromEntries(s3.requests),
        refusals: Object.fromEntries(s3.refusals),
      }),
    );
  });
