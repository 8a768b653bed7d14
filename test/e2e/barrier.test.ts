// Programs that the preload library cannot be in read what stands in the tree: what they can reach is real before they start. Each
// row is a recipe line that reads an object or a program in mid-build; plain beside wrapped, every call deferred.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Rig, toolLines } from './rig.ts';

const rig = new Rig();
const source = mkdtempSync(join(tmpdir(), 'gg-source-'));
const bin = join(rig.home, 'programs');
after(() => {
  rig.close();
  rmSync(source, { recursive: true });
});

/**
 * FILE COMMAND...: prints a sum of the file, then becomes the command, if there is one. after FILE COMMAND: runs the command first.
 * number FILE: opens it by the number of the call. serve SOCKET: for one caller, who sends the name of a file. ask SOCKET FILE: such a caller.
 */
const SUM = `#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
static void sum(int fd, FILE *to) {
  unsigned long h = 5381; unsigned char c;
  if (fd < 0) exit(1);
  while (read(fd, &c, 1) == 1) h = h * 33 + c;
  fprintf(to, "%lu\\n", h); fflush(to);
}
int main(int argc, char **argv) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int s = socket(AF_UNIX, SOCK_STREAM, 0), c; char text[4096] = "";
  if (argc > 3 && !strcmp(argv[1], "after")) { if (system(argv[3])) return 3; sum(open(argv[2], O_RDONLY), stdout); return 0; }
  if (argc > 2 && !strcmp(argv[1], "number")) { sum(syscall(SYS_openat, AT_FDCWD, argv[2], O_RDONLY, 0), stdout); return 0; }
  if (argc > 2) snprintf(at.sun_path, sizeof at.sun_path, "%s", argv[2]);
  if (argc > 2 && !strcmp(argv[1], "serve")) {
    unlink(at.sun_path);
    if (bind(s, (void *)&at, sizeof at) || listen(s, 1)) return 4;
    if (daemon(1, 0) || (c = accept(s, NULL, NULL)) < 0 || read(c, text, sizeof text - 1) <= 0) return 5;
    sum(open(text, O_RDONLY), fdopen(c, "w"));
    return 0;
  }
  if (argc > 3 && !strcmp(argv[1], "ask")) {
    if (connect(s, (void *)&at, sizeof at) || write(s, argv[3], strlen(argv[3])) < 0 || read(s, text, sizeof text - 1) <= 0) return 6;
    fputs(text, stdout);
    return 0;
  }
  sum(open(argv[1], O_RDONLY), stdout);
  if (argc > 2) { execvp(argv[2], argv + 2); return 2; }
  return 0;
}
`;
const AUDIT = '#define _GNU_SOURCE\n#include <link.h>\nunsigned la_version(unsigned v) { return v; }\n';
const LOADER = spawnSync('bash', ['-c', "ldd /bin/sh | grep -o '/[^ ]*ld-linux[^ ]*'"])
  .stdout.toString()
  .trim();
const isRoot = process.getuid?.() === 0;
const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0;
const NOBODY = 'setpriv --reuid=65534 --regid=65534 --clear-groups';

interface Row {
  readonly name: string;
  readonly recipe: string;
  /** Made before, plainly. */
  readonly setup?: string;
  readonly reason?: string;
  readonly skip?: string | false;
}

