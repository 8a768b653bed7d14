import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ForceJob } from '../../../src/engine/engine.ts';
import type { ObjectName } from '../../../src/ir/name.ts';
import { FastScanner } from '../../../src/scan/fast-scanner.ts';
import type { ScanFound, ScanRequest, ScanResult } from '../../../src/scan/scanner.ts';
import { type Report, SelfCheck } from '../../../src/session/self-check.ts';
import { query } from '../scan/rig.ts';

/** Leaves the last header out. */
class WrongScanner extends FastScanner {
  override async scan(request: ScanRequest): Promise<ScanResult> {
    const result = await super.scan(request);
    return result.kind === 'found' ? { ...result, files: result.files.slice(0, -1) } : result;
  }
}

interface Rig {
  readonly directory: string;
  readonly request: ScanRequest;
  readonly scanner: FastScanner;
  readonly reports: Report[];
  check(): SelfCheck;
  /** One scan, one compile. @returns the object. */
  compile(check: SelfCheck, env?: [string, string][], args?: string[]): Promise<Buffer>;
}

async function inRig(Scanner: typeof FastScanner, body: (rig: Rig) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'self-check-'));
  const scanner = new Scanner({
    query,
    fallback: { scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: '' }) },
    watch: false,
  });
  const request: ScanRequest = {
    driver: '/usr/bin/gcc',
    toolchain: 'test',
    flags: ['-Ia b', '-Ii', '-g', '-O2'],
    language: 'c',
    source: 'x.c',
    cwd: directory,
    env: new Map(),
  };
  const reports: Report[] = [];
  let serial = 0;
  try {
    for (const name of ['i', 'a b']) mkdirSync(join(directory, name));
    writeFileSync(join(directory, 'x.c'), '#include "y.h"\n#include <z.h>\n#include <stdio.h>\nint x = X;\n');
    writeFileSync(join(directory, 'y.h'), '#define X 1\n');
    writeFileSync(join(directory, 'a b/z.h'), '');
    await body({
      directory,
      request,
      scanner,
      reports,
      check: () =>
        new SelfCheck({
          directory: join(directory, 'reports'),
          version: '1',
          differs: (request, files) => scanner.selfCheck(request, files),
          distrust: (project) => scanner.distrust(project),
          reported: (report) => reports.push(report),
        }),
      async compile(check, env = [], args = []) {
        const name = `T${serial++}` as ObjectName;
        const found = (await scanner.scan(request)) as ScanFound;
        if (found.kind === 'found') check.planned(name, { request, found }, directory);
        const job = { name, thunk: { args, env } } as unknown as ForceJob;
        const run = join(directory, `run${serial}`);
        mkdirSync(run);
        const more = check.begin(job, run).map((line) => line.split(/=(.*)/s, 2) as [string, string]);
        const object = join(run, 'x.o');
        execFileSync('gcc', [...request.flags, '-c', 'x.c', '-o', object], {
          cwd: directory,
          env: { PATH: process.env['PATH'], ...Object.fromEntries(more) },
        });
        check.end(job, run);
        await check.settled();
        return readFileSync(object);
      },
    });
  } finally {
    await scanner.close();
    rmSync(directory, { recursive: true });
  }
}

test('a right scan is counted, and the compile leaves what it leaves without the check', () =>
  inRig(FastScanner, async (rig) => {
    const check = rig.check();
    const object = await rig.compile(check);
    assert.deepEqual(check.status(), { checked: 1, reports: [] });
    const unchecked = new SelfCheck({
      directory: join(rig.directory, 'none'),
      version: '1',
      differs: async () => undefined,
      distrust: () => assert.fail('nothing was sampled'),
    });
    const plain = await rig.compile(unchecked, [['DEPENDENCIES_OUTPUT', 'z']]);
    assert.ok(object.equals(plain));
    assert.equal(unchecked.status().checked, 0);
  }));

test('a wrong scan puts the project out of trust and leaves a report, also for the next server of this version', () =>
  inRig(WrongScanner, async (rig) => {
    const check = rig.check();
    await rig.compile(check);
    const { checked, reports } = check.status();
    assert.equal(checked, 1);
    assert.equal(reports.length, 1);
    assert.equal(reports[0]!.project, rig.directory);
    const report = JSON.parse(readFileSync(reports[0]!.path, 'utf8')) as Report;
    assert.deepEqual(report, rig.reports[0]);
    assert.equal(report.compiled.length, report.scanned.length + 1);
    assert.match(report.difference, /^x\.c: file \d+ is \/usr\/.*\.h, the scan says none$/);
    assert.deepEqual(report.request.flags, rig.request.flags);
    assert.equal((await rig.scanner.scan(rig.request)).kind, 'incomplete');
    assert.equal((await rig.scanner.scan({ ...rig.request, cwd: `${rig.directory}/i` })).kind, 'incomplete');
    assert.deepEqual(rig.scanner.stats().handedOver, { 'self-check-failed': 2 });
    assert.equal(rig.check().status().reports.length, 1);
    const trusted: string[] = [];
    const other = new SelfCheck({
      directory: join(rig.directory, 'reports'),
      version: '2',
      differs: async () => undefined,
      distrust: (project) => trusted.push(project),
    });
    assert.deepEqual([other.status().reports, trusted], [[], []]);
  }));

test('a header edited between scan and compile is nobody’s fault', () =>
  inRig(FastScanner, async (rig) => {
    const check = rig.check();
    const name = 'T' as ObjectName;
    const found = (await rig.scanner.scan(rig.request)) as ScanFound;
    check.planned(name, { request: rig.request, found }, rig.directory);
    writeFileSync(join(rig.directory, 'y.h'), '#define X 2\n#include "w.h"\n');
    writeFileSync(join(rig.directory, 'w.h'), '');
    const job = { name, thunk: { args: [], env: [] } } as unknown as ForceJob;
    assert.equal(check.begin(job, rig.directory).length, 1);
    const now = (await rig.scanner.scan(rig.request)) as ScanFound;
    writeFileSync(
      join(rig.directory, 'gg-self-check.d'),
      `x: ${now.files.slice(1).join(' ').replace('a b', 'a\\ b')}\n`,
    );
    check.end(job, rig.directory);
    await check.settled();
    assert.deepEqual(check.status(), { checked: 1, reports: [] });
  }));

test('one in some is sampled', () =>
  inRig(FastScanner, async (rig) => {
    const check = rig.check();
    const found = (await rig.scanner.scan(rig.request)) as ScanFound;
    let sampled = 0;
    for (let i = 0; i < 808; i++) {
      const job = { name: `T${i}`, thunk: { args: [], env: [] } } as unknown as ForceJob;
      check.planned(job.name, { request: rig.request, found }, rig.directory);
      sampled += check.begin(job, rig.directory).length;
    }
    assert.equal(sampled, 108);
  }));
