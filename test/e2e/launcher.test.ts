// `gg /usr/bin/cc ...` as CMake's compiler launcher, and gg-cc as its compiler.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const rig = new Rig();
rig.env['GG_MODE'] = 'auto';
after(() => rig.close());
const missing = (tool: string): string | false =>
  spawnSync(tool, ['--version']).error ? `${tool} is not installed` : false;

test('gg with a compiler as its first word answers like that compiler', () => {
  rig.fresh('hello-make');
  for (const words of ['/usr/bin/cc -dumpversion', 'gcc --version', '/usr/bin/cc nothing.c'])
    assert.deepEqual(rig.sh(`gg ${words}`), rig.sh(words), words);
  assert.equal(rig.sh('gg no-such-cc -c x.c').code, 127);
});

describe('CMake', { skip: missing('cmake') }, () => {
  const generators = [
    ['Unix Makefiles', 'make -j2'],
    ['Ninja', 'ninja -j2'],
  ] as const;
  for (const [generator, build] of generators) {
    const skip = generator === 'Ninja' ? missing('ninja') : false;
    describe(generator, { skip }, () => {
      let plain: Map<string, string>;
      const binaries = (shot: Map<string, string>): Map<string, string> =>
        new Map(
          [...shot].filter(
            ([k]) =>
              /\.(?:o|a|so|h|d|txt)$|^b\/[a-z_]+$/.test(k) &&
              !/CMakeCache|DependInfo|link\.txt|\/flags|Makefile|CompilerId|CMakeConfigureLog|depend|rules|TargetDirectories|build\.make/.test(
                k,
              ),
          ),
        );
      const configure = `cmake -S . -B b -G '${generator}'`;
      before(() => {
        rig.fresh('hello-cmake');
        const ran = rig.sh(`${configure} && cd b && ${build}`);
        assert.equal(ran.code, 0, ran.out + ran.err);
        plain = binaries(rig.shot());
        assert.ok(plain.size > 4);
      });

      test('CMAKE_C_COMPILER_LAUNCHER=gg', () => {
        rig.fresh('hello-cmake');
        const ran = rig.sh(
          `${configure} -DCMAKE_C_COMPILER_LAUNCHER=gg -DCMAKE_CXX_COMPILER_LAUNCHER=gg && cd b && ${build} && gg force`,
        );
        assert.equal(ran.code, 0, ran.out + ran.err);
        assert.deepEqual(binaries(rig.shot()), plain);
      });

      test('CMAKE_C_COMPILER=gg-cc', () => {
        rig.fresh('hello-cmake');
        const ran = rig.sh(
          `native=$(gg native) && PATH=$native:$PATH && ${configure} -DCMAKE_C_COMPILER=gg-cc -DCMAKE_CXX_COMPILER=gg-c++ && cd b && ${build} && gg force`,
        );
        assert.equal(ran.code, 0, ran.out + ran.err);
        assert.deepEqual(binaries(rig.shot()), plain);
        const cache = readFileSync(join(rig.tree, 'b/CMakeCache.txt'), 'utf8');
        assert.match(cache, /CMAKE_C_COMPILER:[A-Z]+=.*gg-cc/);
      });
    });
  }
});
