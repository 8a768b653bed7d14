import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { History } from '../../../src/tree/history.ts';

test('durations of real runs are known, also to the next server; memo hits and torn lines change nothing', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'gg-history-'));
  t.after(() => rmSync(home, { recursive: true }));
  const file = join(home, 'history.jsonl');
  const history = new History(file);
  history.note({ path: '/a.o', how: 'ran', wallMs: 120 });
  history.note({ path: '/a.o', how: 'memoized', wallMs: 5 });
  assert.equal(history.lastRun('/a.o')?.ms, 120);
  history.note({ path: '/a.o', how: 'ran', wallMs: 90 });
  assert.equal(history.lastRun('/a.o')?.ms, 90);
  history.flush();
  appendFileSync(file, '{"path":"/a.o","how":"ran","wall');
  const next = new History(file);
  assert.equal(next.lastRun('/a.o')?.ms, 90);
  assert.equal(next.lastRun('/b.o'), undefined);
});
