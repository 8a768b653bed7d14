// What is out of order around a build: each case gets a clear error, and nothing is lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { noUnprivilegedUser, Rig, root, toolLines } from './rig.ts';

describe('as an ordinary user', { skip: noUnprivilegedUser() }, () => {
  const rig = new Rig({ unprivileged: true });
  after(() => rig.close());
  rig.fresh('hello-make');
  rig.sh('make -j2');
  const plain = rig.shot();

  test('the tree is the plain one, with and without HOME', () => {
    for (const prefix of ['', 'env -u HOME ']) {
      rig.fresh('hello-make');
      const ran = rig.sh(`${prefix}gg make -j2`);
      assert.equal(ran.code, 0, ran.err);
      assert.deepEqual(rig.shot(), plain);
    }
  });

  test('a place that cannot be written is named; the result is kept for the next try', () => {
    rig.fresh('hello-make');
    rig.sh('gg infer -- make -j2');
    chmodSync(rig.tree, 0o555);
    const refused = rig.sh('gg force');
    chmodSync(rig.tree, 0o755);
    assert.notEqual(refused.code, 0);
    assert.match(refused.err, /gg: .*\/tree\/hello: permission denied\ngg: {3}make the place writable/);
    assert.equal(rig.sh('gg force').code, 0);
    assert.deepEqual(rig.shot(), plain);
  });

  test('a tree that is read-only from the start fails as make does', () => {
    rig.fresh('hello-make');
    chmodSync(rig.tree, 0o555);
    const [own, wrapped] = [rig.sh('make'), rig.sh('gg make')];
    chmodSync(rig.tree, 0o755);
    assert.equal(wrapped.code, own.code);
    assert.deepEqual(toolLines(wrapped.err), toolLines(own.err));
  });

  test('a source nobody may read: the words of gcc, and the next try works', () => {
    rig.fresh('hello-make');
    chmodSync(join(rig.tree, 'count.c'), 0);
    const own = rig.sh('make -j1');
    rig.fresh('hello-make');
    chmodSync(join(rig.tree, 'count.c'), 0);
    const wrapped = rig.sh('gg make -j1');
    assert.equal(wrapped.code, own.code);
    assert.deepEqual(toolLines(wrapped.err), toolLines(own.err));
    chmodSync(join(rig.tree, 'count.c'), 0o644);
    assert.equal(rig.sh('gg make -j1').code, 0);
    assert.deepEqual(rig.shot(), plain);
  });

  test('a header nobody may read: the words of gcc', () => {
    rig.fresh('hello-make');
    chmodSync(join(rig.tree, 'greet.h'), 0);
    const own = rig.sh('make -k -j1');
    const wrapped = rig.sh('gg make -k -j1');
    assert.equal(wrapped.code, own.code);
    assert.deepEqual(toolLines(wrapped.err).sort(), toolLines(own.err).sort());
  });
});

describe('placeholders', () => {
  const rig = new Rig();
  after(() => rig.close());
  rig.fresh('hello-make');
  rig.sh('make -j2');
  const plain = rig.shot();

  test('one with a damaged name is named, and removing it is the cure', () => {
    rig.fresh('hello-make');
    rig.sh('gg infer -- make -j2');
    const path = join(rig.tree, 'hello.o');
    const bytes = readFileSync(path);
    const at = bytes.indexOf('gg-placeholder 1 T') + 'gg-placeholder 1 T'.length;
    bytes.write(bytes.subarray(at, at + 4).equals(Buffer.from('0123')) ? '3210' : '0123', at);
    writeFileSync(path, bytes);
    rmSync(join(rig.tree, 'hello'));
    const refused = rig.sh('gg make');
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.err,
      /tree\/hello\.o: a placeholder for T\w+…, a thunk that is not in this store\ngg: .*remove the file/,
    );
    rmSync(path);
    assert.equal(rig.sh('gg make').code, 0);
    assert.deepEqual(rig.shot(), plain);
  });

  test('a store whose blobs are damaged or gone makes them again', () => {
    rig.fresh('hello-make');
    rig.sh('gg make -j2; gg stop');
    rig.sh(
      'for f in $GG_DIR/cas/?/V*; do case $RANDOM in *[02468]) rm -f $f;; *) chmod u+w $f; echo x > $f;; esac; done',
    );
    rig.fresh('hello-make');
    const ran = rig.sh('gg make -j2');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(rig.shot(), plain);
  });

  test('an archive that a real ar made of some, with no server there, is healed by the next command', () => {
    for (const next of ['gg force', 'gg make']) {
      rig.fresh('hello-make');
      rig.sh('gg infer -- make greet.o count.o && gg stop && /usr/bin/ar rcs libgreet.a greet.o count.o');
      assert.notEqual(rig.shot().get('libgreet.a'), plain.get('libgreet.a'));
      assert.equal(rig.sh(next).code, 0);
      assert.equal(rig.shot().get('libgreet.a'), plain.get('libgreet.a'), next);
    }
  });

  test('moved, copied and linked ones become what they stand for', () => {
    rig.fresh('hello-make');
    rig.sh('gg infer -- make -j2; mv hello moved; cp greet.o copied.o; ln counter linked');
    assert.equal(rig.sh('gg force').code, 0);
    assert.equal(rig.sh('./moved').out, 'hello, nobody\n');
    const shot = rig.shot();
    assert.equal(shot.get('moved'), plain.get('hello'));
    assert.equal(shot.get('copied.o'), plain.get('greet.o'));
    assert.equal(shot.get('linked'), plain.get('counter'));
  });
});

