// The virtual root against the plain machine: every case run plainly, and as another user from captured toolchain and thunk.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CASES, type Case, FILES } from './vroot-cases.ts';
import { difference, type Ended, mayBeNobody, PATH, VrootRig } from './vroot-rig.ts';

let rig: VrootRig;
/** What the cases read of the system: headers, start files, libraries. */
let system: readonly string[] = [];
const tally = { same: 0, different: 0, plainDiffers: 0 };

const LINKED =
  'crt1.o Scrt1.o rcrt1.o crti.o crtn.o crtbegin.o crtbeginS.o crtbeginT.o crtend.o crtendS.o libgcc.a libgcc_eh.a ' +
  'libgcc_s.so libgcc_s.so.1 libc.so libc.a libc.so.6 libc_nonshared.a ld-linux-x86-64.so.2 libm.so libm.a libm.so.6 ' +
  'libmvec.so.1 libmvec.a libm-2.36.a libpthread.a libpthread.so.0 libgomp.so libasan.so libasan_preinit.o ' +
  'libstdc++.so libstdc++.a libdl.so.2 librt.so.1 librt.a libdl.a libubsan.so libgcov.a crtoffloadbegin.o crtoffloadend.o crtoffloadtable.o';

function systemFiles(): string[] {
  const found = new Set<string>();
  const run = (file: string, args: readonly string[]): string =>
    spawnSync(file, args, { cwd: rig.project, env: { PATH }, encoding: 'utf8' }).stdout;
  for (const [compiler, source] of [
    [
      'gcc',
      '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <assert.h>\n#include <math.h>\n#include <pthread.h>\n#include <omp.h>\n',
    ],
    ['g++', '#include <iostream>\n#include <regex>\n#include <string>\n'],
  ] as const) {
    const made = spawnSync(
      compiler,
      ['-M', '-MT', 'x', '-x', compiler === 'gcc' ? 'c' : 'c++', '-', '-O2', '-fopenmp'],
      {
        input: source,
        env: { PATH },
        encoding: 'utf8',
      },
    );
    for (const word of made.stdout.split(/[\s\\]+/)) if (word.startsWith('/')) found.add(word);
  }
  for (const name of LINKED.split(' ')) {
    const path = run('gcc', [`-print-file-name=${name}`]).trim();
    if (path.startsWith('/') && lstatSync(path, { throwIfNoEntry: false })) found.add(path);
  }
  return [...found];
}

before(() => {
  rig = new VrootRig(FILES);
  system = systemFiles();
});
after(() => rig.close());

function words(line: string): string[] {
  return line.split(' ').map((word) => word.replaceAll('PROJECT', rig.project).replaceAll('~', ' '));
}

function plainly(wanted: Case): {
  readonly ended: Ended;
  readonly cwd: string;
  readonly env: Record<string, string>;
} {
  rig.fresh(wanted.setup);
  const cwd = join(rig.project, wanted.cwd ?? '');
  const env: Record<string, string> = { PWD: cwd };
  for (const [name, value] of Object.entries(wanted.env ?? {}))
    env[name] = value.replaceAll('PROJECT', rig.project);
  return { ended: rig.plain(words(wanted.line), cwd, env), cwd, env };
}

async function inRoot(wanted: Case, plain: ReturnType<typeof plainly>): Promise<Ended> {
  rig.fresh(wanted.setup);
  const own = [...rig.files().keys()];
  const outputs = [...plain.ended.files.keys()].map((path, i) => ({
    tag: `o${i}`,
    path,
    ...(own.includes(path) ? { from: path } : {}),
  }));
  const { item, toolchain } = await rig.item(words(wanted.line), {
    cwd: plain.cwd,
    env: Object.entries(plain.env).sort(),
    reads: [...own, ...system],
    outputs,
  });
  const [result] = await rig.request([item], toolchain);
  return rig.ended(result, new Map(outputs.map((o) => [o.tag, o.path])));
}

for (const row of CASES) {
  const wanted: Case = typeof row === 'string' ? { line: row } : row;
  test(`${wanted.line} ${JSON.stringify(wanted.env ?? '')}`, async (t) => {
    const first = plainly(wanted);
    const again = plainly(wanted);
    const itself = difference(first.ended, again.ended);
    if (itself !== undefined) {
      tally.plainDiffers++;
      t.skip(`plain differs from itself: ${itself.slice(0, 120)}`);
      return;
    }
    const different = difference(first.ended, await inRoot(wanted, first));
    if (different === undefined) tally.same++;
    else tally.different++;
    assert.equal(different, undefined);
  });
}

test('how many', (t) => {
  t.diagnostic(
    `${tally.same} of ${tally.same + tally.different} cases as plain, as ${mayBeNobody() ? 'nobody' : 'oneself'}; ` +
      `in ${tally.plainDiffers} more plain differs from itself`,
  );
  assert.ok(tally.same >= 72, `${tally.same} cases as plain`);
});

test('parts of toolchains: hardly ever too little, and found out when they are', () => {
  const { asked, tooLittle } = rig.parts;
  assert.ok(asked > 20, `${asked} requests`);
  assert.ok(tooLittle.length * 10 < asked, `${asked} requests, too little for ${tooLittle.join(' ')}`);
});
