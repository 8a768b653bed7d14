// npm run bench:invoke: what one invocation costs the coordinator, with reductor, uploads, checks and the store's files:
// first over a service that answers at once, then through the AWS SDK and HTTP to a server in another process; then the
// memory of a graph of 100,000 thunks.
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { awsInvoker } from '../src/engine/lambda/aws-invoker.ts';
import type { Invoker } from '../src/engine/lambda/invoker.ts';
import { outputRef } from '../src/ir/name.ts';
import { boundHeapGrowth, SERVER_NODE_FLAGS } from '../src/wire/server-flags.ts';
import type { LocalStore } from '../src/store/local/local.ts';
import { answerOf, benchEngine, MACHINE, putThunk, thunkOf, tidyStore } from './bench-cloud.ts';

const BILLING = { billedMs: 1, memoryMb: 1769, memoryUsedMb: 1, initMs: 0, exact: true };
const REPORT = Buffer.from(
  'REPORT RequestId: x\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 1769 MB\tMax Memory Used: 90 MB\t\n',
).toString('base64');
const IN_FLIGHT = 200;
const INPUTS = 60;
const rounds = Number(process.argv[2] ?? 4000);
const GRAPH_THUNKS = Number(process.argv[3] ?? 100_000);

let answeringMs = 0;
const instant: Invoker = {
  invoke: async (_fn, payload) => {
    const before = performance.now();
    const answer = answerOf(payload);
    answeringMs += performance.now() - before;
    return { kind: 'answered', payload: answer, billing: BILLING };
  },
  close: () => {},
};

/** The other process: answers like a worker behind the service. */
function serveAnswers(): void {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'x-amz-log-result': REPORT });
      response.end(answerOf(Buffer.concat(chunks)));
    });
  });
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
}

function wide(store: LocalStore, count: number, tag: string) {
  const inputs = Array.from({ length: INPUTS }, (_, i) => ({
    path: `/usr/include/header-${i}.h`,
    name: store.put(Buffer.from(`header ${i}`), 'V'),
  }));
  return Array.from({ length: count }, (_, i) => putThunk(store, thunkOf(`${tag}${i}`, inputs)));
}

async function measure(what: string, invoker: Invoker, own: () => number): Promise<void> {
  const { store, close } = tidyStore();
  const names = wide(store, rounds, 'u');
  const { reductor, failures } = benchEngine(store, invoker, {
    inFlightMax: IN_FLIGHT,
    instancesPerRamp: 1e9,
  });
  const cpu = process.cpuUsage();
  const started = performance.now();
  const ownBefore = own();
  await Promise.all(names.map((n) => reductor.force(n, 's')));
  const wallMs = performance.now() - started;
  const used = process.cpuUsage(cpu);
  const cpuMs = (used.user + used.system) / 1000 - (own() - ownBefore);
  if (failures.length > 0) throw new Error(failures[0]);
  console.log(
    `${what}: ${(cpuMs / rounds).toFixed(3)} ms of CPU each, ${Math.round((rounds / cpuMs) * 1000)} invocations a second on one core ` +
      `(wall: ${Math.round((rounds / wallMs) * 1000)} a second)`,
  );
  close();
}

async function main(): Promise<void> {
  console.log(`${MACHINE}; ${rounds} thunks of ${INPUTS} inputs, ${IN_FLIGHT} in flight`);
  await measure('warm-up', instant, () => answeringMs);
  await measure('engine alone', instant, () => answeringMs);
  const server = fork(new URL(import.meta.url).pathname, ['serve']);
  const port = await new Promise<number>((resolve) => server.once('message', (m) => resolve(Number(m))));
  const sdk = await awsInvoker({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' },
    socketsMax: IN_FLIGHT,
  });
  await measure('through the client, warm-up', sdk, () => 0);
  await measure('through the client', sdk, () => 0);
  sdk.close();
  server.kill();

  // In a process of its own: what came before left its pages behind.
  const graph = fork(new URL(import.meta.url).pathname, ['graph'], {
    execArgv: ['--expose-gc', ...SERVER_NODE_FLAGS],
  });
  await new Promise((resolve) => graph.once('exit', resolve));
}

/** Memory of a graph of 100,000 thunks, from nothing to all of them forced. */
async function measureGraph(): Promise<void> {
  boundHeapGrowth();
  const { store, close } = tidyStore();
  const leaves = wide(store, GRAPH_THUNKS, 'm');
  const top = putThunk(
    store,
    thunkOf(
      'top',
      leaves.slice(0, 1000).map((n, i) => ({ path: `${i}.o`, name: outputRef(n, 'o') })),
    ),
  );
  const { reductor, failures } = benchEngine(store, instant, {
    inFlightMax: IN_FLIGHT,
    instancesPerRamp: 1e9,
  });
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 50);
  // As a build makes them: a few at a time, nothing run before all are there.
  reductor.open('s', 0);
  const all: Promise<unknown>[] = [];
  for (const name of [...leaves, top]) {
    if (all.length % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    all.push(reductor.force(name, 's'));
  }
  reductor.open('s', IN_FLIGHT);
  all.push(reductor.force(putThunk(store, thunkOf('last', [])), 's'));
  const loaded = process.memoryUsage.rss();
  globalThis.gc?.();
  const held = process.memoryUsage();
  await Promise.all(all);
  clearInterval(watch);
  if (failures.length > 0) throw new Error(failures[0]);
  const mb = (n: number): number => Math.round(n / 1048576);
  console.log(
    `${GRAPH_THUNKS + 1} thunks: ${mb(before)} MB before, ${mb(loaded)} MB with the graph loaded (${mb(held.heapUsed)} MB of it in use), ${mb(Math.max(most, loaded))} MB at most while forced`,
  );
  close();
}

if (process.argv[2] === 'serve') serveAnswers();
else if (process.argv[2] === 'graph') await measureGraph();
else await main();
