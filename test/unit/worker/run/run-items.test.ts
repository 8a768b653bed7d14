// What a worker runs, and what it refuses to.
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { nameThunk, nameValue, type ObjectName, outputRef } from '../../../../src/ir/name.ts';
import type { WorkDone, WorkFailed, WorkItem } from '../../../../src/worker/messages.ts';
import { blobCacheOf } from '../../../../src/worker/run/run-items.ts';
import { WorkerRig } from '../rig.ts';

const rig = new WorkerRig();
after(() => rig.close());

const OUT = { prefix: '', output: 'out' };
const COMPILE = ['-ffreestanding', '-nostdinc', '-c', 'a.c', '-o', OUT];
const A = { 'a.c': 'int a;\n' };

function done(result: WorkDone | WorkFailed | undefined): WorkDone {
  assert.ok(result?.kind === 'done', JSON.stringify(result));
  return result;
}

afterEach(async () => {
  assert.deepEqual(await rig.leftovers(), []);
});

function failed(result: WorkDone | WorkFailed | undefined): WorkFailed {
  assert.ok(result?.kind === 'failed', JSON.stringify(result));
  return result;
}

function bytes(result: WorkDone, tag = 'out'): Buffer {
  const output = result.outputs.find((o) => o.tag === tag);
  assert.ok(output?.inline !== undefined);
  const value = Buffer.from(output.inline, 'base64');
  assert.equal(nameValue(value), output.name);
  return value;
}

test('a compile', async () => {
  const result = done((await rig.run([await rig.item(COMPILE, A)]))[0]);
  assert.equal(result.exitCode, 0, Buffer.from(result.stderr, 'base64').toString());
  assert.equal(bytes(result).toString('latin1', 1, 4), 'ELF');
  assert.ok(result.timings.cpuMs > 0 && result.timings.runMs > 0);
});

test('a chain: intermediate bytes stay, the second item reads them', async () => {
  const first = await rig.item(['-nostdinc', '-S', 'a.c', '-o', OUT], A, {
    outputs: [{ tag: 'out', path: 'a.s' }],
  });
  const second = await rig.item(
    ['-c', 'a.s', '-o', OUT],
    {},
    {
      inputs: [{ path: 'a.s', name: outputRef(first.name, 'out') }],
    },
  );
  const results = await rig.run([{ ...first, internal: 'kept' }, second]);
  assert.equal(results.length, 2);
  assert.equal(done(results[0]).outputs[0]?.inline, undefined);
  assert.equal(existsSync(join(rig.remote, done(results[0]).outputs[0]!.name)), false);
  assert.equal(bytes(done(results[1])).toString('latin1', 1, 4), 'ELF');
});

test('a chain of two toolchains; with its bytes as alone, and what is known ends it', async () => {
  const compile = await rig.item(['-g', ...COMPILE], A);
  const binutils = await rig.captured('/usr/bin/strip');
  const strip = (name: ObjectName, more: Partial<WorkItem> = {}): Promise<WorkItem> =>
    rig.item(
      ['-g', 'a.o'],
      {},
      {
        tool: 'strip',
        toolchain: binutils.manifest.digest,
        inputs: [{ path: 'a.o', name }],
        outputs: [{ tag: 'out', path: 'a.o', from: 'a.o' }],
      },
      { realTool: '/usr/bin/strip', toolchain: binutils.name, ...more },
    );
  const reference = outputRef(compile.name, 'out') as string as ObjectName;
  const [made, stripped, ...more] = await rig.run([{ ...compile, internal: 'kept' }, await strip(reference)]);
  assert.deepEqual(more, []);
  assert.deepEqual(done(made).outputs, [{ ...done(made).outputs[0]!, withheld: true }]);
  const [object] = await rig.run([compile]);
  writeFileSync(join(rig.remote, done(object).outputs[0]!.name), bytes(done(object)));
  const alone = await strip(done(object).outputs[0]!.name);
  const [separate] = await rig.run([alone]);
  assert.deepEqual(bytes(done(stripped)), bytes(done(separate)));
  assert.notDeepEqual(bytes(done(stripped)), bytes(done(object)));

  const results = await rig.run([
    { ...compile, internal: 'kept' },
    await strip(reference, { known: [alone.name] }),
  ]);
  assert.equal(results.length, 1);
  assert.deepEqual(
    bytes(done(results[0])),
    bytes(done(object)),
    'whoever ends the chain gets what was internal',
  );
});

