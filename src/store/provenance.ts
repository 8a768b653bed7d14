// Where a result comes from, and whether a build may count on it.
import { hostname, userInfo } from 'node:os';

/** A store shared with others by which a result came, and whose signature it bore there. */
export interface Via {
  /** As `storeLabel` names it. */
  readonly store: string;
  /** Id of a key that was trusted when the result was taken; absent: no such signature. */
  readonly signer?: string;
}

export interface Origin {
  /** USER@HOST whose build ran it, as that build says. */
  readonly maker: string;
  /** The engine it ran on: local, lambda, ... */
  readonly engine: string;
  /** Of the result and of all that it was made of; empty: all of it ran for builds of this state directory. */
  readonly via: readonly Via[];
}

/** Ed25519, of a record in a shared store (signature.ts). */
export interface Signature {
  /** `keyId` of the signer's public key. */
  readonly key: string;
  readonly value: Buffer;
}

export const NO_VIA: readonly Via[] = [];
/** Of a record that does not say: it may have come from anywhere. */
const UNKNOWN_VIA: readonly Via[] = [{ store: 'unknown' }];
/** Stores of one result; more come only from a writer that means harm. */
const VIA_MAX = 16;
const WORD_LENGTH_MAX = 400;

export function viaOf(record: { readonly origin?: Origin | undefined }): readonly Via[] {
  return record.origin?.via ?? UNKNOWN_VIA;
}

/** Both, each once. */
export function joinVia(a: readonly Via[], b: readonly Via[]): readonly Via[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  const key = ({ store, signer }: Via): string => `${store}\0${signer ?? ''}`;
  return [...new Map([...a, ...b].map((via) => [key(via), via])).values()];
}

/** What a build takes from others. */
export interface Trust {
  /** The one store whose results count; undefined: nobody's. */
  readonly store: string | undefined;
  /** Ids of keys one of which must have signed; undefined: no signature is demanded. */
  readonly signers: ReadonlySet<string> | undefined;
}

export const TRUST_NOBODY: Trust = { store: undefined, signers: undefined };

export function believes({ store, signers }: Trust, via: readonly Via[]): boolean {
  return via.every(
    (one) =>
      one.store === store && (signers === undefined || (one.signer !== undefined && signers.has(one.signer))),
  );
}

/** Equal for builds that take the same from others. */
export function trustKey({ store, signers }: Trust): string {
  return store === undefined ? '' : `${store}\0${signers === undefined ? '' : [...signers].sort().join(' ')}`;
}

let maker: string | undefined;
export function thisMaker(): string {
  if (maker === undefined) {
    let user = String(process.getuid?.() ?? '');
    try {
      user = userInfo().username;
    } catch {
      // a user without an entry
    }
    maker = `${user}@${hostname()}`;
  }
  return maker;
}

const isWord = (word: unknown): word is string =>
  typeof word === 'string' && word.length <= WORD_LENGTH_MAX && !/[\0-\x1f\x7f]/.test(word);

/** @returns undefined for what is no origin. */
export function readOrigin(raw: unknown): Origin | undefined {
  const { maker, engine, via } = (raw ?? {}) as Readonly<Record<string, unknown>>;
  if (!isWord(maker) || !isWord(engine) || !Array.isArray(via) || via.length > VIA_MAX) return undefined;
  const read: Via[] = [];
  for (const one of via as readonly unknown[]) {
    if (!Array.isArray(one) || !isWord(one[0]) || !(one[1] === null || isWord(one[1]))) return undefined;
    read.push({ store: one[0], ...(one[1] === null ? {} : { signer: one[1] }) });
  }
  return { maker, engine, via: read };
}

export function writeOrigin({ maker, engine, via }: Origin): unknown {
  return { maker, engine, via: via.map(({ store, signer }) => [store, signer ?? null]) };
}
