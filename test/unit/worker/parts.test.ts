// A part of a toolchain makes what the whole makes, or says that it is too little. Frames cannot smuggle anything.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { nameValue, type ObjectName, sizeOf } from '../../../src/ir/name.ts';
import type { Thunk } from '../../../src/ir/thunk.ts';
import { encodeManifest } from '../../../src/toolchain/manifest.ts';
import { Offers } from '../../../src/toolchain/offers.ts';
import { type Part, partOf } from '../../../src/toolchain/parts.ts';
import type { WorkDone, WorkFailed } from '../../../src/worker/messages.ts';
import { blobCacheOf } from '../../../src/worker/run/run-items.ts';
import { WorkerRig } from './rig.ts';

const rig = new WorkerRig();
after(() => rig.close());

const keep = (bytes: Buffer): ObjectName => {
  const name = nameValue(bytes);
  writeFileSync(join(rig.remote, name), bytes);
  return name;
};
const offers = new Offers(keep);
const OUT = { output: 'out', prefix: '' };
const C = 'int f(void) { return __LINE__; }\n';
const CXX = 'struct s { virtual ~s(); int n = 3; };\ns::~s() {}\n';
const object = (result: WorkDone | WorkFailed | undefined): Buffer => {
  assert.ok(result?.kind === 'done' && result.exitCode === 0, JSON.stringify(result).slice(0, 500));
  return Buffer.from(result.outputs[0]!.inline!, 'base64');
};
const refusal = (result: WorkDone | WorkFailed | undefined): string => {
  assert.ok(result?.kind === 'failed', 'not refused');
  return `${result.reason}: ${result.detail}`;
};
const ofPart = async (part: Part): Promise<{ toolchain: ObjectName }> => ({
  toolchain: (await offers.of(await rig.captured(), part)).manifest,
});

describe('parts of a toolchain', () => {
  test('C and C++ with their own part: the bytes of the whole', async () => {
    for (const [part, file, text] of [
      ['c', 'a.c', C],
      ['c++', 'a.cc', CXX],
    ] as const) {
      const item = await rig.item(['-nostdinc', '-O2', '-c', file, '-o', OUT], { [file]: text });
      const whole = object((await rig.run([item]))[0]);
      assert.deepEqual(object((await rig.run([item], await ofPart(part)))[0]), whole);
    }
  });

  test('a part that is too little is found out, whatever became of the run', async () => {
    const cxx = await rig.item(['-nostdinc', '-c', 'a.cc', '-o', OUT], { 'a.cc': CXX });
    assert.match(refusal((await rig.run([cxx], await ofPart('c')))[0]), /^toolchain-part: .*cc1plus/);
    const linked = await rig.item(['-nostdinc', '-shared', '-nostdlib', 'a.c', '-o', OUT], { 'a.c': C });
    assert.match(refusal((await rig.run([linked], await ofPart('c')))[0]), /^toolchain-part: /);
    // A file that is looked for and not missed: -print-prog-name ends well without cc1plus.
    const asks = await rig.item(['-nostdinc', '-print-prog-name=cc1plus', '-c', 'a.c', '-o', OUT], {
      'a.c': C,
    });
    assert.match(refusal((await rig.run([asks], await ofPart('c')))[0]), /^toolchain-part: .*cc1plus/);
  });

  test('links: LTO objects that no flag tells of want the whole', async () => {
    const flags = ['-shared', '-nostdlib', 'a.o', '-o', OUT] as const;
    const link = async (flto: readonly string[]) => {
      const compiled = object(
        (
          await rig.run([
            await rig.item([...flto, '-nostdinc', '-fPIC', '-c', 'a.c', '-o', OUT], { 'a.c': C }),
          ])
        )[0],
      );
      const name = keep(compiled);
      return rig.item(
        flags,
        {},
        { inputs: [{ path: 'a.o', name }], outputs: [{ tag: 'out', path: 'a.so' }] },
      );
    };
    const plain = await link([]);
    const whole = object((await rig.run([plain]))[0]);
    assert.deepEqual(object((await rig.run([plain], await ofPart('link')))[0]), whole);
    // A library of the compiler that is an input here.
    const { manifest, pathByName } = await rig.captured();
    const [libm, name] = manifest.files.find(([path]) => path.endsWith('/libm.so.6'))!;
    keep(readFileSync(pathByName.get(name)!));
    const args = ['-shared', '-nostdlib', libm, '-o', OUT];
    const more = { inputs: [{ path: libm, name }], outputs: [{ tag: 'out', path: 'b.so' }] };
    object((await rig.run([await rig.item(args, {}, more)], await ofPart('link')))[0]);
    const undeclared = await rig.item(args, {}, { ...more, inputs: [] });
    assert.match(refusal((await rig.run([undeclared], await ofPart('link')))[0]), /^toolchain-part: .*libm/);
    const lto = await link(['-flto']);
    const linked = object((await rig.run([lto]))[0]);
    assert.match(refusal((await rig.run([lto], await ofPart('link')))[0]), /^toolchain-part: .*lto1/);
    assert.deepEqual(object((await rig.run([lto], await ofPart('link-lto')))[0]), linked);
  });

  test('what a cold worker fetches for a C compile is less than a sixth of the whole', async () => {
    const captured = await rig.captured();
    for (const part of ['c', 'c++'] as const) {
      const { blobs } = await offers.of(captured, part);
      const bytes = blobs.reduce((sum, blob) => sum + sizeOf(blob.name), 0);
      assert.ok(bytes * 6 < captured.sizeBytes, `${part}: ${bytes} of ${captured.sizeBytes}`);
      const { directory } = rig;
      const item = await rig.item(['-nostdinc', '-c', 'n.c', '-o', OUT], {
        'n.c': `int n = ${part.length};`,
      });
      const before = blobCacheOf(directory).counters.fetchedBytes;
      await rig.run([item], await ofPart(part));
      assert.ok(blobCacheOf(directory).counters.fetchedBytes - before < bytes);
    }
  });
});