test('a chain that breaks after an internal item brings its bytes, by the backend where they are many', async () => {
  const first = await rig.item(['-nostdinc', '-S', 'a.c', '-o', OUT], A, {
    outputs: [{ tag: 'out', path: 'a.s' }],
  });
  const bad = await rig.item(
    ['-c', 'a.s', 'no-such-file', '-o', OUT],
    {},
    { inputs: [{ path: 'a.s', name: outputRef(first.name, 'out') }] },
  );
  for (const inlineBytesMax of [1 << 20, 0]) {
    const results = await rig.run([{ ...first, internal: 'kept' }, bad], { inlineBytesMax });
    assert.equal(done(results[1]).exitCode, 1);
    const [output] = done(results[0]).outputs;
    assert.equal(output!.withheld, undefined);
    if (inlineBytesMax > 0) assert.match(bytes(done(results[0])).toString(), /\.file\t"a\.c"/);
    else assert.ok(existsSync(join(rig.remote, output!.name)));
  }
});

test('a chain ends with the first that fails', async () => {
  const bad = await rig.item(COMPILE, { 'a.c': 'int a\n' });
  const results = await rig.run([bad, await rig.item(COMPILE, A)]);
  assert.equal(results.length, 1);
  assert.equal(done(results[0]).exitCode, 1);
  assert.match(Buffer.from(done(results[0]).stderr, 'base64').toString(), /^a\.c:1:1: error/m);
});

test('larger outputs go to the backend', async () => {
  const result = done((await rig.run([await rig.item(COMPILE, A)], { inlineBytesMax: 10 }))[0]);
  assert.equal(result.outputs[0]?.inline, undefined);
  assert.ok(existsSync(join(rig.remote, result.outputs[0]!.name)));
});

test('blobs that came along are used and verified', async () => {
  const text = 'int inline_one;\n';
  const name = nameValue(Buffer.from(text));
  const item = await rig.item(COMPILE, { 'a.c': text });
  rmSync(join(rig.remote, name));
  const inline = { [name]: Buffer.from(text).toString('base64') };
  assert.equal(done((await rig.run([item], { inline }))[0]).exitCode, 0);
  const other = await rig.item(COMPILE, { 'a.c': 'int inline_two;\n' });
  const wrong = {
    [nameValue(Buffer.from('int inline_two;\n'))]: Buffer.from('int evil;\n').toString('base64'),
  };
  assert.equal(failed((await rig.run([other], { inline: wrong }))[0]).reason, 'digest-mismatch');
});

test('an input whose hash does not match', async () => {
  const text = 'int damaged;\n';
  const item = await rig.item(COMPILE, { 'a.c': text });
  writeFileSync(join(rig.remote, nameValue(Buffer.from(text))), 'int DAMAGED;\n');
  const result = failed((await rig.run([item]))[0]);
  assert.equal(result.reason, 'digest-mismatch');
  assert.match(result.detail, /^V[0-9a-f]{64}-13$/);
});

test('an input that is nowhere', async () => {
  const text = 'int lost;\n';
  const item = await rig.item(COMPILE, { 'a.c': text });
  rmSync(join(rig.remote, nameValue(Buffer.from(text))));
  assert.equal(failed((await rig.run([item]))[0]).reason, 'missing-blob');
});

for (const path of [
  '../a.o',
  'x/../../../../../../../../tmp/gg-escaped.o',
  '/w/../../tmp/gg-escaped.o',
  '..',
])
  test(`an output named ${path}`, async () => {
    const item = await rig.item(COMPILE, A, { outputs: [{ tag: 'out', path }] });
    const result = failed((await rig.run([item]))[0]);
    assert.equal(result.reason, 'refused');
    assert.match(result.detail, /"\.\."/);
    assert.equal(existsSync('/tmp/gg-escaped.o'), false);
  });

test('absolute outputs and inputs stay below the root', async () => {
  const path = '/tmp/gg-escaped.o';
  const item = await rig.item(
    ['-nostdinc', '-c', '/../../../../../gg-in.c', '-o', OUT],
    {
      '/../../../../../gg-in.c': 'int a;\n',
    },
    { outputs: [{ tag: 'out', path }] },
  );
  assert.equal(done((await rig.run([item]))[0]).exitCode, 0);
  assert.equal(existsSync(path), false);
  assert.equal(existsSync('/gg-in.c'), false);
});

for (const path of ['/.gg/vroot.so', '/dev/null', '/proc/self/mem', '/usr/bin/as', 'dir/', ''])
  test(`an output at "${path}"`, async () => {
    const item = await rig.item(COMPILE, A, { outputs: [{ tag: 'out', path }] });
    assert.equal(failed((await rig.run([item]))[0]).reason, 'refused');
  });

