// `gg doctor --engine lambda`: each step a cloud build needs, in order, the last of them one real invocation that compiles a
// file of one line; its result is compared with the one made here.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { functionSizes } from '../../deploy/function-sizes.ts';
import type { Invoker } from '../../engine/lambda/invoker.ts';
import { Uploads, type Wanted } from '../../engine/cloud/uploads.ts';
import { nameValue } from '../../ir/name.ts';
import { encodeThunk, type Thunk } from '../../ir/thunk.ts';
import { VROOT_LIBRARY } from '../../native/build.ts';
import type { QueryRunner } from '../../scan/scanner.ts';
import { DigestCache } from '../../store/local/digest-cache.ts';
import { LocalStore } from '../../store/local/local.ts';
import { openRemote } from '../../store/remote/open-remote.ts';
import type { RemoteStore } from '../../store/remote/remote.ts';
import { parseRemoteUrl, withoutSecrets } from '../../store/remote/remote-url.ts';
import { type Captured, captureToolchain } from '../../toolchain/capture.ts';
import { Toolchains } from '../../toolchain/toolchain.ts';
import { WORKER_PROTOCOL, type WorkRequest } from '../../worker/messages.ts';
import { readResponse } from '../../worker/read-message.ts';
import { prepareNative } from '../../client/native.ts';
import type { Settings } from '../../settings/table.ts';

export interface LambdaCheck {
  readonly what: string;
  readonly run: () => Promise<string>;
  readonly advice: string;
}

const PROBE_MS_MAX = 120_000;
const SOURCE = 'int gg_doctor(void) { return 42; }\n';

const query: QueryRunner = async (file, args, options) => {
  const r = spawnSync(file, args, { cwd: options.cwd, env: Object.fromEntries(options.env) });
  return { code: r.status ?? 127, stdout: r.stdout ?? Buffer.alloc(0), stderr: r.stderr ?? Buffer.alloc(0) };
};

function onPath(tool: string): string {
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    try {
      return realpathSync(join(directory, tool));
    } catch {
      // not there
    }
  }
  throw new Error(`no ${tool} on PATH`);
}

