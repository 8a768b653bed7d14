// Thunks that only feed each other against both stand-ins: one request for ar and ranlib, for a link and what is done to its output.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Cloud, startCloud } from '../emulators/cloud.ts';
import { type Ran, Rig } from './rig.ts';

const rig = new Rig();
const source = join(rig.home, 'source');
const MB = 1024 * 1024;
/** Links larger than an answer holds, so that what travels goes through S3. */
const DATA_BYTES = 8 * MB;

const MAKEFILE = `
CFLAGS = -O2 -g
STRIP = strip
all: prog
prog: main.o libx.a
	$(CC) $(CFLAGS) -o $@ main.o libx.a
	$(STRIP) $@
kept: main.o libx.a
	$(CC) $(CFLAGS) -o $@.debug main.o libx.a
	strip -o $@ $@.debug
libx.a: a.o b.o
	rm -f $@
	ar rc $@ a.o b.o
	ranlib $@
both.o: a.o b.o
	ld -r -o $@ a.o b.o
	strip -g $@
bad: main.o a.o
	ld -r -o all.o main.o a.o
	$(CC) -o $@ all.o
`;

let cloud: Cloud;

before(async () => {
  mkdirSync(source);
  writeFileSync(join(source, 'Makefile'), MAKEFILE);
  writeFileSync(join(source, 'a.c'), 'int a(void) { return 1; }\n');
  writeFileSync(join(source, 'b.c'), 'int b(void) { return 2; }\n');
  const main = `int a(void), b(void);\nchar data[${DATA_BYTES}] = { 1 };\nint main(void) { return a() + b() + data[1] - 3; }\n`;
  writeFileSync(join(source, 'main.c'), main);
  cloud = await startCloud({ limits: { coldStartMs: 0 } });
});
after(async () => {
  rig.close();
  await cloud?.close();
});

function gg(command: string, env: Record<string, string> = {}): Promise<Ran> {
  return rig.run(command, { ...cloud.env, GG_REMOTE_USE: 'blobs', ...env });
}

/** Of a plain make and of ours: the same tree, and what ours says of itself. */
async function compared(targets: string, env: Record<string, string> = {}): Promise<string> {
  rig.fresh(source);
  assert.equal(rig.sh(`make -j2 ${targets}`).code, 0);
  const plain = rig.shot();
  rig.fresh(source);
  const ran = await gg(`gg make -j20 ${targets}`, env);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(rig.shot(), plain);
  assert.match(rig.sh(`make ${targets}`).out, /up to date|Nothing to be done/);
  return ran.err;
}

test('ar and ranlib, link and strip: two requests for four thunks, the same bytes', async () => {
  const said = await compared('all');
  assert.match(said, /lambda: 7 thunks, 5 invocations/);
  assert.match(said, /lambda: 4 thunks ran in chains/);
  assert.doesNotMatch(said, /run here|again after/);
});

test('what is done to an output in place: the output before it goes nowhere; with a name of its own it comes', async () => {
  const moved = async (target: string, value: number): Promise<number> => {
    rig.fresh(source);
    rig.sh(`gg clean --force; gg stop; sed -i 's/{ 1 }/{ ${value} }/' main.c`);
    const before = cloud.s3.movedBytes;
    const ran = await gg(`gg make -j20 ${target}`);
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /lambda: 7 thunks, 5 invocations/);
    return cloud.s3.movedBytes - before;
  };
  // Once, so that instances have all of both.
  await moved('prog', 2);
  await moved('kept', 3);
  const [inPlace, promised] = [await moved('prog', 4), await moved('kept', 5)];
  // Up from the worker and down to us.
  assert.ok(promised - inPlace > 2 * DATA_BYTES - MB, `${inPlace} and ${promised} bytes`);
});

test('an object linked from others and then stripped', async () => {
  rig.sh('gg clean --force; gg stop');
  assert.match(await compared('both.o'), /lambda: 2 thunks ran in chains/);
});

test('a second that fails is a failure of its own, as make says it, and the first is made', async () => {
  rig.fresh(source);
  rig.sh('gg clean --force; gg stop');
  const ran = await gg('gg make -j20 bad');
  assert.equal(ran.code, 2, ran.err);
  assert.match(ran.err, /undefined reference to `b'/);
  // One of the three: the two that were sent together, and the second again.
  assert.match(ran.err, /lambda: 3 thunks, 4 invocations/);
  assert.ok(statSync(join(rig.tree, 'all.o')).size > DATA_BYTES);
  assert.equal(existsSync(join(rig.tree, 'bad')), false);
  assert.match(ran.err, /1 failures confirmed here, 0 not/);
});

test('an edit whose object comes out as before: what follows is not run again', async () => {
  rig.fresh(source);
  rig.sh('gg clean --force; gg stop');
  rig.sh("sed -i 's/-O2 -g/-O2/' Makefile");
  assert.equal((await gg('gg make -j20')).code, 0);
  rig.sh('echo "/* nothing */" >> main.c');
  const ran = await gg('gg make -j20');
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.err, /lambda: 1 thunks, 1 invocations/);
  assert.equal(rig.sh('./prog').code, 0);
});

test('results are shared: what went nowhere is not missed, and is made when somebody wants it', async () => {
  const make = async (target: string, engine = 'lambda'): Promise<string> => {
    rig.fresh(source);
    rig.sh('gg clean --force; gg stop');
    const ran = await gg(`gg make -j20 --engine ${engine} --remote-use share ${target}`, {
      GG_REMOTE: 's3://gg-test/shared',
    });
    assert.equal(ran.code, 0, ran.err);
    assert.equal(rig.sh('./prog').code, 0);
    return ran.err;
  };
  assert.match(
    await make('prog'),
    /lambda: 4 thunks ran in chains\n(?:.*\n)*gg: remote: 0 results taken, 7 added/,
  );
  assert.match(await make('prog'), /lambda: 0 thunks, 0 invocations.*\ngg: remote: 7 results taken, 0 added/);
  assert.match(await make('prog', 'local'), /remote: 7 results taken, 0 added/);
  // The link alone: the worker has stored what did not come back.
  assert.match(await make('STRIP=true prog'), /lambda: 0 thunks.*\ngg: remote: 6 results taken, 0 added/);
});

test('made again here: neither what came back nor what did not is run', async () => {
  rig.fresh(source);
  rig.sh('gg clean --force; gg stop');
  assert.match((await gg('gg make -j20')).err, /lambda: 7 thunks, 5 invocations/);
  rig.sh('rm -f *.o *.a prog');
  assert.match((await gg('gg make -j20')).err, /lambda: 0 thunks, 0 invocations/);
  assert.equal(rig.sh('./prog').code, 0);
  // Nothing of the link is here: it runs once more.
  rig.sh('rm -f *.o *.a prog; gg stop');
  assert.match((await gg('gg make -j20 STRIP=true prog')).err, /lambda: 1 thunks, 1 invocations/);
  assert.equal(rig.sh('./prog').code, 0);
});

test('with faults on: the same bytes', async () => {
  await cloud.close();
  cloud = await startCloud({
    lambdaFaults: { throttles: 0.2, deaths: 0.15, timeouts: 0.1 },
    s3Faults: { slowDownRate: 0.02, lostRate: 0.01, corruptedRate: 0.01, resetRate: 0.01, seed: 5 },
    limits: { coldStartMs: 0 },
  });
  for (const targets of ['all both.o', 'kept']) {
    rig.fresh(source);
    rig.sh('gg clean --force; gg stop');
    assert.doesNotMatch(await compared(targets), /answer-refused/);
  }
});