test('an output the thunk does not declare', async () => {
  const side = failed((await rig.run([await rig.item(['-MD', ...COMPILE], A)]))[0]);
  assert.equal(side.reason, 'refused');
  assert.match(side.detail, /\/w\/a\.d/);
  const named = failed(
    (await rig.run([await rig.item([...COMPILE, { prefix: '', output: 'other' }], A)]))[0],
  );
  assert.match(named.detail, /other/);
});

test('an output that is not made', async () => {
  const item = await rig.item(['-nostdinc', '-fsyntax-only', 'a.c'], A);
  assert.equal(failed((await rig.run([item]))[0]).reason, 'output-missing');
});

test('a thunk of a newer version', async () => {
  const item = await rig.item(COMPILE, A);
  const thunk = item.thunk.replace('{"gg":1,', '{"gg":2,');
  const result = failed((await rig.run([{ ...item, thunk, name: nameThunk(Buffer.from(thunk)) }]))[0]);
  assert.equal(result.reason, 'refused');
  assert.match(result.detail, /unknown-version/);
});

test('a thunk whose bytes do not hash to its name', async () => {
  const item = await rig.item(COMPILE, A);
  const thunk = item.thunk.replace('a.c', 'b.c');
  const result = failed((await rig.run([{ ...item, thunk }]))[0]);
  assert.equal(result.reason, 'refused');
  assert.match(result.detail, /hash/);
});

test('a thunk of another toolchain, a wrong directory, a wrong tool', async () => {
  const other = await rig.item(COMPILE, A, { toolchain: '0'.repeat(64) });
  assert.match(failed((await rig.run([other]))[0]).detail, /toolchain/);
  const elsewhere = await rig.item(COMPILE, A, { cwd: '/elsewhere' });
  assert.match(failed((await rig.run([elsewhere]))[0]).detail, /elsewhere/);
  const climbing = await rig.item(COMPILE, A, {}, { cwd: '/w/../..' });
  assert.match(failed((await rig.run([climbing]))[0]).detail, /working directory/);
  const tool = await rig.item(COMPILE, A, {}, { realTool: '/usr/bin/../../bin/sh' });
  assert.match(failed((await rig.run([tool]))[0]).detail, /tool/);
  const missing = await rig.item(COMPILE, A, {}, { realTool: '/bin/sh' });
  assert.match(failed((await rig.run([missing]))[0]).detail, /\/bin\/sh/);
});

test('an input that is a thunk nobody ran', async () => {
  const ref = outputRef(nameThunk(Buffer.from('x')), 'out');
  const item = await rig.item(COMPILE, {}, { inputs: [{ path: 'a.c', name: ref }] });
  assert.equal(failed((await rig.run([item]))[0]).reason, 'refused');
});

test('a damaged manifest', async () => {
  const text =
    '{"gg":2,"digest":"x","loader":"/../ld.so","libraryPath":[],"files":[],"links":[],"omitted":[],"frames":[]}\n';
  const result = failed((await rig.run([await rig.item(COMPILE, A)], { toolchain: rig.put(text) }))[0]);
  assert.equal(result.reason, 'refused');
});

test('the deadline', async () => {
  const slow = `#define A(x) x x x x x x x x x x\n#define B(x) A(A(A(x)))\n${'B(B(int f(int);))\n'.repeat(10)}`;
  const item = await rig.item(COMPILE, { 'a.c': slow });
  const started = Date.now();
  const result = failed((await rig.run([item], { timeoutMs: 200 }))[0]);
  assert.equal(result.reason, 'timeout');
  assert.ok(Date.now() - started < 10_000);
});

test('a taken back request', async () => {
  const controller = new AbortController();
  controller.abort();
  const result = failed((await rig.run([await rig.item(COMPILE, A)], { signal: controller.signal }))[0]);
  assert.equal(result.reason, 'timeout');
});

const ONCE = {
  'a.c': '#include "x/o.h"\n#include "y/o.h"\nint f(void) { return COUNT; }\n',
  'x/o.h': '#pragma once\n#ifdef COUNT\n#undef COUNT\n#define COUNT 2\n#else\n#define COUNT 1\n#endif\n',
};

