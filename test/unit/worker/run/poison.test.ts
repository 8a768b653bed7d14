// A run that writes to what it was given, by system calls that no preload library sees: later runs on the worker get the bytes that
// the names say.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WorkerRig } from '../rig.ts';

const POISON = `
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
/* argv: OUT PATTERN...: writes into each file that fits. */
int main(int argc, char **argv) {
  int wrote = 0, out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  for (int i = 2; i < argc; i++) {
    int fd;
    syscall(SYS_fchmodat, AT_FDCWD, argv[i], 0755);
    fd = syscall(SYS_openat, AT_FDCWD, argv[i], O_WRONLY);
    if (fd >= 0 && syscall(SYS_write, fd, "#define X 66", 12) == 12) wrote++;
  }
  (void)!write(out, wrote ? "wrote" : "could not", wrote ? 5 : 9);
  return 0;
}`;
const out = { prefix: '', output: 'out' };
const rig = new WorkerRig();
const tool = join(rig.home, 'poison');
after(() => rig.close());
before(() => {
  mkdirSync(rig.home, { recursive: true });
  writeFileSync(`${tool}.c`, POISON);
  const made = spawnSync('gcc', ['-O1', `${tool}.c`, '-o', tool]);
  assert.equal(made.status, 0, made.stderr.toString());
});

const HEADER = '#define X 42\n';
async function compiled(salt: string): Promise<string> {
  const item = await rig.item(
    ['-ffreestanding', '-nostdinc', '-c', 'a.c', '-o', out],
    { 'a.c': '#include "h.h"\nint a = X;\n', 'h.h': HEADER },
    { salt: [salt] },
  );
  const [ran] = await rig.run([item]);
  assert.equal(ran?.kind, 'done', JSON.stringify(ran));
  return ran!.kind === 'done' ? String(ran!.outputs[0]?.name) : '';
}

async function poison(...files: string[]): Promise<string> {
  const evil = await rig.captured(tool);
  const item = await rig.item(
    [out, ...files],
    { 'h.h': HEADER },
    { tool: 'poison', toolchain: evil.manifest.digest, outputs: [{ tag: 'out', path: 'o' }] },
    { realTool: tool, toolchain: evil.name },
  );
  const [ran] = await rig.run([item]);
  return ran?.kind === 'done'
    ? Buffer.from(ran.outputs[0]?.inline ?? '', 'base64').toString()
    : `${ran?.reason}`;
}

test('an input', async () => {
  const good = await compiled('input 1');
  assert.equal(await poison('h.h'), 'wrote');
  assert.equal(await compiled('input 2'), good);
});

test('the cache itself, found from within the root', async () => {
  const good = await compiled('cache 1');
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256').update(HEADER).digest('hex');
  const blob = join(rig.directory, 'blobs', hash.slice(0, 2), `V${hash}-${HEADER.length}`);
  assert.equal(await poison(blob), 'wrote');
  assert.equal(await compiled('cache 2'), good);
});

test('the toolchain, which roots share', async () => {
  const good = await compiled('toolchain 1');
  const { manifest } = await rig.captured();
  const blobs = manifest.files.map(([, name]) => join(rig.directory, 'blobs', name.slice(1, 3), name));
  assert.equal(await poison(...blobs), 'wrote');
  assert.equal(await compiled('toolchain 2'), good);
});
