// Plans against the real gcc: same files, same bytes, same modes, same text.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { GccMScanner } from '../../../../src/scan/gcc-m.ts';
import type { ScanRequest, ScanResult } from '../../../../src/scan/scanner.ts';
import { scanWithGcc } from '../fake-context.ts';
import { type Case, Rig } from './rig.ts';

const FILES = {
  'a.c':
    '#include <stdio.h>\n#include "h.h"\nint b(void);\nint main(void) { printf("%d %s\\n", b() + H, __FILE__); return 0; }\n',
  'b.c': 'int b(void) { return 2; }\n',
  'c.cc': '#include <string>\nint main() { return std::string("x").size() == 1 ? 0 : 1; }\n',
  'd.c.c': '#include "h.h"\nint d = H;\n',
  'h.h': '#ifndef H\n#define H 1\n#endif\n',
  'inc/deep.h': '#include "../h.h"\nint deep;\n',
  'inc/$o #d d.h': 'int odd;\n',
  'odd.c': '#include "inc/$o #d d.h"\nint o;\n',
  'w.c': 'int w(void) { int unused; return 0; }\n',
  's.s': '.globl s\ns: ret\n.section .note.GNU-stack,"",@progbits\n',
  'S.S': '#include "h.h"\n.globl s\ns: .long H\n.section .note.GNU-stack,"",@progbits\n',
  'i.i': '# 1 "x.c"\nint i;\n',
  'm.c': 'int main(void) { return 0; }\n',
  'omp.c': '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n',
  'v.map': '{ global: b; local: *; };\n',
  'args.rsp': '-O2 -c "a.c" @more.rsp',
  'more.rsp': "-DH=3 -o 'a.o'",
  't.c': 'const char *t = __DATE__ " " __TIME__;\n',
  'inc.s': '.incbin "blob.bin"\n.include "more.inc"\n.section .note.GNU-stack,"",@progbits\n',
  'inc.S': '#include "h.h"\n.globl b\nb: .incbin "blob.bin"\n.section .note.GNU-stack,"",@progbits\n',
  'inc.c': 'int b(void) { return 1; }\n__asm__(".section .rodata\\n.incbin \\"blob.bin\\"\\n.previous");\n',
  'blob.bin': 'blob',
  'more.inc': '.long 7\n',
  'line.s': '.file 1 "x.c"\n.globl f\nf: .loc 1 1\nret\n.section .note.GNU-stack,"",@progbits\n',
  'sp ace/ü.c': '#include "h h.h"\nint u = H;\n',
  'sp ace/h h.h': '#define H __FILE__[0]\n',
  'sub/keep': '',
  'out/keep': '',
};

const rig = new Rig(FILES);
after(() => rig.close());

function words(line: string): string[] {
  return line.split(' ').map((word) => word.replaceAll('PROJECT', rig.project).replaceAll('~', ' '));
}