test('frames: of other bytes, of endless bytes, of no zstd: refused, nothing left', async () => {
  const captured = await rig.captured();
  const text = Buffer.from('int only_in_a_frame;\n'.repeat(10));
  const name = nameValue(text);
  const bomb = zlib.zstdCompressSync(Buffer.alloc(64 << 20));
  for (const [frame, what] of [
    [zlib.zstdCompressSync(Buffer.from(text.toString().replace('only', 'ONLY'))), /digest-mismatch/],
    [bomb, /digest-mismatch: .*more bytes than the name says/],
    [Buffer.from('nothing of the kind'), /digest-mismatch: V.*, the frame of V/],
  ] as const) {
    const manifest = { ...captured.manifest, frames: [[name, keep(frame)]] as const };
    const item = await rig.item(
      ['-nostdinc', '-c', 'a.c', '-o', OUT],
      {},
      { inputs: [{ path: 'a.c', name }] },
    );
    const results = await rig.run([item], { toolchain: keep(encodeManifest(manifest)) });
    assert.match(refusal(results[0]), what);
    assert.deepEqual(await rig.leftovers(), []);
  }
});

test('which part a call gets', () => {
  const of = (stage: string, ...args: string[]) => {
    const [tool, ...rest] = args;
    return partOf({ tool, args: rest } as unknown as Thunk, stage);
  };
  assert.equal(of('compile', 'gcc', '-c', 'a.c'), 'c');
  assert.equal(of('compile', 'x86_64-linux-gnu-gcc-12', '-c', 'd/a.S'), 'c');
  assert.equal(of('compile', 'gcc', '-c', 'a.cc'), 'c++');
  assert.equal(of('compile', 'g++', '-c', 'a.c'), 'c++');
  assert.equal(of('assemble', 'g++', '-c', 'a.S'), 'c');
  assert.equal(of('link', 'gcc', 'a.o', 'b.a'), 'link');
  assert.equal(of('link', 'g++', '-flto=auto', 'a.o'), 'link-lto');
  for (const whole of [
    of('compile', 'gcc', '-xc++', 'a.c'),
    of('compile', 'gcc', 'a.c', 'b.cc'),
    of('compile', 'gcc', '-fplugin=p.so', 'a.c'),
    of('compile', 'gcc', 'a.f90'),
    of('link', 'gcc', 'a.c', 'b.o'),
    of('archive', 'ar', 'a.o'),
  ])
    assert.equal(whole, undefined);
});
