// gcc -M and -MM, asked plainly, wrapped with nothing known, and wrapped once more: the same words on both streams, the same exit
// status, the same tree; and no second run of gcc as long as nothing it read has changed.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Ran, Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());

const FILES: Readonly<Record<string, string>> = {
  'a.c': '#include <stdio.h>\n#include "sub/h.h"\n#include <v.h>\nint a;\n',
  'b c.c': '#include "sub/h.h"\n#if __has_include("late.h")\n#include "late.h"\n#endif\n',
  'd.cc': '#include <vector>\n#include "sub/h.h"\n',
  'e.S': '#include "sub/h.h"\n',
  'error.c': '#include "sub/h.h"\n#ifndef OK\n#error no\n#endif\n#warning yes\n',
  'open.c': '#if 1\n',
  'lost.c': '#include "nowhere.h"\n',
  'sub/h.h': '#pragma once\n',
  'v/v.h': '',
  'w/w.h': '',
};

function makeTree(): void {
  const directory = join(rig.home, 'seed');
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(join(directory, path, '..'), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  rig.fresh(directory);
}

const ASKED: readonly string[] = [
  'gcc -M -Iv a.c',
  'gcc -MM -Iv a.c "b c.c" d.cc',
  'g++ -std=c++20 -MM -MP -isystem v a.c d.cc',
  'gcc -MM -Iv -MT "x y" -MQ "\\$(z)" -MP a.c',
  'gcc -MM -Iv -MF out.d a.c',
  'gcc -MM -Iv -o sub/out.d a.c; cat sub/out.d',
  'umask 027; touch old.d; chmod 640 old.d; gcc -MM -c -Iv a.c -MFold.d',
  'gcc -MM -Iv a.c e.S > Makefile.dep',
  'gcc -MM -Iv a.c | sed s/a.o/z.o/',
  'gcc -MM -MG lost.c',
  'gcc -MM lost.c',
  'gcc -MM a.c lost.c -Iv',
  'gcc -MM error.c',
  'gcc -MM -DOK -Wall error.c',
  'gcc -MM -Werror -std=c++17 error.c -DOK',
  'gcc -MM open.c',
  'gcc -MM -MF out.d "b c.c" a.c -Iv',
  'gcc -MMD -MM -Iv a.c',
  'gcc -M nothing.c',
];

for (const command of ASKED)
  test(`the same answer: ${command}`, () => {
    const once = (wrapper: string): [Ran, Map<string, string>] => {
      makeTree();
      writeFileSync(join(rig.home, 'command'), command);
      const ran = rig.sh(`${wrapper} bash ${join(rig.home, 'command')}`);
      return [{ ...ran, err: ran.err.replace(/^gg: .*\n/gm, '') }, rig.shot()];
    };
    const plain = once('');
    assert.deepEqual(once('gg build --'), plain, 'nothing known');
    assert.deepEqual(once('gg build --'), plain, 'memoized');
  });

const LINE = `gcc -MM -Iw -Iv a.c 'b c.c'`;

/** @returns how many of the two answers were repeated; both are compared with gcc's. */
function repeated(env: Record<string, string> = {}): number {
  const plain = rig.sh(LINE);
  const ran = rig.sh(`gg --json build -- ${LINE}`, env);
  assert.deepEqual([ran.code, ran.out], [plain.code, plain.out]);
  return rig.counts(ran).memoized;
}

/** What happens between two times it is asked, and how many of the two answers can be repeated then. */
const BETWEEN: readonly (readonly [what: string, command: string, repeated: number])[] = [
  ['nothing', 'true', 2],
  ['a header both read has other text', 'echo "#define X 1" >> sub/h.h', 0],
  ['the same size and time, other text', 'touch -r v/v.h t; printf "\n" > v/v.h; touch -r t v/v.h', 1],
  ['one source is edited', 'echo "int more;" >> a.c', 1],
  ['a header found by __has_include appears', 'echo > late.h', 1],
  ['a header appears earlier on the path', 'cp v/v.h w/v.h', 1],
  ['a directory becomes a link', 'mv v u; cp -a u x; echo "#include <w.h>" >> x/v.h; ln -s x v', 1],
  ['a directory becomes a link to the same text', 'mv v u; ln -s u v', 2],
  ['the header is gone', 'rm v/v.h', 0],
];

for (const [what, command, expected] of BETWEEN)
  test(`asked again: ${what}`, () => {
    makeTree();
    repeated();
    assert.equal(rig.sh(command).code, 0);
    assert.equal(repeated(), expected);
  });

test('GG_SHORTCUTS=0: gcc itself answers', () => {
  makeTree();
  repeated();
  assert.equal(repeated({ GG_SHORTCUTS: '0' }), 0);
  assert.equal(repeated(), 2);
  assert.match(rig.sh('gg doctor').out, /^ok {4}shortcuts: answers to -M and -MM/m);
  assert.match(rig.sh('gg doctor', { GG_SHORTCUTS: '0' }).out, /^ok {4}shortcuts: none/m);
});
