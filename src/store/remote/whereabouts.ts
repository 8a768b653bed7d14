// What one process knows about where blobs lie in a backend: by themselves, in a pack, or nowhere any more.
import type { ObjectName } from '../../ir/name.ts';
import { fingerprint, isPackName, type PackHints, type PackPlace, packSize } from './packs/packs.ts';

export class Whereabouts {
  /** Fingerprints of blobs that are objects of their own. */
  readonly #single = new Set<number>();
  readonly #packed = new Map<number, PackPlace>();
  /** Forgotten ones: the next put overwrites. */
  readonly #forgotten = new Set<number>();

  known(name: ObjectName): boolean {
    const print = fingerprint(name);
    return this.#single.has(print) || this.#packed.has(print);
  }

  /** The place in a pack, unless the blob is also there by itself: that one may have been put because the pack was damaged. */
  placeOf(name: ObjectName): PackPlace | undefined {
    const print = fingerprint(name);
    return this.#single.has(print) ? undefined : this.#packed.get(print);
  }

  /** It is there by itself: listed or read. */
  noteSingle(name: string): void {
    this.#single.add(fingerprint(name));
  }

  /** It has been put there, by itself, and so is whole. */
  noteStored(name: ObjectName): void {
    const print = fingerprint(name);
    this.#single.add(print);
    this.#forgotten.delete(print);
  }

  notePacked(name: ObjectName, place: PackPlace): void {
    this.#packed.set(fingerprint(name), place);
  }

  /** It is not where the pack's index said. */
  notInPack(name: ObjectName): void {
    this.#packed.delete(fingerprint(name));
  }

  forget(name: ObjectName): void {
    const print = fingerprint(name);
    this.#single.delete(print);
    this.#packed.delete(print);
    this.#forgotten.add(print);
  }

  isForgotten(name: ObjectName): boolean {
    return this.#forgotten.has(fingerprint(name));
  }

  /** See RemoteStore.hints. */
  hints(names: Iterable<ObjectName>): PackHints {
    const hints: Record<string, Record<string, number>> = {};
    for (const name of names) {
      const place = this.placeOf(name);
      if (!place) continue;
      hints[place.pack] ??= {};
      hints[place.pack]![name.slice(1, 14)] = place.offset;
    }
    return hints;
  }

  /** See RemoteStore.learn. What makes no sense is passed over. */
  learn(hints: PackHints): void {
    for (const [pack, offsets] of Object.entries(hints)) {
      if (!isPackName(pack)) continue;
      for (const [digits, offset] of Object.entries(offsets)) {
        const fits = Number.isSafeInteger(offset) && offset >= 0 && offset <= packSize(pack);
        if (fits && /^[0-9a-f]{13}$/.test(digits))
          this.#packed.set(Number.parseInt(digits, 16), { pack, offset });
      }
    }
  }
}