test('equal headers are one to #pragma once, but for another mtime class', async () => {
  const files = { ...ONCE, 'y/o.h': ONCE['x/o.h'] };
  const run = async (salt: string[]): Promise<string> =>
    bytes(
      done(
        (await rig.run([await rig.item(['-nostdinc', '-O2', '-S', 'a.c', '-o', OUT], files, { salt })]))[0],
      ),
    ).toString();
  assert.match(await run([]), /movl\t\$1, %eax|mov\s+w0, 1/);
  assert.match(await run(['mtime-class:1:y/o.h']), /movl\t\$2, %eax|mov\s+w0, 2/);
});

test('names looked up in vain', async () => {
  const item = await rig.item(
    ['-nostdinc', '-iquote', 'p', '-iquote', 'q', '-c', 'a.c', '-o', OUT],
    { 'a.c': '#include "h.h"\n#if __has_include("no.h")\n#endif\n', 'q/h.h': 'int h;\n', 'p/keep.h': '' },
    { absent: ['p/h.h'] },
  );
  const { undeclaredMisses } = done((await rig.run([item]))[0]);
  assert.deepEqual(
    undeclaredMisses.filter((path) => path.startsWith('/w/') && !path.endsWith('.gch')),
    ['/w/h.h', '/w/no.h', '/w/p/no.h', '/w/q/no.h'],
  );
});

test('names looked up in vain in a project below /tmp', async () => {
  const item = await rig.item(
    ['-nostdinc', '-c', 'a.c', '-o', OUT],
    { 'a.c': '#if __has_include("no.h")\n#endif\n' },
    {},
    { cwd: '/tmp/project' },
  );
  const { undeclaredMisses } = done((await rig.run([item]))[0]);
  assert.deepEqual(
    undeclaredMisses.filter((path) => path.startsWith('/tmp/') && !path.endsWith('.gch')),
    ['/tmp/project/no.h'],
  );
});

test('a directory of an earlier run does not stand in the way of a file', async () => {
  const first = await rig.item(COMPILE, { ...A, 'turns/x.h': '' });
  done((await rig.run([first]))[0]);
  const second = await rig.item(COMPILE, { 'a.c': '#include "turns"\nint b;\n', turns: 'int c;\n' });
  assert.equal(done((await rig.run([second]))[0]).exitCode, 0);
  const both = await rig.item(COMPILE, { ...A, turns: '', 'turns/x.h': '' });
  assert.equal(failed((await rig.run([both]))[0]).reason, 'refused');
});

test('many requests at once', async () => {
  const items = await Promise.all(
    Array.from({ length: 12 }, (_, i) => rig.item(COMPILE, { 'a.c': `int many_${i};\n` })),
  );
  const results = await Promise.all(items.map((item) => rig.run([item])));
  for (const [i, [result]] of results.entries())
    assert.ok(bytes(done(result)).includes(`many_${i}`), `many_${i}`);
});

test('the same thunk gives the same bytes, chance and clock included', async () => {
  const item = await rig.item(['-nostdinc', '-flto', '-O1', '-c', 'a.c', '-o', OUT], {
    'a.c': 'static int f(void) { return 1; }\nint g(void) { return f(); }\n',
  });
  const [one, two] = [done((await rig.run([item]))[0]), done((await rig.run([item]))[0])];
  assert.equal(one.outputs[0]!.name, two.outputs[0]!.name);
});

test('a tool that asks for the time of day', async () => {
  const item = await rig.item(COMPILE, { 'a.c': 'const char *t = __DATE__;\n' });
  const result = failed((await rig.run([item]))[0]);
  assert.equal(result.reason, 'refused');
  assert.match(result.detail, /time of day/);
  const fixed = await rig.item(
    COMPILE,
    { 'a.c': 'const char *t = __DATE__;\n' },
    { env: [['SOURCE_DATE_EPOCH', '86400']] },
  );
  assert.ok(bytes(done((await rig.run([fixed]))[0])).includes('Jan  2 1970'));
});

test('the cache: warm blobs, a limit, what an earlier process left', async () => {
  const cache = blobCacheOf(join(rig.home, 'small'), 100);
  const put = async (text: string): Promise<ObjectName> => {
    const name = rig.put(text);
    const held = await cache.hold([name], {
      fetch: async (_, absPath) => writeFileSync(absPath, text),
    });
    cache.release(held);
    return name;
  };
  const first = await put('a'.repeat(60));
  await put('a'.repeat(60));
  assert.deepEqual(cache.counters, { warmBlobs: 1, fetchedBlobs: 1, fetchedBytes: 60 });
  await put('b'.repeat(50));
  assert.equal(existsSync(cache.path(first)), false);
  assert.equal(cache.bytes, 50);
  await assert.rejects(put('c'.repeat(101)), /no room/);
});
