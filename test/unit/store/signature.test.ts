import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { ObjectName } from '../../../src/ir/name.ts';
import {
  believes,
  joinVia,
  NO_VIA,
  readOrigin,
  trustKey,
  writeOrigin,
} from '../../../src/store/provenance.ts';
import { decodeReduction, encodeReduction } from '../../../src/store/reductions.ts';
import { keyId, publicText, readPublic, signerOf, signReduction } from '../../../src/store/signature.ts';
import type { Reduction } from '../../../src/store/store.ts';

const name = (type: string, digit: string): ObjectName => `${type}${digit.repeat(64)}-5` as ObjectName;
const made: Reduction = {
  thunk: name('T', '1'),
  outputs: [{ tag: 'o', name: name('V', '2') }],
  exitCode: 0,
  stdout: Buffer.from('out'),
  stderr: Buffer.alloc(0),
  wallMs: 3,
  origin: { maker: 'me@here', engine: 'local', via: NO_VIA },
};
const { privateKey: secret, publicKey } = generateKeyPairSync('ed25519');
const id = keyId(secret);
const keys = new Map([[id, publicKey]]);

test('a signature comes through the record and holds for all that is signed', () => {
  const signed = { ...made, signature: signReduction(made, { id, secret }) };
  const read = decodeReduction(encodeReduction(signed), made.thunk)!;
  assert.deepEqual(read, signed);
  assert.equal(signerOf(read, keys), id);
  const altered: readonly Partial<Reduction>[] = [
    { thunk: name('T', '3') },
    { outputs: [{ tag: 'o', name: name('V', '3') }] },
    { outputs: [{ tag: 'p', name: name('V', '2') }] },
    { outputs: [] },
    { stdout: Buffer.from('other') },
    { stderr: Buffer.from('other') },
    { origin: { ...made.origin!, maker: 'you@there' } },
    { origin: undefined },
    { signature: { key: id, value: Buffer.alloc(64) } },
    { signature: { key: id, value: Buffer.alloc(3) } },
    { signature: undefined },
  ];
  for (const change of altered) assert.equal(signerOf({ ...read, ...change }, keys), undefined);
  assert.equal(signerOf(read, new Map()), undefined, 'nobody knows the key');
});

test('a public key as text', () => {
  assert.equal(keyId(readPublic(publicText(publicKey))!), id);
  for (const text of ['', 'ed25519:', 'ed25519:AAAA', 'rsa:AAAA']) assert.equal(readPublic(text), undefined);
});

test('what counts for whom', () => {
  const store = 's3://b/p';
  const any = { store, signers: undefined };
  const demanding = { store, signers: new Set(['k']) };
  const nobody = { store: undefined, signers: undefined };
  for (const trust of [any, demanding, nobody]) assert.equal(believes(trust, NO_VIA), true);
  assert.equal(believes(any, [{ store }]), true);
  assert.equal(believes(any, [{ store }, { store: 's3://other' }]), false);
  assert.equal(believes(demanding, [{ store }]), false);
  assert.equal(believes(demanding, [{ store, signer: 'k' }]), true);
  assert.equal(believes(demanding, [{ store, signer: 'other' }]), false);
  assert.equal(believes(nobody, [{ store }]), false);
  assert.equal(new Set([any, demanding, nobody].map(trustKey)).size, 3);
  assert.deepEqual(joinVia([{ store }], [{ store }, { store, signer: 'k' }]), [
    { store },
    { store, signer: 'k' },
  ]);
});

test('an origin that is none is not read', () => {
  const origin = { maker: 'm', engine: 'e', via: [{ store: 's' }, { store: 's', signer: 'k' }] };
  assert.deepEqual(readOrigin(JSON.parse(JSON.stringify(writeOrigin(origin)))), origin);
  const bad = [undefined, 1, {}, { ...origin, maker: 'a\nb' }, { ...origin, engine: 'x'.repeat(1000) }];
  for (const raw of [
    ...bad,
    { maker: 'm', engine: 'e', via: [['s']] },
    { maker: 'm', engine: 'e', via: Array(99) },
  ])
    assert.equal(readOrigin(raw), undefined);
});
