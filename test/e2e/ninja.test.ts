// `gg ninja`, with and without compiles begun ahead: ninja's tree, ninja's logs, no thunk that is not asked for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());
const missing = ['ninja', 'cmake'].filter((t) => spawnSync(t, ['--version']).error);
const skip = missing.length > 0 ? `${missing.join(', ')} not installed` : false;

/** ninja's own logs hold times. */
const artifacts = (shot: Map<string, string>): Map<string, string> =>
  new Map([...shot].filter(([k]) => !k.startsWith('b/.ninja_')));

describe('gg ninja', { skip }, () => {
  let plain: Map<string, string>;
  /** The fixture has a statement that always runs. */
  let leftOver: string;
  const configure = (): void => {
    rig.fresh('hello-cmake');
    const ran = rig.sh('cmake -S . -B b -G Ninja');
    assert.equal(ran.code, 0, ran.err);
    rig.sh('cp -a b b.configured');
  };
  const again = (): void => {
    rig.sh('rm -rf b && cp -a b.configured b');
  };
  before(() => {
    configure();
    assert.equal(rig.sh('ninja -C b -j2').code, 0);
    plain = artifacts(rig.shot());
    leftOver = rig.sh('ninja -C b -n').out;
    assert.match(leftOver, /\[1\/1\]/);
  });

  for (const prefetch of ['0', '1']) {
    for (const command of [
      'ninja -C b -j2',
      '-C',
      'ninja -C b -f build.ninja all',
      'ninja -C b app all -j1',
    ]) {
      test(`--prefetch=${prefetch}, ${command}`, () => {
        again();
        rig.sh('gg clean --force');
        const line =
          command === '-C'
            ? `cd b && gg --json --prefetch=${prefetch} ninja`
            : `gg --json --prefetch=${prefetch} ${command}`;
        const ran = rig.sh(line);
        assert.equal(ran.code, 0, ran.out + ran.err);
        assert.deepEqual(artifacts(rig.shot()), plain);
        assert.equal(rig.sh('ninja -C b -n').out, leftOver);
        const counts = rig.counts(ran);
        assert.equal(counts.ran + counts.memoized, counts.added, JSON.stringify(counts));
        assert.equal(counts.memoized, 0, JSON.stringify(counts));
      });
    }
  }

  test('a compile begun ahead is the very one that is asked for', () => {
    again();
    rig.sh('gg clean --force');
    const objects = 'CMakeFiles/st.dir/st.cc.o CMakeFiles/gen.dir/gen.c.o';
    const counts = rig.counts(rig.sh(`gg --json --prefetch=1 ninja -C b ${objects}`));
    assert.deepEqual([counts.ran, counts.memoized], [2, 0]);
    assert.equal(rig.sh('find "$GG_DIR/reductions" -type f | wc -l').out.trim(), '2');
  });

  for (const [prefetch, seen] of [
    ['1', '1'],
    ['0', '0'],
  ] as const) {
    test(`--prefetch=${prefetch}: ${seen} results while ninja is still at the statement before`, () => {
      again();
      rig.sh('gg clean --force');
      rig.sh('rm -rf d && mkdir d');
      writeFileSync(join(rig.tree, 'd/a.c'), 'int f(void) { return 1; }\n');
      writeFileSync(
        join(rig.tree, 'd/build.ninja'),
        `rule look
  command = sleep 3; find "$$GG_DIR/reductions" -type f 2>/dev/null | wc -l >$out
rule cc
  command = cc -c $in -o $out
build seen: look
build a.o: cc a.c
`,
      );
      const ran = rig.sh(`gg --prefetch=${prefetch} ninja -C d -j1`);
      assert.equal(ran.code, 0, ran.out + ran.err);
      assert.equal(rig.sh('cat d/seen').out.trim(), seen);
      assert.match(rig.sh('ninja -C d').out, /no work to do/);
    });
  }

  test('-n and -t are left to ninja', () => {
    again();
    for (const words of ['-C b -n', '-C b -t targets', '-C b -t commands app', '--version']) {
      const plainly = rig.sh(`ninja ${words}`);
      const ours = rig.sh(`gg --prefetch=1 ninja ${words}`);
      assert.deepEqual({ code: ours.code, out: ours.out }, { code: plainly.code, out: plainly.out }, words);
    }
  });

  test('a compile that fails is told once, and the next build goes on', () => {
    again();
    const path = join(rig.tree, 'o1.c');
    const text = rig.sh('cat o1.c').out;
    writeFileSync(path, '#error broken\n');
    const ran = rig.sh('gg --prefetch=1 ninja -C b -j2');
    assert.equal(ran.code, 1);
    assert.equal(
      (ran.out + ran.err).split('#error broken').length - 1,
      2,
      'the message and the line it shows',
    );
    writeFileSync(path, text);
    assert.equal(rig.sh('gg --prefetch=1 ninja -C b -j2').code, 0);
    assert.deepEqual(artifacts(rig.shot()).get('b/app'), plain.get('b/app'));
  });
});
