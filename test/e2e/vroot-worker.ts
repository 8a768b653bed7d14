// A worker as a plain process, started as an unprivileged user: one request a line on stdin, one answer a line on stdout. Blobs
// come from and go to a directory of files that bear their names.
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BlobError } from '../../src/worker/blobs/blobs.ts';
import type { WorkRequest } from '../../src/worker/messages.ts';
import { blobCacheOf, runItems } from '../../src/worker/run/run-items.ts';

const [directory, remote] = process.argv.slice(2) as [string, string];
/** Everything of one test run stays. */
const CACHE_BYTES_MAX = 4 * 1024 ** 3;
blobCacheOf(directory, CACHE_BYTES_MAX);

const signal = new AbortController().signal;
for await (const line of createInterface({ input: process.stdin })) {
  const results = await runItems(JSON.parse(line) as WorkRequest, {
    directory,
    signal,
    fetcher: {
      async fetch(name, absPath) {
        try {
          copyFileSync(join(remote, name), absPath);
        } catch (error) {
          throw new BlobError('missing-blob', `${name}: ${(error as Error).message}`);
        }
      },
    },
    sink: {
      async put(name, absPath) {
        if (!existsSync(join(remote, name))) copyFileSync(absPath, join(remote, name));
      },
    },
  });
  process.stdout.write(`${JSON.stringify(results)}\n`);
}