/** The checks share what those before them found; one that fails makes the later ones fail with its reason. */
export function lambdaChecks(settings: Settings): {
  readonly checks: readonly LambdaCheck[];
  readonly close: () => void;
} {
  const home = mkdtempSync(join(tmpdir(), 'gg-doctor-'));
  const store = new LocalStore(home);
  const digests = new DigestCache();
  const digestOf = (path: string) => digests.digest(path);
  let remote: RemoteStore | undefined;
  let invoker: Invoker | undefined;
  let captured: Captured | undefined;
  let gcc = '';
  const checks: LambdaCheck[] = [
    {
      what: 'remote store',
      advice:
        'set GG_REMOTE=s3://BUCKET; gg deploy lambda makes one. It needs s3:ListBucket, GetObject, PutObject',
      run: async () => {
        if (settings.remote === '') throw new Error('GG_REMOTE is not set');
        const found = parseRemoteUrl(settings.remote, process.env);
        if ('problem' in found) throw new Error(found.problem);
        const opened = openRemote(found.address, found);
        await opened.prepare();
        const bytes = Buffer.from(SOURCE);
        await opened.put(nameValue(bytes), bytes);
        if (!(await opened.get(nameValue(bytes))).equals(bytes)) throw new Error('other bytes came back');
        remote = opened;
        return `${withoutSecrets(settings.remote)}: listed, written, read`;
      },
    },
    {
      what: 'compiler for workers',
      advice: "'gg toolchain' lists what is carried; thunks of other tools run here",
      run: async () => {
        gcc = onPath('gcc');
        const native = await prepareNative();
        const searchPath = process.env['PATH'] ?? '';
        const toolchain = await new Toolchains(query, digestOf).of(gcc, searchPath);
        const result = await captureToolchain(toolchain, {
          realTool: gcc,
          vroot: join(native.directory, VROOT_LIBRARY),
          digestOf,
          query,
        });
        if (result.kind === 'unsupported') throw new Error(`${result.reason}: ${result.detail}`);
        captured = result;
        return `${gcc}: ${result.manifest.files.length} files, ${Math.round(result.sizeBytes / 1e6)} MB`;
      },
    },
    {
      what: 'compiler in the store',
      advice: 's3:PutObject is needed for uploads',
      run: async () => {
        if (!remote || !captured) throw new Error('a step before failed');
        store.put(captured.bytes, 'V');
        const uploads = new Uploads({ store, remote, digestOf });
        const blobs: Wanted[] = [{ name: captured.name, absPath: '' }];
        for (const [name, absPath] of captured.pathByName) blobs.push({ name, absPath });
        await uploads.provide(blobs, 0);
        return `${remote.counters.putCount} objects written, ${Math.round(remote.counters.sentBytes / 1e6)} MB`;
      },
    },
  ];
  for (const { name } of functionSizes(settings.lambdaFunction)) {
    checks.push({
      what: `function ${name}`,
      advice: "'gg deploy lambda' makes or updates it; people who build need lambda:InvokeFunction",
      run: async () => {
        if (!remote || !captured) throw new Error('a step before failed');
        if (!invoker) {
          const { awsInvoker } = await import('../../engine/lambda/aws-invoker.ts');
          const region = process.env['AWS_REGION'] || process.env['AWS_DEFAULT_REGION'];
          const { address } = remote;
          invoker = await awsInvoker({
            region: region || (address.kind === 's3' ? address.region : 'us-east-1'),
            socketsMax: 2,
          });
        }
        return probe(name, invoker, remote, captured, gcc, home);
      },
    });
  }
  return {
    checks,
    close: () => {
      invoker?.close();
      void remote?.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function probe(
  name: string,
  invoker: Invoker,
  remote: RemoteStore,
  captured: Captured,
  gcc: string,
  home: string,
): Promise<string> {
  const source = Buffer.from(SOURCE);
  const thunk: Thunk = {
    tool: 'gcc',
    toolchain: captured.manifest.digest,
    args: ['-ffreestanding', '-c', 'probe.c', '-o', { prefix: '', output: 'o' }],
    env: [['LC_ALL', 'C']],
    cwd: '',
    inputs: [{ path: 'probe.c', name: nameValue(source) }],
    absent: [],
    outputs: [{ tag: 'o', path: 'probe.o' }],
    salt: [],
  };
  const { name: thunkName, bytes } = encodeThunk(thunk);
  const request: WorkRequest = {
    protocol: WORKER_PROTOCOL,
    id: 'doctor',
    toolchain: captured.name,
    remote: remote.address,
    packs: remote.hints([captured.name, ...captured.pathByName.keys()]),
    items: [
      {
        name: thunkName,
        thunk: bytes.toString(),
        realTool: gcc,
        cwd: home,
        pwd: home,
        searchPath: process.env['PATH'] ?? '',
      },
    ],
    inline: { [nameValue(source)]: source.toString('base64') },
    inlineBytesMax: 100_000,
    timeoutMs: PROBE_MS_MAX,
  };
  const started = performance.now();
  const end = await invoker.invoke(name, Buffer.from(JSON.stringify(request)), {
    signal: new AbortController().signal,
    timeoutMs: PROBE_MS_MAX,
  });
  const tookMs = performance.now() - started;
  if (end.kind !== 'answered') throw new Error(`${end.reason}: ${end.detail}`);
  const response = readResponse(JSON.parse(end.payload.toString('utf8')));
  const result = response.results[0];
  if (!result) throw new Error('an answer without a result');
  if (result.kind === 'failed') throw new Error(`${result.reason}: ${result.detail}`);
  if (result.exitCode !== 0) throw new Error(Buffer.from(result.stderr, 'base64').toString().trim());
  writeFileSync(join(home, 'probe.c'), SOURCE);
  const here = spawnSync(gcc, ['-ffreestanding', '-c', 'probe.c', '-o', 'probe.o'], { cwd: home });
  if (here.status !== 0) throw new Error(`gcc here: ${here.stderr.toString().trim()}`);
  if (nameValue(readFileSync(join(home, 'probe.o'))) !== result.outputs[0]?.name)
    throw new Error('the object made there differs from the one made here');
  const { billing } = end;
  const cold = billing.initMs > 0 ? `, cold start ${Math.round(billing.initMs)} ms` : '';
  return `compiled there as here in ${Math.round(tookMs)} ms${cold}; ${billing.memoryUsedMb} of ${billing.memoryMb} MB, billed ${billing.billedMs} ms`;
}