/** Tool and arguments; every one is planned. */
const PLANNED: readonly (string | readonly [line: string, more: Partial<Case>])[] = [
  'gcc -c a.c',
  'gcc -O2 -c a.c -o a.o',
  'gcc -O2 -c a.c -oout/a.o',
  'gcc -c a.c b.c',
  'gcc -c ./a.c -o ./out/../out/x',
  'gcc -g -c a.c -o a.o',
  'gcc -g3 -O2 -c a.c',
  'gcc -ggdb -c b.c -o x.o',
  'gcc -gdwarf-4 -gz -c b.c',
  'gcc -Wall -Wextra -c w.c',
  'gcc -ansi -pedantic -c b.c',
  'gcc -pipe -fPIC -std=gnu11 -c a.c',
  'gcc -include h.h -imacros h.h -c b.c -o x.o',
  'gcc -idirafter . -iquote inc -isystem inc -I sub -Inowhere -c a.c -o x.o',
  'gcc -D X=1 -DY -UY --define-macro=Z -c a.c',
  'gcc -mtune=generic -msse4.2 -maes -c b.c -o x.o',
  'gcc -x c -c i.i -o x.o',
  'gcc -c i.i',
  'gcc -c s.s S.S',
  'gcc -g -c S.S s.s',
  'gcc -Wa,--noexecstack -c a.c',
  'gcc @args.rsp',
  'gcc -ffile-prefix-map=PROJECT=. -g -c a.c',
  'gcc -fdebug-prefix-map=PROJECT=. -g -c a.c',
  'gcc -IPROJECT -c PROJECT/a.c -o PROJECT/x.o',
  ['gcc -I.. -c ../a.c -o ../x.o', { cwd: 'sub' }],
  ['gcc -g -I.. -c ../a.c', { cwd: 'sub' }],
  'gcc --sysroot=/ -c b.c -o x.o',
  'gcc -flto -c b.c -o x.o -frandom-seed=1',
  'gcc -fsanitize=undefined -c a.c',
  'gcc -march=native -O2 -c a.c',
  'gcc -march=native -mtune=native -O3 -g -c a.c',
  'gcc -c a.c -lm -Lnowhere -Wl,-Map=unused',
  'g++ -c c.cc',
  'g++ -c a.c -o x.o',
  'gcc -S a.c',
  'gcc -S -O2 -g a.c -o out/a.s',
  'gcc -E a.c -o e.i',
  'gcc -E -dD -C -P a.c -o e.i',

  'gcc -MD -c a.c',
  'gcc -MD -c a.c -o out/a.o',
  'gcc -MMD -c a.c -o out/a.x.o',
  'gcc -MMD -c a.c -o out/a',
  'gcc -MMD -c a.c -o out/.hidden',
  'gcc -MMD -MP -c a.c d.c.c',
  'gcc -MD -MP -MF out/z.d -c a.c -o a.o',
  'gcc -MMD -MFz.d -MT x -MQ y$z -c a.c',
  'gcc -MD -MMD -c a.c',
  'gcc -MMD -c ./inc/../a.c',
  'gcc -MMD -MP -c odd.c',
  'gcc -MD -c S.S -o out/S.o',
  'gcc -MD -c s.s i.i',
  'gcc -MMD -S a.c',
  'gcc -MMD -S a.c -o out/a.s',
  'gcc -Wp,-MD,q.d -c a.c -o out/a.o',
  'gcc -Wp,-MMD,q.d -Wp,-MT,t$ -Wp,-DH=4 -c a.c -o out/a.o',
  'gcc -Wp,-MMD,q.d,-MP,-MQ,t$ -Wp,-UH -c a.c',
  'gcc -MMD m.c -o out/prog.exe',
  'gcc -MMD m.c',
  'gcc -MMD -MP -MF q.d m.c -o prog',
  'gcc -MMD -MT t m.c',
  ['gcc -MMD a.c b.o -o p', { setup: 'gcc -c b.c' }],
  ['gcc -MMD a.c b.o', { setup: 'gcc -c b.c' }],
  'gcc -Wp,-MMD,q.d m.c -o p',
  'gcc -MMD -r b.c -o out/b.o',

  'gcc -c inc.s -o x.o',
  'gcc -c inc.S',
  'gcc -c inc.c',
  ['gcc -x c -c b.weird -o x.o', { setup: 'cp b.c b.weird' }],
  ['gcc -x c++ -MMD -c b.weird', { setup: 'cp b.c b.weird' }],
  ['gcc -O2 -x c b.weird -x none a.o -o p', { setup: 'cp b.c b.weird; gcc -c a.c' }],
  'gcc a.c inc.S -o p',
  'gcc a.c inc.c -o p',
  'gcc -c line.s',
  'gcc -MMD -MP -c sp~ace/ü.c -o sp~ace/ü.o',
  'gcc -MMD -c sp~ace/ü.c',
  'gcc -MMD -MQ a~b -MT c~d -Isp~ace -c a.c',
  ['gcc -c t.c', { env: { SOURCE_DATE_EPOCH: '1000000000', TZ: 'Asia/Tokyo' } }],
  ['gcc -Wall -c w.c', { env: { LC_ALL: 'C.UTF-8', LANGUAGE: 'de' } }],
  ['gcc -Wall -c w.c', { env: { LANG: 'C' } }],
  ['gcc -Wall -c w.c', { env: { GCC_COLORS: 'warning=1' } }],
  ['gcc -Wall -fdiagnostics-color=always -c w.c', { env: { GCC_COLORS: 'warning=1' } }],
  ['gcc -Wall -c w.c', { env: { GCC_EXTRA_DIAGNOSTIC_OUTPUT: 'fixits-v2' } }],
  ['gcc -MMD -c sub/../deep.c', { setup: 'echo "#include <deep.h>" > deep.c', env: { CPATH: 'inc' } }],
  ['gcc -MMD -c deep.c', { setup: 'echo "#include <deep.h>" > deep.c', env: { C_INCLUDE_PATH: 'inc' } }],
  ['gcc a.o -lb -o p', { setup: 'gcc -c a.c b.c; ar crD out/libb.a b.o', env: { LIBRARY_PATH: 'out' } }],
  ['gcc a.o b.o -o p', { setup: 'gcc -c a.c b.c', env: { LD_RUN_PATH: '/run/path' } }],
  'gcc a.c b.c -o p',
  'gcc a.c b.c',
  'gcc m.c -o p -lm',
  'gcc -g m.c -o p',
  ['gcc a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc a.c b.o -o p', { setup: 'gcc -c b.c' }],
  ['gcc -O2 a.o libb.a -o out/p', { setup: 'gcc -c a.c b.c; ar crD libb.a b.o' }],
  ['gcc a.o -L. -lb -o p', { setup: 'gcc -c a.c b.c; ar crD libb.a b.o' }],
  ['gcc a.o -Wl,--start-group libb.a -Wl,--end-group -o p', { setup: 'gcc -c a.c b.c; ar crD libb.a b.o' }],
  ['gcc a.o b.o -Wl,-rpath,/x -Xlinker -s -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -no-pie a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -static a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -static-pie a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -static-libgcc -pthread a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -nostdlib -r b.o -o r.o', { setup: 'gcc -c b.c' }],
  'gcc -r b.c -o r.o',
  ['gcc -r -fuse-ld=gold -nostdlib b.o -o r.o', { setup: 'gcc -c b.c' }],
  ['gcc -nostdlib -Wl,-r b.o -no-pie -o r.o', { setup: 'gcc -c b.c' }],
  ['gcc -fuse-ld=gold a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -shared -Wl,-soname,libf.so.1 b.o -o libf.so', { setup: 'gcc -fPIC -c b.c' }],
  ['gcc -shared b.o -Wl,--version-script,v.map -o libv.so', { setup: 'gcc -fPIC -c b.c' }],
  ['gcc -Wl,--version-script=v.map -shared -fPIC b.c -o libv.so', {}],
  ['gcc -flto x.o y.o -o p', { setup: 'gcc -flto -c a.c -o x.o; gcc -flto -c b.c -o y.o' }],
  ['gcc --coverage a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  ['gcc -fprofile-generate a.o b.o -o p', { setup: 'gcc -fprofile-generate -c a.c b.c' }],
  ['gcc -MMD -MF q.d a.o b.o -o p', { setup: 'gcc -c a.c b.c' }],
  'gcc -fopenmp omp.c -o omp',
  'gcc -fsanitize=address m.c -lm -o san',
  'g++ c.cc -o c',
  ['g++ c.o -o c', { setup: 'g++ -c c.cc' }],
  ['g++ -static-libstdc++ c.o -o c', { setup: 'g++ -c c.cc' }],
];

const scanner = new GccMScanner(async (file, args, { cwd, env }) => {
  const run = spawnSync(file, args, {
    cwd,
    env: { PATH: '/usr/bin:/bin', ...Object.fromEntries(env) },
  });
  return { code: run.status ?? 1, stdout: run.stdout, stderr: run.stderr };
});
/** What assembler code includes; how the scanner finds that is tested with the scanner. */
const INCLUDED: Readonly<Record<string, readonly string[]>> = {
  'inc.S': ['blob.bin'],
  'inc.c': ['blob.bin'],
  'inc.s': ['blob.bin', 'more.inc'],
};

const context = {
  async scan(request: Omit<ScanRequest, 'toolchain'>): Promise<ScanResult> {
    const extra = INCLUDED[request.source];
    if (!extra) return scanner.scan({ ...request, toolchain: '' });
    const found = scanWithGcc(request);
    return found.kind === 'found' ? { ...found, extra } : found;
  },
};

for (const row of PLANNED) {
  const [line, more] = typeof row === 'string' ? [row, {}] : row;
  test(`${line} ${Object.keys(more.env ?? {})}`, async () => {
    const [tool, ...args] = words(line);
    await rig.compare({ tool: tool!, args, context, ...more });
  });
}

const SCRIPT = '/usr/bin/script';

test('what it prints on a terminal', { skip: existsSync(SCRIPT) ? false : `no ${SCRIPT}` }, async () => {
  const args = ['-Wall', '-c', 'w.c', '-o', 'x.o'];
  for (const env of [
    { TERM: 'xterm-256color' },
    { TERM: 'xterm' },
    { TERM: 'dumb' },
    { TERM: 'linux', COLORTERM: 'x' },
  ]) {
    const plan = await rig.plan({ args, env, stderrTty: true, context });
    assert.ok(plan.kind === 'plan');
    const thunkArgs = plan.thunks[0]!.args.map((arg) => (typeof arg === 'string' ? arg : '/dev/null'));
    const options = { cwd: rig.project, env: { PATH: '/usr/bin:/bin', ...env }, encoding: 'utf8' } as const;
    const onPipe = spawnSync('gcc', thunkArgs, { ...options, env: { PATH: '/usr/bin:/bin' } }).stderr;
    const onTerminal = spawnSync(
      SCRIPT,
      ['-qec', 'gcc -Wall -c w.c -o /dev/null', '/dev/null'],
      options,
    ).stdout;
    assert.equal(onPipe, onTerminal.replaceAll('\r\n', '\n'), JSON.stringify(env));
  }
});
