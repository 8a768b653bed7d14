import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { linkReadsForAssembler } from '../../../../src/models/binutils/lto.ts';

const directory = mkdtempSync(join(tmpdir(), 'gg-lto-'));
after(() => rmSync(directory, { recursive: true, force: true }));
writeFileSync(join(directory, 'data.bin'), 'x');

function compiled(code: string, ...flags: string[]): Buffer {
  writeFileSync(join(directory, 'x.c'), code);
  const { status, stderr } = spawnSync('gcc', [...flags, '-c', 'x.c', '-o', 'x.o'], { cwd: directory });
  assert.equal(status, 0, String(stderr));
  return readFileSync(join(directory, 'x.o'));
}

const BETWEEN = 'asm(".data\\n.globl d\\nd: .incbin \\"data.bin\\"\\n.text");';
const INSIDE = 'void f(void){asm(".pushsection .data\\n.incbin \\"data.bin\\"\\n.popsection");}';
const HARMLESS = 'asm(".globl d"); int f(int x){asm("nop"); return x;}';

test('assembler code that the link will read files for', () => {
  for (const code of [BETWEEN, INSIDE]) {
    assert.equal(linkReadsForAssembler(compiled(code, '-flto')), true);
    assert.equal(linkReadsForAssembler(compiled(code, '-flto', '-ffat-lto-objects')), true);
    assert.equal(linkReadsForAssembler(compiled(code)), false, 'assembled already');
  }
  assert.equal(linkReadsForAssembler(compiled(HARMLESS, '-flto')), false);
});

test('an archive is looked into', () => {
  compiled(INSIDE, '-flto');
  assert.equal(spawnSync('ar', ['rcS', 'l.a', 'x.o'], { cwd: directory }).status, 0);
  assert.equal(linkReadsForAssembler(readFileSync(join(directory, 'l.a'))), true);
});

test('what cannot be looked into may read', () => {
  assert.equal(linkReadsForAssembler(Buffer.from('\x7fELF .gnu.lto_.x')), true);
  assert.equal(linkReadsForAssembler(Buffer.from('\x7fELF .text')), false);
});
