import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ObjectName, outputRef } from '../../../src/ir/name.ts';
import {
  CURE_SYMBOL,
  elfTargetOf,
  isDamagedPlaceholder,
  mayBePlaceholder,
  type PlaceholderForm,
  readPlaceholder,
  SIZE_BY_FORM,
  writePlaceholder,
  X86_64,
} from '../../../src/ir/placeholder.ts';

const dir = mkdtempSync(join(tmpdir(), 'gg-placeholder-'));
after(() => rmSync(dir, { recursive: true }));
const ref = outputRef(`T${'ab'.repeat(32)}-123456` as ObjectName, 'o');
const crt = spawnSync('gcc', ['-print-file-name=crt1.o']).stdout.toString().trim();
const target = elfTargetOf(readFileSync(crt)) ?? X86_64;
const write = (form: PlaceholderForm) =>
  writePlaceholder(form, ref, { interpreter: '/opt/gg/gg-run', target });
const sh = (command: string) => {
  const r = spawnSync('sh', ['-c', command], { cwd: dir, env: { ...process.env, LC_ALL: 'C' } });
  return { code: r.status, text: `${r.stdout}${r.stderr}` };
};

for (const form of Object.keys(SIZE_BY_FORM) as PlaceholderForm[]) {
  test(`${form}: has its exact size and gives its reference back`, () => {
    const bytes = write(form);
    assert.equal(bytes.length, SIZE_BY_FORM[form]);
    assert.ok(mayBePlaceholder(bytes.length));
    assert.equal(readPlaceholder(bytes), ref);
    assert.equal(isDamagedPlaceholder(bytes), false);
    const damaged = Buffer.from(bytes);
    damaged[bytes.indexOf('abab')] = 0x21;
    assert.equal(readPlaceholder(damaged), undefined);
    assert.ok(isDamagedPlaceholder(damaged));
  });
}

test('real binutils accept placeholder objects; every real final link fails and names the cure', () => {
  writeFileSync(join(dir, 'p.o'), write('object'));
  writeFileSync(join(dir, 'main.c'), 'int main(void){return 0;}\n');
  assert.deepEqual(sh('gcc -c main.c -o main.o'), { code: 0, text: '' });
  for (const accepted of [
    'ar cr l.a p.o',
    'ranlib l.a',
    'nm p.o',
    'ld -r p.o main.o -o r.o',
    'objcopy p.o q.o',
    'readelf -a p.o',
    'objdump -d p.o',
    'size p.o',
  ]) {
    const r = sh(accepted);
    assert.equal(r.code, 0, `${accepted}: ${r.text}`);
    assert.doesNotMatch(r.text, /warning|error/i, accepted);
  }
  for (const refused of [
    'gcc main.o p.o -o x',
    'gcc -shared p.o -o x.so',
    'gcc -Wl,--gc-sections main.o p.o -o x',
    'gcc -static main.o p.o -o x',
    'gcc main.o r.o -o x',
    'gcc -fuse-ld=gold main.o p.o -o x',
    'gcc main.o -Wl,--whole-archive l.a -Wl,--no-whole-archive -o x',
    'strip -g p.o && gcc main.o p.o -o x',
  ]) {
    const r = sh(refused);
    assert.notEqual(r.code, 0, refused);
    assert.match(r.text, new RegExp(CURE_SYMBOL), refused);
  }
});

test('an archive placeholder is a valid archive; a script one fails loudly wherever it is read', () => {
  writeFileSync(join(dir, 'l2.a'), write('archive'));
  assert.equal(sh('ar t l2.a').text, 'run-gg-force.o\nempty\n');
  assert.equal(sh('ranlib l2.a').code, 0);
  writeFileSync(join(dir, 'libz.so'), write('script'));
  chmodSync(join(dir, 'libz.so'), 0o755);
  assert.notEqual(sh('gcc main.o libz.so -o x').code, 0);
  const run = sh('sh ./libz.so');
  assert.equal(run.code, 126);
  assert.match(run.text, /gg force/);
});
