// Runs every thunk of a state directory again, each in a virtual root, and compares with what it became here.
//
//   node test/projects/vroot.ts STATE     (STATE: $GG_DIR of builds made before; their sources may be gone)
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { baseName, isThunk, isValue, type ObjectName, tagOf } from '../../src/ir/name.ts';
import { decodeThunk, encodeThunk, type Thunk } from '../../src/ir/thunk.ts';
import { ensureNative, VROOT_LIBRARY } from '../../src/native/build.ts';
import { DigestCache } from '../../src/store/local/digest-cache.ts';
import { LocalStore } from '../../src/store/local/local.ts';
import { type Captured, captureToolchain } from '../../src/toolchain/capture.ts';
import { Toolchains } from '../../src/toolchain/toolchain.ts';
import { BlobError } from '../../src/worker/blobs/blobs.ts';
import { WORKER_PROTOCOL } from '../../src/worker/messages.ts';
import { placeOf } from '../../src/engine/cloud/may-leave.ts';
import { blobCacheOf, runItems } from '../../src/worker/run/run-items.ts';
import { query } from '../unit/worker/rig.ts';

interface Place {
  readonly realTool: string;
  readonly cwd: string;
  readonly pwd: string;
  readonly searchPath: string;
  readonly command: string;
}

const state = resolve(process.argv[2] ?? '');
const home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-replay-')));
const store = new LocalStore(state);
const digests = new DigestCache();
const digestOf = (path: string) => digests.digest(path);
const toolchains = new Toolchains(query, digestOf);
const pathByName = new Map<ObjectName, string>();
const count = { same: 0, different: 0, localOnly: 0, unknown: 0, failed: 0 };
let layoutMs = 0;
let misses = 0;

function places(): Map<ObjectName, Place> {
  const found = new Map<ObjectName, Place>();
  for (const line of readFileSync(join(state, 'journal'), 'utf8').split('\n')) {
    if (line === '') continue;
    const record = JSON.parse(line.slice(line.indexOf(' ') + 1)) as {
      t: string;
      thunk: ObjectName;
      place: Place;
    };
    if (record.t === 'x') found.set(record.thunk, record.place);
  }
  return found;
}

/** The thunk with values only; undefined when something it needs was never made. */
function reduced(thunk: Thunk): Thunk | undefined {
  const inputs = thunk.inputs.map((input) => {
    if (isValue(input.name)) return input;
    const made = store.reduction(baseName(input.name))?.outputs.find((o) => o.tag === tagOf(input.name));
    return made ? { path: input.path, name: made.name } : undefined;
  });
  return inputs.includes(undefined) ? undefined : { ...thunk, inputs: inputs as Thunk['inputs'] };
}

async function replay(name: ObjectName, place: Place, captured: Captured, cwd: string): Promise<void> {
  const kept = store.reduction(name);
  const bytes = store.get(name);
  const thunk = bytes && reduced(decodeThunk(bytes));
  if (!kept || !thunk || thunk.toolchain !== captured.manifest.digest) {
    count.unknown++;
    return;
  }
  const where = placeOf(thunk);
  if (where.kind === 'local-only') {
    count.localOnly++;
    console.log(`local only, ${where.reason}: ${where.detail}: ${place.command}`);
    return;
  }
  for (const input of thunk.inputs) {
    const path = input.path.startsWith('/') ? input.path : join(place.cwd, input.path);
    pathByName.set(input.name as ObjectName, store.path(input.name as ObjectName) ?? path);
  }
  const encoded = encodeThunk(thunk);
  const [result] = await runItems(
    {
      protocol: WORKER_PROTOCOL,
      id: name,
      toolchain: captured.name,
      remote: { kind: 'redis', url: 'none', prefix: '' },
      items: [
        {
          name: encoded.name,
          thunk: encoded.bytes.toString(),
          realTool: place.realTool,
          cwd: place.cwd,
          pwd: place.pwd,
          searchPath: place.searchPath,
        },
      ],
      inline: {},
      inlineBytesMax: 0,
      timeoutMs: 600_000,
    },
    {
      directory: cwd,
      signal: new AbortController().signal,
      fetcher: {
        fetch: async (blob, absPath) => {
          const source = pathByName.get(blob);
          if (source === undefined) throw new BlobError('missing-blob', blob);
          copyFileSync(source, absPath);
        },
      },
      sink: { put: async () => {} },
    },
  );
  if (result?.kind !== 'done') {
    count.failed++;
    console.log(`${result?.reason} ${result?.detail}: ${place.command}`);
    return;
  }
  layoutMs += result.timings.layoutMs;
  misses += result.undeclaredMisses.length;
  const there = result.undeclaredMisses.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
  const same =
    result.exitCode === kept.exitCode &&
    Buffer.from(result.stderr, 'base64').equals(kept.stderr) &&
    Buffer.from(result.stdout, 'base64').equals(kept.stdout) &&
    result.outputs.every((o) => kept.outputs.some((k) => k.tag === o.tag && k.name === o.name));
  if (there !== undefined) console.log(`${there} was looked up in vain: ${place.command}`);
  if (same && there === undefined) count.same++;
  else {
    count.different++;
    console.log(
      `differs: ${place.command}\n${Buffer.from(result.stderr, 'base64').toString().slice(0, 1000)}`,
    );
  }
}

try {
  const { directory } = ensureNative({
    stateDir: join(home, 'state'),
    sources: fileURLToPath(new URL('../../wrappers', import.meta.url)),
    serverScript: '/dev/null',
    nodePath: process.execPath,
    env: { PATH: '/usr/bin:/bin' },
  });
  const worker = join(home, 'worker');
  blobCacheOf(worker, 4 * 1024 ** 3);
  const captures = new Map<string, Captured>();
  for (const [name, place] of places()) {
    const key = `${place.realTool}\0${place.searchPath}`;
    let captured = captures.get(key);
    if (!captured) {
      const made = await captureToolchain(await toolchains.of(place.realTool, place.searchPath), {
        realTool: place.realTool,
        vroot: join(directory, VROOT_LIBRARY),
        digestOf,
        query,
      });
      if (made.kind === 'unsupported') throw new Error(`${made.reason}: ${made.detail}`);
      captures.set(key, made);
      captured = made;
      for (const [blob, path] of made.pathByName) pathByName.set(blob, path);
      const manifest = join(home, made.name);
      store.put(made.bytes, 'V');
      pathByName.set(made.name, store.path(made.name) ?? manifest);
    }
    if (isThunk(name)) await replay(name, place, captured, worker);
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
console.log(
  `same: ${count.same}, different: ${count.different}, failed: ${count.failed}, local only: ${count.localOnly}, not known: ${count.unknown}; ` +
    `layout ${layoutMs.toFixed(0)} ms, undeclared misses ${misses}`,
);
process.exitCode = count.different + count.failed > 0 || count.same === 0 ? 1 : 0;
