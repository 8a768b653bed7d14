// Another user of this machine gets there first: lays out programs where ours are looked for, or listens where our server is
// expected. Nothing of theirs is run, and nothing is told to them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fnv1a64 } from '../../../src/wire/runtime-paths.ts';
import { PROTOCOL_VERSION } from '../../../src/wire/shim-frames.ts';
import { noUnprivilegedUser, Rig, root } from '../rig.ts';

const SOMEBODY_ELSE = 65533;
/** Nobody's on any machine, most likely. */
const VICTIM = 61_183;
const shared = `/tmp/gg-${VICTIM}`;
const skip =
  process.getuid?.() !== 0
    ? 'needs root to act as two users'
    : existsSync(shared)
      ? `${shared} is there already`
      : noUnprivilegedUser();

describe('another user', { skip }, () => {
  const rig = new Rig();
  const stolen = join(rig.home, 'stolen');
  after(() => rig.close());
  const setpriv = `setpriv --reuid=${VICTIM} --regid=${VICTIM} --clear-groups`;
  beforeEach(() => {
    rig.fresh('hello-make');
    spawnSync('chown', ['-R', `${VICTIM}:${VICTIM}`, rig.home]);
  });
  const asVictim = (command: string, env: Record<string, string> = {}) =>
    rig.sh(`${setpriv} ${command}`, env);
  afterEach(() => rmSync(shared, { recursive: true, force: true }));

  /** Without a home the state goes below /tmp. */
  const homeless = (command: string) =>
    asVictim(`env -u HOME -u XDG_RUNTIME_DIR -u GG_DIR ${command}`, { XDG_CACHE_HOME: '' });

  function plant(mode: number): void {
    const native = join(shared, 'cache/native/x');
    mkdirSync(native, { recursive: true });
    for (const name of ['gg-cc', 'gg-c++', 'gg-server-start', 'gg-shim', 'gg-spawner']) {
      writeFileSync(join(native, name), `#!/bin/sh\nid -u >>${stolen}\nexec /usr/bin/gcc "$@"\n`);
      chmodSync(join(native, name), 0o755);
    }
    writeFileSync(join(shared, 'cache/native/current'), `${native}\n`);
    spawnSync('chown', ['-R', String(SOMEBODY_ELSE), shared]);
    chmodSync(shared, mode);
  }

  for (const mode of [0o755, 0o777])
    test(`programs in a folder of theirs, mode ${mode.toString(8)}`, () => {
      asVictim('sh -c \'ln -s "$(command -v gg-tool)" gg-cc\'');
      for (const command of [
        'gg /usr/bin/gcc -c count.c -o count.o',
        './gg-cc -c count.c -o count.o',
        'gg make',
      ]) {
        plant(mode);
        const ran = homeless(command);
        assert.equal(existsSync(stolen), false, `${command} ran what another user made`);
        if (ran.code !== 0) assert.match(ran.err, new RegExp(shared), command);
      }
    });

  test('a socket of theirs is told nothing, and the build goes on without it', async () => {
    mkdirSync(shared);
    spawnSync('chown', [String(SOMEBODY_ELSE), shared]);
    const heard = join(rig.home, 'heard');
    writeFileSync(heard, '');
    chmodSync(heard, 0o666);
    const path = join(shared, `${fnv1a64(join(rig.home, 'state'))}-v${PROTOCOL_VERSION}.sock`);
    const script = `const s = require('net').createServer((c) => { c.on('error', () => {}); c.on('data', (d) => require('fs').appendFileSync(${JSON.stringify(heard)}, d)); });
      s.listen(${JSON.stringify(path)}, () => { require('fs').chmodSync(${JSON.stringify(path)}, 0o777); console.log('up'); });`;
    const as = [
      `--reuid=${SOMEBODY_ELSE}`,
      `--regid=${SOMEBODY_ELSE}`,
      '--clear-groups',
      process.execPath,
      '-e',
      script,
    ];
    const listener = spawn('setpriv', as, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => listener.stdout.once('data', resolve));
      const keys = { AWS_ACCESS_KEY_ID: 'AKIAVICTIM', AWS_SECRET_ACCESS_KEY: 'very-secret' };
      const ran = asVictim('env -u XDG_RUNTIME_DIR gg make', keys);
      assert.equal(ran.code, 0, ran.err);
      const native = asVictim('env -u XDG_RUNTIME_DIR gg native').out.trim();
      // The preload library is told of that socket by its environment.
      const mark = `\nlikeness\n# gg-placeholder 1 T${'1'.padStart(64, '0')}-9\n`;
      writeFileSync(join(rig.tree, 'w.o'), mark.padEnd(512, '#'));
      asVictim(`env LD_PRELOAD=${native}/gg-interpose.so timeout 9 cat w.o`, {
        GG_SESSION: 's1',
        GG_SHIM_DIR: `${native}/bin`,
        GG_SOCKET: path,
      });
      await sleep(50);
      assert.equal(readFileSync(heard, 'utf8'), '');
      asVictim('env -u XDG_RUNTIME_DIR gg stop');
    } finally {
      listener.kill();
    }
  });

  test('the checkout is readable, so that the above means something', () => {
    assert.equal(asVictim(`cat ${root}/package.json`).code, 0);
  });
});

describe('a state folder that was open to others', () => {
  const rig = new Rig();
  after(() => rig.close());
  test('is closed, said, and used on', () => {
    rig.fresh('hello-make');
    assert.equal(rig.sh('umask 000; gg make && gg stop && make -s clean').code, 0);
    assert.equal(rig.sh('find "$GG_DIR" -maxdepth 0 -perm /077').out, '', 'whatever the umask is');
    rig.sh(
      'chmod 777 "$GG_DIR" "$GG_DIR/native"; echo "echo theirs" >"$GG_DIR/native/current.new"; chmod 666 "$GG_DIR/native/current.new"',
    );
    const ran = rig.sh('gg make');
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.err, /was open to others and is closed now/);
    assert.equal(rig.sh('find "$GG_DIR" "$GG_DIR/native" -maxdepth 0 -perm /022').out, '');
    assert.equal(existsSync(join(rig.env['GG_DIR']!, 'native/current.new')), false);
  });
});
