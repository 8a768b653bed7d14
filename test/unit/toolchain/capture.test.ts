// What can be captured, and why other things cannot.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DigestCache } from '../../../src/store/local/digest-cache.ts';
import { type Captured, captureToolchain, type Unsupported } from '../../../src/toolchain/capture.ts';
import { BadManifestError, decodeManifest, VROOT_PATH } from '../../../src/toolchain/manifest.ts';
import { Toolchains } from '../../../src/toolchain/toolchain.ts';
import { PATH, query } from '../worker/rig.ts';

const home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-capture-')));
after(() => rmSync(home, { recursive: true, force: true }));
const vroot = join(home, 'vroot.so');
writeFileSync(vroot, 'a preload library');

function compile(...args: readonly string[]): void {
  const run = spawnSync('gcc', [...args], { cwd: home, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
}

async function capture(realTool: string, searchPath = PATH): Promise<Captured | Unsupported> {
  const digests = new DigestCache();
  const digestOf = (path: string) => digests.digest(path);
  const toolchain = await new Toolchains(query, digestOf).of(realTool, searchPath);
  return captureToolchain(toolchain, { realTool, vroot, digestOf, query });
}

function reason(result: Captured | Unsupported): string {
  assert.ok(result.kind === 'unsupported', 'captured');
  return `${result.reason}: ${result.detail}`;
}

writeFileSync(join(home, 'm.c'), 'int f(void); int main(void) { return f(); }\n');
writeFileSync(join(home, 'f.c'), 'int f(void) { return 0; }\n');
writeFileSync(join(home, 'n.c'), 'int main(void) { return 0; }\n');

test('gcc: programs, libraries, loader, preload; the same bytes each time', async () => {
  const captured = await capture('/usr/bin/gcc');
  assert.ok(captured.kind === 'captured');
  const { manifest } = captured;
  const paths = manifest.files.map(([path]) => path);
  for (const part of ['cc1', 'cc1plus', 'collect2', 'lto1', 'lto-wrapper', 'liblto_plugin.so', 'libc.so.6'])
    assert.ok(
      paths.some((path) => path.endsWith(`/${part}`)),
      part,
    );
  assert.ok(paths.includes(VROOT_PATH) && paths.includes(manifest.loader));
  assert.deepEqual(paths, [...paths].sort());
  assert.deepEqual(decodeManifest(captured.bytes), manifest);
  const again = await capture('/usr/bin/gcc');
  assert.ok(again.kind === 'captured' && again.bytes.equals(captured.bytes));
});

test('a program with libraries beside it, symlinks on the way kept', async () => {
  mkdirSync(join(home, 'opt/lib'), { recursive: true });
  compile('-shared', '-fPIC', 'f.c', '-Wl,-soname,libf.so.1', '-o', 'opt/lib/libf.so.1.0');
  symlinkSync('libf.so.1.0', join(home, 'opt/lib/libf.so.1'));
  compile('m.c', 'opt/lib/libf.so.1', '-Wl,-rpath,$ORIGIN/lib', '-o', 'opt/tool');
  symlinkSync(join(home, 'opt'), join(home, 'current'));
  const captured = await capture(join(home, 'current/tool'));
  assert.ok(captured.kind === 'captured', JSON.stringify(captured));
  const links = new Map(captured.manifest.links);
  assert.equal(links.get(join(home, 'current')), join(home, 'opt'));
  assert.equal(links.get(join(home, 'opt/lib/libf.so.1')), 'libf.so.1.0');
  assert.ok(captured.manifest.libraryPath.includes(join(home, 'opt/lib')));
});

test('a missing library', async () => {
  renameSync(join(home, 'opt/lib/libf.so.1'), join(home, 'opt/lib/away'));
  assert.match(
    reason(await capture(join(home, 'opt/tool'))),
    /^missing-library: libf\.so\.1, which .*opt\/tool needs/,
  );
  renameSync(join(home, 'opt/lib/away'), join(home, 'opt/lib/libf.so.1'));
});

test('a library searched by an absolute DT_RPATH', async () => {
  compile('m.c', 'opt/lib/libf.so.1', '-Wl,--disable-new-dtags', `-Wl,-rpath,${home}/opt/lib`, '-o', 'rpath');
  assert.match(reason(await capture(join(home, 'rpath'))), /^absolute-rpath: .*rpath searches .*opt\/lib/);
});

test('a static program', async () => {
  const made = spawnSync('gcc', ['-static', 'n.c', '-o', 'static'], { cwd: home });
  if (made.status !== 0) compile('-nostdlib', '-static', '-Wl,-emain', 'n.c', '-o', 'static');
  assert.match(reason(await capture(join(home, 'static'))), /^static-program: .*\/static/);
});

test('a script', async () => {
  writeFileSync(join(home, 'script'), '#!/bin/sh\nexec gcc "$@"\n', { mode: 0o755 });
  assert.match(reason(await capture(join(home, 'script'))), /^script-program: .*\/script/);
});

test('a broken symlink, and nothing at all', async () => {
  symlinkSync('gone', join(home, 'broken'));
  assert.match(reason(await capture(join(home, 'broken'))), /^broken-symlink: .*\/broken/);
  assert.match(reason(await capture(join(home, 'nothing'))), /^missing-program: .*\/nothing/);
});

test('a program that comes to stand before another on PATH is noticed at the next call', async () => {
  const first = join(home, 'first');
  mkdirSync(first);
  const digests = new DigestCache();
  const toolchains = new Toolchains(query, (path) => digests.digest(path));
  const of = async () => (await toolchains.of('/usr/bin/gcc', `${first}:${PATH}`)).digest;
  const before = await of();
  copyFileSync('/usr/bin/as', join(first, 'as'));
  const after = await of();
  assert.notEqual(after, before);
  rmSync(join(first, 'as'));
  assert.equal(await of(), before);
});

test('a loader that has moved away', async () => {
  copyFileSync('/lib64/ld-linux-x86-64.so.2', join(home, 'loader.so'));
  compile('n.c', `-Wl,--dynamic-linker,${home}/loader.so`, '-o', 'moved');
  const there = await capture(join(home, 'moved'));
  assert.equal(there.kind === 'captured' ? '' : reason(there), '');
  rmSync(join(home, 'loader.so'));
  assert.match(reason(await capture(join(home, 'moved'))), /^missing-loader: .*\/loader\.so/);
});

test('a loader without --argv0', async () => {
  compile('-shared', '-fPIC', 'f.c', '-o', 'old-loader.so');
  compile('n.c', `-Wl,--dynamic-linker,${home}/old-loader.so`, '-o', 'old');
  assert.match(reason(await capture(join(home, 'old'))), /^old-loader: .*\/old-loader\.so/);
});

test('manifests that must not be laid out', () => {
  const good = {
    gg: 2,
    digest: 'd',
    loader: '/lib/ld.so',
    libraryPath: ['/lib'],
    files: [['/lib/ld.so', `V${'0'.repeat(64)}-1`, 0o755]],
    links: [['/a', 'b']],
    omitted: ['/b'],
    frames: [],
  };
  const decode = (more: object) => decodeManifest(Buffer.from(`${JSON.stringify({ ...good, ...more })}\n`));
  assert.equal(decode({}).digest, 'd');
  for (const bad of [
    { gg: 1 },
    { loader: 'ld.so' },
    { loader: '/lib/../ld.so' },
    { libraryPath: ['/a:b'] },
    { files: [['/../x', good.files[0]![1], 0o755]] },
    { files: [['/x', 'Vnothing', 0o755]] },
    { files: [['/x', good.files[0]![1], 0o4755]] },
    { links: [['/../a', 'b']] },
    { links: undefined },
    { omitted: ['/../b'] },
    { frames: [['/b', 'c']] },
  ])
    assert.throws(() => decode(bad), BadManifestError, JSON.stringify(bad));
});
