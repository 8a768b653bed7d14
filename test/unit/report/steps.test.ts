import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, type Event, emptyCounts } from '../../../src/report/events.ts';
import { renderSteps } from '../../../src/report/render.ts';
import { StepProgress } from '../../../src/report/steps.ts';

const added = (name: string, label: string): Event => ({
  type: 'thunk-added',
  name,
  label,
  stage: 'compile',
});
const started = (name: string, label: string): Event => ({ type: 'thunk-started', name, label });
const finished = (name: string, label: string): Event => ({
  type: 'thunk-finished',
  name,
  label,
  how: 'ran',
  command: '',
  stdout: '',
  stderr: '',
  wallMs: 1,
  cpuMs: 1,
});

/** a.o and a.d come from one statement; other.o from none. */
const stepOf = (label: string): string | undefined =>
  label.startsWith('a.') ? 'a.o' : label === 'b.o' ? 'b.o' : undefined;

test('a step is done when all its thunks are', () => {
  const steps = new StepProgress(stepOf);
  for (const e of [added('1', 'a.o'), added('2', 'a.d'), added('3', 'b.o')]) steps.event(e);
  assert.deepEqual([steps.done, steps.total, steps.current], [0, 2, undefined]);
  steps.event(started('1', 'a.o'));
  steps.event(started('3', 'b.o'));
  assert.equal(steps.current, 'b.o');
  steps.event(finished('1', 'a.o'));
  assert.deepEqual([steps.done, steps.total], [0, 2]);
  steps.event(finished('3', 'b.o'));
  assert.deepEqual([steps.done, steps.total, steps.current], [1, 2, undefined]);
  steps.event({ type: 'thunk-cancelled', name: '2', label: 'a.d' });
  assert.deepEqual([steps.done, steps.total], [2, 2]);
});

test('what is added to a finished step opens it again; what belongs to none is its own step', () => {
  const steps = new StepProgress(stepOf);
  for (const e of [added('1', 'a.o'), finished('1', 'a.o'), added('2', 'a.strip')]) steps.event(e);
  assert.deepEqual([steps.done, steps.total], [0, 1]);
  // Begun by a build before this one: it starts without having been added.
  steps.event(started('9', 'other.o'));
  assert.deepEqual([steps.done, steps.total, steps.current], [0, 2, 'other.o']);
  for (const name of ['9', '2', '2']) steps.event(finished(name, ''));
  assert.deepEqual([steps.done, steps.total], [2, 2]);
});

test('the line says steps, the one that runs, and the time left once that is known', () => {
  const counts = emptyCounts();
  const steps = { done: 3, total: 10, current: 'sub/x.o' };
  assert.equal(renderSteps(steps, counts, 2, 1000), 'gg: [3/10] sub/x.o; 2 running');
  for (let i = 0; i < 10; i++) count(counts, added(`${i}`, ''));
  for (let i = 0; i < 4; i++) count(counts, finished(`${i}`, ''));
  assert.equal(
    renderSteps({ ...steps, current: undefined }, counts, 0, 40_000),
    'gg: [3/10]; 0 running, 1:00 left',
  );
});
