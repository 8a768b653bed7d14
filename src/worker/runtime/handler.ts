// Entry of the worker's bundle: Lambda calls `handler`; `node worker.cjs runtime-loop` polls $AWS_LAMBDA_RUNTIME_API itself.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openRemote } from '../../store/remote/open-remote.ts';
import { blobCacheOf, runItems } from '../run/run-items.ts';
import { type RuntimeContext, runtimeLoop } from './runtime-loop.ts';
import { Worker } from './worker.ts';

/** Lambda gives a function this directory and no other to write to. */
const LAMBDA_TMP = '/tmp';

const directory = process.env['GG_WORKER_DIR'] || join(LAMBDA_TMP, 'gg-worker');
const worker = new Worker({
  directory,
  instance: process.env['AWS_LAMBDA_LOG_STREAM_NAME'] || randomBytes(6).toString('hex'),
  openRemote: async (address) => openRemote(address),
  runItems,
  cache: () => blobCacheOf(directory),
});

export function handler(event: unknown, context: RuntimeContext): Promise<unknown> {
  return worker.serve(event, context.getRemainingTimeInMillis());
}

const api = process.env['AWS_LAMBDA_RUNTIME_API'];
if (process.argv[2] === 'runtime-loop' && api !== undefined) {
  runtimeLoop(api, handler).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  });
}
