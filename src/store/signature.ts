// Ed25519 signatures under results: of the thunk's name, the outputs, what the tool printed, and who made it.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Signature } from './provenance.ts';
import type { Reduction } from './store.ts';

/** DER of an Ed25519 public key before its 32 bytes (RFC 8410). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
const KEY_BYTES = 32;
const PREFIX = 'ed25519:';

export interface Signer {
  readonly id: string;
  readonly secret: KeyObject;
}

/** `ed25519:BASE64`, as people pass it on. */
export function publicText(key: KeyObject): string {
  const der = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
  return PREFIX + der.subarray(SPKI_HEAD.length).toString('base64');
}

/** @returns undefined when the text is no public key. */
export function readPublic(text: string): KeyObject | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64');
  if (bytes.length !== KEY_BYTES) return undefined;
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, bytes]), type: 'spki', format: 'der' });
}

/** 16 hex digits that tell keys apart. */
export function keyId(key: KeyObject): string {
  return createHash('sha256').update(publicText(key)).digest('hex').slice(0, 16);
}

/** @throws Error when the text is no Ed25519 private key. */
export function readSigner(pem: string): Signer {
  const secret = createPrivateKey(pem);
  if (secret.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key');
  return { id: keyId(secret), secret };
}

function signedBytes({ thunk, outputs, stdout, stderr, origin }: Reduction): Buffer {
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  const pairs = outputs.map((o) => [o.tag, o.name]).sort();
  const said = [thunk, pairs, hash(stdout), hash(stderr), origin?.maker ?? '', origin?.engine ?? ''];
  return Buffer.from(`gg-signed-reduction 1\n${JSON.stringify(said)}`);
}

export function signReduction(reduction: Reduction, { id, secret }: Signer): Signature {
  return { key: id, value: sign(null, signedBytes(reduction), secret) };
}

/** @returns the id of the key, among those known, whose signature fits; undefined when there is none. */
export function signerOf(reduction: Reduction, keys: ReadonlyMap<string, KeyObject>): string | undefined {
  const { signature } = reduction;
  const key = signature && keys.get(signature.key);
  if (!signature || !key) return undefined;
  return verify(null, signedBytes(reduction), key, signature.value) ? signature.key : undefined;
}
