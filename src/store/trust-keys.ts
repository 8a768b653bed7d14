// The keys of `gg trust`, a file each.
//
//   TRUST/secret.pem    this user's own key, PKCS #8, mode 0600
//   TRUST/keys/NAME     a public key whose results are taken: one line "ed25519:BASE64"
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyId, publicText, readPublic, readSigner, type Signer } from './signature.ts';

const KEYS_MAX = 1000;

export interface TrustedKey {
  /** Undefined: the user's own. */
  readonly name: string | undefined;
  readonly id: string;
  readonly key: KeyObject;
}

export interface TrustKeys {
  readonly signer: Signer | undefined;
  /** By id; the user's own is among them. */
  readonly keys: ReadonlyMap<string, KeyObject>;
}

const secretFile = (directory: string): string => join(directory, 'secret.pem');

function tryRead(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** @throws Error when there is a file for the user's own key that holds none. */
export function loadTrust(directory: string): TrustKeys {
  const pem = directory === '' ? undefined : tryRead(secretFile(directory));
  const signer = pem === undefined ? undefined : readSigner(pem);
  const keys = new Map(listKeys(directory).map(({ id, key }) => [id, key]));
  return { signer, keys };
}

/** Files that hold no key are passed over. */
export function listKeys(directory: string): TrustedKey[] {
  const pem = tryRead(secretFile(directory));
  const own = pem === undefined ? undefined : createPublicKey(readSigner(pem).secret);
  let names: string[] = [];
  try {
    names = readdirSync(join(directory, 'keys')).sort().slice(0, KEYS_MAX);
  } catch {
    // none was added
  }
  const added = names.flatMap((name) => {
    const key = readPublic(tryRead(join(directory, 'keys', name))?.trim() ?? '');
    return key ? [{ name, id: keyId(key), key }] : [];
  });
  return [...(own ? [{ name: undefined, id: keyId(own), key: own }] : []), ...added];
}

/** Makes the user's own key. @returns its public half. @throws EEXIST when there is one. */
export function generateKey(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(secretFile(directory), pem, { mode: 0o600, flag: 'wx' });
  return publicText(publicKey);
}

/** @returns its id; undefined when the text is no public key. */
export function addKey(directory: string, name: string, text: string): string | undefined {
  const key = readPublic(text.trim());
  if (!key) return undefined;
  mkdirSync(join(directory, 'keys'), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, 'keys', name), `${publicText(key)}\n`, { mode: 0o600 });
  return keyId(key);
}

export function removeKey(directory: string, name: string): void {
  rmSync(join(directory, 'keys', name));
}
