import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputRoot, InputRootError } from '../../../../src/engine/reapi/input-root.ts';
import { blobId } from '../../../../src/reapi/cas.ts';

const id = (text: string) => blobId(Buffer.from(text));

test('the canonical bytes of a directory are those of other implementations', () => {
  // The empty Directory and one with a file "a" of the bytes "x": encoded by hand from the field numbers of the specification.
  assert.equal(new InputRoot().encode().bytes.length, 0);
  const root = new InputRoot();
  root.file('/a', id('x'), true);
  const hash = id('x').hash;
  const digest = Buffer.concat([Buffer.from([0x0a, 64]), Buffer.from(hash), Buffer.from([0x10, 1])]);
  const node = Buffer.concat([
    Buffer.from([0x0a, 1, 0x61, 0x12, digest.length]),
    digest,
    Buffer.from([0x20, 1]),
  ]);
  assert.deepEqual(Buffer.from(root.encode().bytes), Buffer.concat([Buffer.from([0x0a, node.length]), node]));
});

test('a tree over another shares what it does not change, and the other stays as it is', () => {
  const base = new InputRoot();
  base.file('/usr/bin/gcc', id('gcc'), true);
  base.file('/usr/include/stdio.h', id('stdio'), false);
  const before = base.encode();
  const over = new InputRoot(base);
  over.file('/home/u/a.c', id('a'), false);
  over.file('/usr/include/b.h', id('b'), false);
  const after = over.encode();
  assert.notEqual(after.id.hash, before.id.hash);
  assert.equal(base.encode().id.hash, before.id.hash);
  const usr = (tree: typeof after) => tree.below.find((d) => Buffer.from(d.bytes).includes('include'))!;
  const bin = (tree: typeof after) => usr(tree).below.find((d) => Buffer.from(d.bytes).includes('gcc'));
  assert.equal(bin(after), bin(before), 'one object for /usr/bin');
  assert.equal(over.holds('/usr/include/b.h'), true);
  assert.equal(base.holds('/usr/include/b.h'), false);
});

test('names are resolved by the links of the tree', () => {
  const root = new InputRoot();
  root.link('/lib', 'usr/lib');
  root.link('/etc/cc', '/usr/bin/cc');
  root.file('/lib/x/../ld.so', id('ld'), true);
  assert.equal(root.canonical('/lib/ld.so'), '/usr/lib/ld.so');
  assert.equal(root.canonical('/etc/cc'), '/usr/bin/cc');
  assert.equal(root.canonical('/../../etc/./cc'), '/usr/bin/cc');
  assert.ok(root.holds('/usr/lib/ld.so') && root.isFile('/lib/ld.so') && !root.isFile('/lib'));
  root.link('/a', '/b');
  root.link('/b', '/a');
  assert.throws(() => root.canonical('/a/x'), InputRootError);
});

test('what cannot be laid out is refused', () => {
  const root = new InputRoot();
  root.file('/d/f', id('1'), false);
  root.file('/d/f', id('1'), true);
  assert.throws(() => root.file('/d/f', id('2'), false), /two different files/);
  assert.throws(() => root.file('/d', id('2'), false), /a file and a directory/);
  assert.throws(() => root.file('/d/f/g', id('2'), false), /in the way/);
  assert.throws(() => root.output('/d', undefined), /is a directory/);
  assert.throws(() => root.output('/d/f', undefined), /an input and an output/);
  assert.equal(root.output('/d/f', id('1')), '/d/f');
  assert.equal(root.output('/new/place/o', undefined), '/new/place/o');
  assert.ok(root.holds('/new/place'));
});
