import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemoteError } from '../../../../src/store/remote/remote.ts';
import {
  abortable,
  type Failure,
  RETRY_POLICY,
  type RetryPolicy,
  retry,
  waitMs,
} from '../../../../src/store/remote/retry.ts';

const POLICY: RetryPolicy = { triesMax: 4, baseMs: 1, capMs: 3, patienceMs: 60_000 };
const TRANSIENT: Failure = { reason: 'throttled', transient: true, detail: 'slow down' };
const FINAL: Failure = { reason: 'denied', transient: false, detail: 's3:PutObject s3://b/k' };

function is(reason: string, text?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RemoteError);
    assert.equal(error.reason, reason);
    if (text !== undefined) assert.equal(error.message, text);
    return true;
  };
}

test('waits are drawn from zero to a ceiling that doubles up to its cap', () => {
  for (const [failed, ceiling] of [
    [1, 100],
    [2, 200],
    [3, 400],
    [6, 3200],
    [7, 5000],
    [12, 5000],
    [5000, 5000],
  ] as const) {
    assert.equal(
      waitMs(RETRY_POLICY, failed, () => 0),
      0,
    );
    assert.equal(
      waitMs(RETRY_POLICY, failed, () => 0.5),
      ceiling / 2,
    );
    assert.equal(
      waitMs(RETRY_POLICY, failed, () => 1),
      ceiling,
    );
  }
});

test('transient failures are tried again, so many times', async () => {
  for (const failures of [0, 1, 3, 4]) {
    let tries = 0;
    let told = 0;
    const work = retry(
      async () => {
        if (tries++ < failures) throw new Error('x');
        return 'done';
      },
      { policy: POLICY, classify: () => TRANSIENT, onRetry: () => told++ },
    );
    if (failures < POLICY.triesMax) assert.equal(await work, 'done');
    else await assert.rejects(work, is('throttled', 'slow down (4 tries)'));
    assert.equal(tries, Math.min(failures + 1, POLICY.triesMax));
    assert.equal(told, tries - 1);
  }
});

test('patience ends before the tries do', async () => {
  let tries = 0;
  const startMs = performance.now();
  const work = retry(
    async () => {
      tries++;
      throw new Error('x');
    },
    {
      policy: { triesMax: 1000, baseMs: 10, capMs: 10, patienceMs: 100 },
      classify: () => TRANSIENT,
      random: () => 1,
    },
  );
  await assert.rejects(work, is('throttled'));
  assert.ok(tries >= 2 && tries <= 12, `${tries} tries`);
  assert.ok(performance.now() - startMs >= 100);
});

test('an outage of 10 s is ridden out whatever is drawn', () => {
  for (const draw of [0.2, 0.5, 0.9, 1]) {
    let atMs = 0;
    let tries = 1;
    while (atMs < 10_000) atMs += waitMs(RETRY_POLICY, tries++, () => draw);
    assert.ok(atMs < RETRY_POLICY.patienceMs && tries <= RETRY_POLICY.triesMax, `${tries} tries, ${atMs} ms`);
  }
});

test('other failures end it at once, with their cause', async () => {
  let tries = 0;
  const cause = new Error('x');
  const work = retry(
    async () => {
      tries++;
      throw cause;
    },
    { policy: POLICY, classify: () => FINAL },
  );
  await assert.rejects(
    work,
    (error) => is('denied', FINAL.detail)(error) && (error as Error).cause === cause,
  );
  assert.equal(tries, 1);
});

test('typed errors pass', async () => {
  const error = new RemoteError('missing-blob', 'm');
  await assert.rejects(
    retry(() => Promise.reject(error), { policy: POLICY, classify: () => TRANSIENT }),
    (e) => e === error,
  );
});

test('a signal ends the wait, and nothing starts after it', async () => {
  const controller = new AbortController();
  let tries = 0;
  const work = retry(
    async () => {
      tries++;
      throw new Error('x');
    },
    {
      policy: { triesMax: 9, baseMs: 60_000, capMs: 60_000, patienceMs: 60_000 },
      classify: () => TRANSIENT,
      signal: controller.signal,
      onRetry: () => setImmediate(() => controller.abort()),
      random: () => 1,
    },
  );
  await assert.rejects(work, is('aborted'));
  assert.equal(tries, 1);
  await assert.rejects(
    retry(async () => assert.fail('started'), {
      policy: POLICY,
      classify: () => FINAL,
      signal: AbortSignal.abort(),
    }),
    is('aborted'),
  );
});

test('shared work goes on when one who waits for it gives up', async () => {
  const controller = new AbortController();
  const work = new Promise<string>((resolve) => setTimeout(resolve, 20, 'done'));
  const given = abortable(work, controller.signal);
  controller.abort();
  await assert.rejects(given, is('aborted'));
  assert.equal(await work, 'done');
  assert.equal(await abortable(work, new AbortController().signal), 'done');
  assert.equal(await abortable(work, undefined), 'done');
});
