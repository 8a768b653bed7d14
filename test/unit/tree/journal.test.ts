import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { writePlaceholder, X86_64 } from '../../../src/ir/placeholder.ts';
import { Journal } from '../../../src/tree/journal.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-journal-'));
after(() => rmSync(root, { recursive: true }));
const thunk = (n: number) => `T${String(n).padStart(64, '0')}-10` as ObjectName;
const promise = (j: Journal, n: number, project = '/w') =>
  j.promise({ path: `/w/${n}.o`, ref: outputRef(thunk(n), 'o'), project, sides: [] });
const place = {
  realTool: '/usr/bin/gcc',
  cwd: '/w',
  pwd: '/w',
  searchPath: '/usr/bin',
  label: 'x.o',
  stage: 'compile',
  command: 'gcc',
  sandbox: 'none',
} as const;

test('what was promised and not settled is there after the writer is gone', () => {
  const file = join(root, 'a');
  const j = new Journal(file);
  for (let n = 0; n < 100; n++) {
    j.place(thunk(n), place);
    promise(j, n);
  }
  for (let n = 0; n < 50; n++) j.settle(`/w/${n}.o`);
  const again = new Journal(file);
  assert.equal(again.size, 50);
  assert.deepEqual(again.pathsOf(thunk(77)), ['/w/77.o']);
  assert.deepEqual(again.pathsOf(thunk(7)), []);
  assert.deepEqual(again.placement(thunk(77)), place);
});

test('a torn last line and a damaged middle line are passed over', () => {
  const file = join(root, 'b');
  const j = new Journal(file);
  promise(j, 1);
  promise(j, 2);
  promise(j, 3);
  const text = readFileSync(file, 'utf8');
  const lines = text.split('\n');
  lines[2] = lines[2]!.replace('/w/2.o', '/w/9.o');
  writeFileSync(file, lines.join('\n'));
  appendFileSync(file, '0123456789abcdef {"t":"p"');
  const again = new Journal(file);
  assert.deepEqual(
    again.outstanding().map((o) => o.path),
    ['/w/1.o', '/w/3.o'],
  );
  truncateSync(file, 30);
  assert.equal(new Journal(file).size, 0);
});

test('a path promised again stands for the newer thunk only', () => {
  const j = new Journal(join(root, 'c'));
  promise(j, 1);
  j.promise({ path: '/w/1.o', ref: outputRef(thunk(2), 'o'), project: '/w', sides: ['/w/1.d'] });
  assert.equal(j.size, 1);
  assert.deepEqual(j.pathsOf(thunk(1)), []);
  assert.deepEqual(j.at('/w/1.o')?.sides, ['/w/1.d']);
});

test('the file is rewritten before it grows without bound', () => {
  const file = join(root, 'd');
  const j = new Journal(file);
  for (let i = 0; i < 30_000; i++) {
    promise(j, i);
    j.settle(`/w/${i}.o`);
  }
  assert.ok(readFileSync(file).length < 8_000_000);
});

test('a project is open from its first placeholder until it was looked through, whoever reads the file', () => {
  const file = join(root, 'e');
  const here = (project: string): boolean => project === root;
  const j = new Journal(file);
  assert.equal(j.openSinceMs(here), undefined);
  const before = Date.now();
  promise(j, 1, root);
  const since = j.openSinceMs(here)!;
  assert.ok(since <= before && since > before - 10_000);
  promise(j, 2, root);
  j.settle('/w/1.o');
  j.settle('/w/2.o');
  assert.equal(j.openSinceMs(here), since);
  assert.equal(
    j.openSinceMs(() => false),
    undefined,
  );
  j.close();
  const again = new Journal(file);
  assert.equal(again.openSinceMs(here), since);
  again.closeProjects(here);
  assert.equal(again.openSinceMs(here), undefined);
  again.close();
});

test('placements do not pile up behind one placeholder', () => {
  const file = join(root, 'places');
  let busy = true;
  const needed = (): Set<ObjectName> | undefined => (busy ? undefined : new Set([thunk(1), thunk(2)]));
  const j = new Journal(file, { needed, recentPlaces: 10 });
  promise(j, 1);
  for (let n = 1; n <= 100; n++) j.place(thunk(n), place);
  assert.equal(j.places, 100);
  busy = false;
  for (let n = 101; n <= 1000; n++) {
    j.place(thunk(n), place);
    assert.deepEqual(j.placement(thunk(n)), place);
  }
  assert.ok(j.places <= 25, `${j.places} placements`);
  for (const n of [1, 2, 1000]) assert.deepEqual(j.placement(thunk(n)), place, `${n}`);
  assert.equal(j.placement(thunk(500)), undefined);
});

test('placements of calls under way survive a rewrite', () => {
  const j = new Journal(join(root, 'underway'), { recentPlaces: 10 });
  for (let n = 1; n <= 50_000; n++) {
    j.place(thunk(n), place);
    assert.deepEqual(j.placement(thunk(n)), place);
    if (n > 5) assert.deepEqual(j.placement(thunk(n - 5)), place);
  }
  assert.ok(j.places <= 25);
});

test('a placeholder that was about to be moved when the writer was killed: promised where it arrived, else where it was', () => {
  const file = join(root, 'm');
  const at = (n: number) => join(root, `${n}.o`);
  const ref = (n: number) => outputRef(thunk(n), 'o');
  const target = X86_64;
  const j = new Journal(file);
  for (const n of [1, 2, 3]) {
    j.promise({ path: `/w/${n}.o`, ref: ref(n), project: '/w', sides: ['/w/d'], watched: true });
    j.arriving({ path: at(n), ref: ref(n), project: '/w', sides: ['/w/d'], watched: true });
  }
  writeFileSync(at(1), writePlaceholder('object', ref(1), { interpreter: '', target }));
  writeFileSync(at(2), writePlaceholder('object', ref(9), { interpreter: '', target }));
  // The third is said to have failed, though a file of that name is there.
  writeFileSync(at(3), writePlaceholder('object', ref(3), { interpreter: '', target }));
  j.notArrived(at(3));
  const again = new Journal(file);
  assert.deepEqual(again.at(at(1)), {
    path: at(1),
    ref: ref(1),
    project: '/w',
    sides: ['/w/d'],
    watched: true,
  });
  assert.deepEqual([again.at(at(2)), again.at(at(3))], [undefined, undefined]);
  assert.equal(again.size, 4);
  assert.equal(new Journal(file).size, 4);
});

test('records of a later version, and what is no record, are passed over', () => {
  const file = join(root, 'later');
  const j = new Journal(file);
  promise(j, 1);
  const bad: unknown[] = [
    { t: 'q', future: 1 },
    { t: 'p', path: '/w/2.o', ref: 'X99', project: '/w', sides: [] },
    { t: 'p', path: '/w/3.o', ref: outputRef(thunk(3), 'o'), project: '/w', sides: [7] },
    { t: 'x', thunk: 'T1', place },
    { t: 'x', thunk: thunk(4), place: null },
    { t: 'd', path: ['/w/1.o'] },
    null,
    7,
    'p',
  ];
  for (const record of bad) {
    const json = JSON.stringify(record);
    appendFileSync(file, `${createHash('sha256').update(json).digest('hex').slice(0, 16)} ${json}\n`);
  }
  const again = new Journal(file);
  assert.equal(again.size, 1);
  assert.deepEqual(again.pathsOf(thunk(1)), ['/w/1.o']);
});
