// `gg watch` on a real tree: what starts a build, what does not, and how it ends.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { Rig } from './rig.ts';

const WAIT_MS_MAX = 30_000;
/** Longer than debounce and settling together. */
const CALM_MS = 1200;

const rig = new Rig();
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
  child = undefined;
});
after(() => rig.close());

const MAKEFILE = `p: a.o m.o
\tcc -o $@ a.o m.o
%.o: %.c
\techo $@ >>compiled.log
\tcc -c -o $@ $<
slow:
\techo $$$$ >slow.pid
\tsleep 60
`;

class Watch {
  text = '';
  readonly exited: Promise<number | null>;
  readonly process: ChildProcess;

  constructor(command: string | readonly string[], env: Record<string, string> = {}) {
    const [program, ...args] =
      typeof command === 'string' ? ['gg', 'watch', '--', ...command.split(' ')] : command;
    this.process = spawn(program!, args, {
      cwd: rig.tree,
      env: { ...rig.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = this.process;
    this.process.stdout!.on('data', (b) => {
      this.text += b;
    });
    this.process.stderr!.on('data', (b) => {
      this.text += b;
    });
    this.exited = new Promise((resolve) => this.process.once('exit', resolve));
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const untilMs = Date.now() + WAIT_MS_MAX;
    while (!condition()) {
      assert.ok(Date.now() < untilMs, `${what} in:\n${this.text}`);
      await new Promise((r) => setTimeout(r, 20));
    }
  }

  get builds(): number {
    return this.text.split('waiting for changes').length - 1;
  }

  async built(n: number): Promise<void> {
    await this.until(() => this.builds >= n, `no build ${n}`);
    await this.calm();
    assert.equal(this.builds, n, this.text);
  }

  calm(): Promise<void> {
    return new Promise((r) => setTimeout(r, CALM_MS));
  }
}

function lay(): void {
  rmSync(rig.tree, { recursive: true, force: true });
  mkdirSync(rig.tree, { recursive: true });
  const files = {
    Makefile: MAKEFILE,
    'a.c': 'int f(void) { return 1; }\n',
    'm.c': 'int f(void);\nint main(void) { return f(); }\n',
    '.gitignore': '*.log\n/notes/\n!kept.log\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(rig.tree, name), text);
  mkdirSync(join(rig.tree, 'notes'));
}
const write = (name: string, text: string): void => writeFileSync(join(rig.tree, name), text);
const compiled = (): string[] => readFileSync(join(rig.tree, 'compiled.log'), 'utf8').trim().split('\n');
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

for (const [name, env] of [
  ['with the kernel telling', {}],
  ['polling', { CHOKIDAR_USEPOLLING: '1' }],
] as const) {
  test(`${name}: an edit builds what is affected; outputs and ignored files start nothing`, async () => {
    lay();
    const watch = new Watch('make -s', env);
    await watch.until(() => watch.builds === 1, 'no first build');
    await watch.calm();
    await watch.calm();
    assert.equal(watch.builds, 1, watch.text);
    assert.equal(rig.sh('./p').code, 1);
    assert.deepEqual(compiled().sort(), ['a.o', 'm.o']);

    write('x.log', 'ignored');
    write('notes/n.txt', 'ignored');
    await watch.calm();
    assert.equal(watch.builds, 1, watch.text);

    write('a.c', 'int f(void) { return 2; }\n');
    await watch.until(() => watch.builds === 2, 'no second build');
    assert.match(watch.text, /gg: changed: a\.c\n/);
    assert.deepEqual(compiled().sort(), ['a.o', 'a.o', 'm.o']);
    assert.equal(rig.sh('./p').code, 2);
    await watch.calm();
    await watch.calm();
    assert.equal(watch.builds, 2, watch.text);

    write('a.c', 'int f(void) { return nothing; }\n');
    await watch.until(() => /failed \(2\) after/.test(watch.text), 'no failure');
    await watch.calm();
    write('a.c', 'int f(void) { return 3; }\n');
    await watch.until(() => watch.builds === 4, 'no build after the failure');
    assert.equal(rig.sh('./p').code, 3);

    watch.process.kill('SIGINT');
    assert.equal(await watch.exited, 130);
    assert.match(watch.text, /gg: ended\n$/);
  });
}

const namespaces = spawnSync('unshare', ['-Ur', 'true']).status === 0;
test('out of file watches it polls, and says so', {
  skip: namespaces ? false : 'no user namespaces',
}, async () => {
  lay();
  for (let i = 0; i < 40; i++) write(`more${i}.c`, '');
  writeFileSync(
    join(rig.home, 'few-watches'),
    'echo 10 >/proc/sys/user/max_inotify_watches && exec gg watch -- make -s\n',
  );
  const watch = new Watch(['unshare', '-Ur', 'sh', join(rig.home, 'few-watches')]);
  await watch.until(() => watch.builds === 1, 'no first build');
  assert.match(watch.text, /no more file watches \(ENOSPC\)/);
  await new Promise((r) => setTimeout(r, 3 * CALM_MS));
  write('a.c', 'int f(void) { return 6; }\n');
  await watch.until(() => watch.builds === 2, 'no second build');
  assert.equal(rig.sh('./p').code, 6);
  watch.process.kill('SIGINT');
  assert.equal(await watch.exited, 130);
});

test('an edit while a build runs is built after it', async () => {
  lay();
  const watch = new Watch('make -s');
  await watch.built(1);
  writeFileSync(join(rig.tree, 'Makefile'), MAKEFILE.replace('\tcc -o', '\tsleep 1\n\tcc -o'));
  write('a.c', 'int f(void) { return 4; }\n');
  await watch.until(() => compiled().length === 3, 'no compile');
  await new Promise((r) => setTimeout(r, 500));
  write('m.c', 'int f(void);\nint main(void) { return f() + 1; }\n');
  await watch.until(() => compiled().length === 4, 'the edit was lost');
  await watch.until(() => watch.builds === 3, 'no third build');
  assert.equal(rig.sh('./p').code, 5);
});

test('Ctrl-C in the middle of a build ends it with its children', async () => {
  lay();
  const watch = new Watch('make -s slow');
  await watch.until(() => existsSync(join(rig.tree, 'slow.pid')), 'it does not start');
  await new Promise((r) => setTimeout(r, 200));
  const pid = Number(readFileSync(join(rig.tree, 'slow.pid'), 'utf8'));
  watch.process.kill('SIGINT');
  assert.equal(await watch.exited, 130);
  assert.match(watch.text, /gg: interrupted: ending the build\n/);
  await watch.until(() => !alive(pid), 'the recipe lives on');
});