const needsRoot = isRoot ? false : 'needs root';
const ROWS: readonly Row[] = [
  { name: 'a static program', recipe: '$(BIN)/sum b.o >out.txt', reason: 'static-program' },
  {
    name: 'a static program in another directory, named by a script',
    recipe: 'cd sub && ./script.sh >../out.txt',
    setup:
      'mkdir sub && printf \'#!/bin/sh\\nexec "$BIN/sum" ../b.o\\n\' >sub/script.sh && chmod +x sub/script.sh',
    reason: 'static-program',
  },
  {
    name: 'a script whose interpreter is static',
    recipe: 'ln -sf $(BIN)/sum s && printf "#!$$PWD/s\\n" >x && chmod +x x && ./x >out.txt',
    reason: 'static-program',
  },
  {
    name: 'what a static program starts reads placeholders as before',
    recipe: '$(BIN)/sum c.c gcc -c c.c -o c.o >out.txt; $(BIN)/sum c.c cksum c.o >>out.txt',
  },
  {
    name: 'a static program that reads what a make below it made',
    recipe: '$(BIN)/sum after d.o "$(MAKE) -s d.o" >out.txt',
    setup: 'cp b.c d.c',
    reason: 'static-program',
  },
  {
    name: 'a daemon that was there before the build',
    recipe: '$(BIN)/dynamic ask $(BIN)/socket $$PWD/b.o >out.txt',
    setup: '"$BIN/dynamic" serve "$BIN/socket"',
    reason: 'daemon',
  },
  { name: 'an open by the number of its call', recipe: '$(BIN)/dynamic number b.o >out.txt' },
  {
    name: 'a cleared environment',
    recipe: 'env -i $(BIN)/dynamic b.o >out.txt',
    reason: 'cleared-environment',
  },
  {
    name: 'a compiler and a link with a cleared environment',
    recipe:
      'env -i PATH=/usr/bin:/bin sh -c "gcc -c c.c && gcc a.o b.o c.o -o p" && ./p >out.txt; nm c.o >>out.txt',
    reason: 'cleared-environment',
  },
  { name: 'no preload library', recipe: 'LD_PRELOAD= cksum b.o >out.txt', reason: 'cleared-environment' },
  {
    name: 'another preload library',
    recipe: 'LD_PRELOAD=libm.so.6 cksum b.o >out.txt',
    reason: 'cleared-environment',
  },
  { name: 'ldd', recipe: 'gcc a.o b.o -o p; ldd p | sed "s/ (0x.*//" >out.txt' },
  {
    name: 'the loader as a program',
    recipe: `gcc a.o b.o -o p; ${LOADER} --list ./p | sed "s/ (0x.*//" >out.txt; ${LOADER} ./p >>out.txt`,
    reason: 'loader',
  },
  {
    name: 'an audit library and a preload library that were just linked',
    recipe:
      'gcc -shared -fPIC audit.c -o audit.so && LD_AUDIT=./audit.so $(BIN)/dynamic b.o >out.txt && LD_PRELOAD=./audit.so cksum b.o >>out.txt',
  },
  {
    name: 'a library made anew for a program that is not',
    recipe: 'gcc -shared -fPIC lib.c -o libx.so && ./old >out.txt; LD_LIBRARY_PATH=. ./older >>out.txt',
    setup:
      'gcc -shared -fPIC lib.c -o libx.so && gcc -x c - -o old -L. -lx -Wl,-rpath,. <user.txt && gcc -x c - -o older -L. -lx <user.txt && rm libx.so',
  },
  {
    name: 'another user',
    recipe: `chmod 755 . && ${NOBODY} cksum b.o >out.txt && ${NOBODY} nm b.o >>out.txt`,
    reason: 'other-user',
    skip: needsRoot || (has('setpriv') ? false : 'no setpriv'),
  },
  {
    name: 'a program that sets its user',
    recipe: './setuid b.o >out.txt',
    setup: 'cp "$BIN/dynamic" setuid && chown 65534 setuid && chmod 4755 setuid && chmod 755 .',
    reason: 'setuid-program',
    skip: needsRoot,
  },
  {
    name: 'below another root',
    recipe: 'chroot . ./sum b.o >out.txt',
    setup: 'cp "$BIN/sum" .',
    reason: 'chroot',
    skip: needsRoot,
  },
];

before(() => {
  mkdirSync(rig.tree, { recursive: true });
  mkdirSync(bin);
  writeFileSync(join(bin, 'sum.c'), SUM);
  const built = rig.sh(
    `cd ${bin} && gcc -static -O1 sum.c -o sum && gcc -O1 sum.c -o dynamic && chmod 755 . .. sum dynamic`,
  );
  assert.equal(built.code, 0, built.err);
  const put = (name: string, text: string): void => writeFileSync(join(source, name), text);
  put('a.c', 'int b(void);\nint main(void) { return b() - 7; }\n');
  put('c.c', 'int c;\n');
  put('lib.c', 'int x(void) { return 5; }\n');
  put('user.txt', 'int x(void);\nint printf(const char *, ...);\nint main(void) { printf("%d\\n", x()); }\n');
  put('audit.c', AUDIT);
  assert.ok(existsSync(LOADER), 'the loader of /bin/sh');
});

/** Long enough to be under way still when the line below it starts; another one for each row, so that no memo has it. */
function slow(row: number): string {
  const lines = ['#include <stdio.h>', `int row${row};`, 'int b(void) { return 7; }'];
  for (let k = 0; k < 80; k++)
    lines.push(
      `int f${k}(int a, int *p) { int s = 0; for (int i = 0; i < a; i++) s += i * ${k} + p[i] * p[i + 1] + printf("%d", s); return s; }`,
    );
  return `${lines.join('\n')}\n`;
}

for (const [index, row] of ROWS.entries())
  test(row.name, { skip: row.skip ?? false }, () => {
    const prepare = (): void => {
      writeFileSync(join(source, 'b.c'), slow(index));
      rig.fresh(source);
      const lines = row.recipe
        .split('; ')
        .map((line) => `\t${line}\n`)
        .join('');
      writeFileSync(
        join(rig.tree, 'Makefile'),
        `all: out.txt\nout.txt: a.o b.o\n${lines}%.o: %.c\n\tgcc -O1 -c $< -o $@\n`,
      );
      if (row.setup === undefined) return;
      const made = rig.sh(row.setup, { BIN: bin });
      assert.equal(made.code, 0, made.err);
    };
    const env = { BIN: bin, GG_MODE: 'defer' };
    prepare();
    const plain = rig.sh('make -s', env);
    assert.equal(plain.code, 0, plain.err);
    const tree = rig.shot();
    prepare();
    const wrapped = rig.sh('gg --json make -s', env);
    const said = wrapped.err.split('\n').filter((line) => !line.startsWith('{'));
    assert.deepEqual(
      { code: wrapped.code, said: toolLines(said.join('\n')) },
      { code: 0, said: toolLines(plain.err) },
    );
    assert.deepEqual(rig.shot(), tree);
    if (row.reason === undefined) return;
    const barriers = wrapped.err.split('\n').filter((line) => line.includes('"unreachable-program"'));
    assert.ok(barriers.length > 0, `a barrier was counted: ${wrapped.err}`);
    assert.match(rig.sh('gg status').out, /bypass unreachable-program: [1-9]/);
  });