describe('places', () => {
  const plainly = (rig: Rig): Map<string, string> => {
    rig.fresh('hello-make');
    rig.sh('make -j2');
    return rig.shot();
  };

  test('a cache on another file system', { skip: existsSync('/dev/shm') ? false : 'no /dev/shm' }, () => {
    const rig = new Rig();
    const state = mkdtempSync('/dev/shm/gg-e2e-');
    try {
      const plain = plainly(rig);
      rig.env['GG_DIR'] = state;
      for (const _ of [1, 2]) {
        rig.fresh('hello-make');
        assert.equal(rig.sh('gg make -j2').code, 0);
        assert.deepEqual(rig.shot(), plain);
      }
    } finally {
      rig.close();
      rmSync(state, { recursive: true, force: true });
    }
  });

  test('a store above its limit is brought below it when nobody builds', () => {
    const rig = new Rig();
    try {
      const plain = plainly(rig);
      rig.env['GG_IDLE'] = '1';
      rig.env['GG_CACHE_SIZE'] = '40K';
      rig.fresh('hello-make');
      assert.equal(rig.sh('gg make -j2').code, 0);
      assert.equal(rig.sh('gg infer -- make -B hello.o').code, 0);
      const size = (): number =>
        Number(rig.sh('cat $GG_DIR/cas/?/* $GG_DIR/reductions/?/* | wc -c').out.trim());
      assert.ok(size() > 40 * 1024, String(size()));
      const ended = rig.sh(
        'for i in $(seq 100); do sleep 0.1; gg status | grep -q "no session server" && exit 0; sleep 1.2; done; exit 1',
      );
      assert.equal(ended.code, 0, 'the server ends when idle');
      // A kilobyte for the thunk of the placeholder, which is kept above the limit's order.
      assert.ok(size() <= 41 * 1024, String(size()));
      assert.equal(rig.sh('gg force').code, 0);
      assert.equal(rig.shot().get('hello.o'), plain.get('hello.o'));
    } finally {
      rig.close();
    }
  });

  const mounts = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
  const skip = mounts ? false : 'no right to mount a small file system';

  test('a full tree: the files are named, and there is room for the next try', { skip }, () => {
    const rig = new Rig();
    try {
      rig.fresh('hello-make');
      const ran = rig.sh(`unshare -m bash -c '
        mount -t tmpfs -o size=200k tmpfs . && cd . && cp -p ${root}/fixtures/hello-make/{Makefile,*.c,*.h} . && cd $PWD || exit 99
        cd ${rig.tree}; gg infer -- make -j2 || exit 98
        dd if=/dev/zero of=filler bs=1k count=1000 2>/dev/null
        gg force; echo "full $?"
        rm filler; gg force; echo "room $?"; ./hello; gg stop >/dev/null'`);
      assert.match(ran.err, /gg: .*\/hello\.o: no space left on the device\ngg: {3}make the place writable/);
      assert.match(ran.out, /full [1-9]\d*\nroom 0\nhello, nobody\n/);
    } finally {
      rig.close();
    }
  });

  test('a full cache: the build falls back to the real tools', { skip }, () => {
    const rig = new Rig();
    try {
      const plain = plainly(rig);
      rig.fresh('hello-make');
      const ran = rig.sh(`mkdir -p $GG_DIR && unshare -m bash -c '
        mount -t tmpfs -o size=8M tmpfs $GG_DIR && gg native >/dev/null || exit 99
        dd if=/dev/zero of=$GG_DIR/filler bs=1k count=10000 2>/dev/null
        gg make -j2; code=$?; rm $GG_DIR/filler; gg stop >/dev/null; exit $code'`);
      assert.equal(ran.code, 0, ran.err);
      assert.deepEqual(rig.shot(), plain);
    } finally {
      rig.close();
    }
  });
});
