import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameThunk, nameValue, type ObjectName, sizeOf } from '../../../../../src/ir/name.ts';
import { PackReads } from '../../../../../src/store/remote/packs/pack-reads.ts';
import {
  fingerprint,
  isMergedName,
  isPackName,
  makePack,
  mergedNameOf,
  PACK_BLOB_BYTES_MAX,
  PACK_BLOBS_MAX,
  PACK_BYTES_MAX,
  PackBuilder,
  type PackName,
  packSize,
  readIndex,
  readMerged,
} from '../../../../../src/store/remote/packs/packs.ts';

function blob(text: string): readonly [ObjectName, Buffer] {
  return [nameValue(Buffer.from(text)), Buffer.from(text)];
}

const BLOBS = [
  blob('one'),
  blob(''),
  blob('three'),
  [nameThunk(Buffer.from('t')), Buffer.from('t')] as const,
];

test('a pack tells where its blobs are', () => {
  const pack = makePack(BLOBS);
  const object = Buffer.concat([pack.index, ...pack.body]);
  assert.ok(isPackName(pack.name));
  assert.equal(packSize(pack.name), object.length);
  const places = readIndex(pack.index, pack.name);
  assert.deepEqual(
    places?.places.map(([name, { offset }]) => [
      name,
      object.toString('latin1', offset, offset + sizeOf(name)),
    ]),
    BLOBS.map(([name, bytes]) => [name, bytes.toString()]),
  );
  assert.equal(makePack(BLOBS).name, pack.name);
  assert.notEqual(makePack(BLOBS.slice(1)).name, pack.name);
});

test('an index that is not that of the pack is not read', () => {
  const pack = makePack(BLOBS);
  for (let i = 0; i < pack.index.length; i++) {
    const bent = Buffer.from(pack.index);
    bent[i]! ^= 1;
    assert.equal(readIndex(bent, pack.name), undefined, `bit at ${i}`);
    assert.equal(readIndex(pack.index.subarray(0, i), pack.name), undefined, `cut at ${i}`);
  }
  assert.equal(readIndex(pack.index, `${pack.name}0` as PackName), undefined);
});

test('an index whose hash is right but whose contents are not is not read', () => {
  const line = `${BLOBS[0]![0]}\n`;
  const named = (text: string): [Buffer, PackName] => {
    const hash = nameValue(Buffer.from(text)).slice(1, 65);
    return [Buffer.from(text), `P${hash}-${text.length + 3}` as PackName];
  };
  assert.equal(readIndex(...named(`gg-pack 1 1 ${line.length} 3\n${line}`))?.places.length, 1);
  for (const text of [
    `gg-pack 2 1 ${line.length} 3\n${line}`,
    `gg-pack 1 2 ${line.length} 3\n${line}`,
    `gg-pack 1 1 ${line.length} 4\n${line}`,
    `gg-pack 1 1 ${line.length} 3\n${line.trim()}`,
    `gg-pack 1 1 3 3\n../\n`,
    '',
    '\n',
  ])
    assert.equal(readIndex(...named(text)), undefined, text);
});

test('indexes one after the other are a merged index', () => {
  const packs = [makePack(BLOBS), makePack(BLOBS.slice(1)), makePack(BLOBS.slice(0, 2))];
  const bytes = Buffer.concat(packs.map((p) => p.index));
  const name = mergedNameOf(bytes);
  assert.ok(isMergedName(name) && !isPackName(name));
  assert.deepEqual(
    readMerged(bytes, name).map((index) => [index.pack, index.places]),
    packs.map((p) => [p.name, readIndex(p.index, p.name)?.places]),
  );
  assert.deepEqual(readMerged(Buffer.alloc(0), mergedNameOf(Buffer.alloc(0))), []);
  assert.deepEqual(readMerged(bytes.subarray(1), name), []);
  for (const strange of [Buffer.concat([bytes, Buffer.from('x')]), bytes.subarray(0, -1), bytes.subarray(3)])
    assert.deepEqual(readMerged(strange, mergedNameOf(strange)), []);
});

test('a builder is full before its bounds are passed', () => {
  const large = Buffer.alloc(PACK_BLOB_BYTES_MAX);
  const builder = new PackBuilder();
  let count = 1;
  while (!builder.add(nameValue(large), large)) count++;
  assert.ok(count * PACK_BLOB_BYTES_MAX <= PACK_BYTES_MAX);
  assert.equal(builder.take().length, count);
  assert.ok(builder.isEmpty);
  count = 1;
  while (!builder.add(...BLOBS[0]!)) count++;
  assert.equal(count, PACK_BLOBS_MAX);
});

test('fingerprints are exact integers', () => {
  const name = `V${'f'.repeat(64)}-1`;
  assert.equal(fingerprint(name), 2 ** 52 - 1);
  assert.equal(fingerprint(`T${'0'.repeat(12)}1${'f'.repeat(51)}-1`), 1);
});

const PACK = `P${'0'.repeat(64)}-4000000` as PackName;

for (const [what, wants, reads] of [
  [
    'neighbours are read at once',
    [
      [0, 10],
      [10, 20],
      [100, 5],
    ],
    [[0, 105]],
  ],
  [
    'in whatever order they are asked for',
    [
      [100, 5],
      [10, 20],
      [0, 10],
    ],
    [[0, 105]],
  ],
  [
    'overlapping ones too',
    [
      [0, 100],
      [50, 10],
    ],
    [[0, 100]],
  ],
  [
    'far ones apart',
    [
      [0, 10],
      [1_000_000, 10],
    ],
    [
      [0, 10],
      [1_000_000, 1_000_010],
    ],
  ],
  [
    'a small gap is read along',
    [
      [0, 10],
      [65_546, 10],
    ],
    [[0, 65_556]],
  ],
  [
    'a larger one is not',
    [
      [0, 10],
      [65_547, 10],
    ],
    [
      [0, 10],
      [65_547, 65_557],
    ],
  ],
  [
    'many pieces are read as one',
    [
      [0, 1],
      [200_000, 1],
      [400_000, 1],
      [600_000, 1],
      [800_000, 1],
    ],
    [[0, 800_001]],
  ],
  ['nothing needs no read', [[77, 0]], []],
] as const)
  test(`reads from packs: ${what}`, async () => {
    const done: (readonly [number, number])[] = [];
    const packReads = new PackReads(async (pack, start, end) => {
      assert.equal(pack, PACK);
      done.push([start, end]);
      return Buffer.from(Array.from({ length: end - start }, (_, i) => (start + i) % 251));
    });
    const got = await Promise.all(wants.map(([offset, size]) => packReads.get({ pack: PACK, offset }, size)));
    assert.deepEqual(done, reads);
    for (const [i, [offset, size]] of wants.entries()) {
      assert.equal(got[i]!.length, size);
      assert.ok(got[i]!.every((byte, k) => byte === (offset + k) % 251));
    }
  });

test('reads from packs: a failed read fails those who wanted it, and nobody later', async () => {
  let calls = 0;
  const packReads = new PackReads(async (_, start, end) => {
    if (calls++ === 0) throw new Error('gone');
    return Buffer.alloc(end - start);
  });
  const first = [packReads.get({ pack: PACK, offset: 0 }, 1), packReads.get({ pack: PACK, offset: 1 }, 1)];
  assert.deepEqual(
    (await Promise.allSettled(first)).map((r) => r.status),
    ['rejected', 'rejected'],
  );
  assert.equal((await packReads.get({ pack: PACK, offset: 0 }, 1)).length, 1);
  await assert.rejects(packReads.get({ pack: PACK, offset: 3_999_999 }, 2), RangeError);
});
