// The worker as one CommonJS file, minified: what Lambda loads, and what stands in for it here.
import { build } from 'esbuild';

export async function buildWorker(outfile: string): Promise<void> {
  await build({
    entryPoints: ['src/worker/runtime/handler.ts'],
    absWorkingDir: new URL('..', import.meta.url).pathname,
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node22',
    minify: true,
    keepNames: true,
    logLevel: 'warning',
  });
}
