// What workers are offered of a captured toolchain: the part a call needs, in zstd frames, or the whole as it is.
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { nameValue, type ObjectName, sizeOf } from '../ir/name.ts';
import type { Captured } from './capture.ts';
import { encodeManifest, type ToolchainManifest } from './manifest.ts';
import { manifestOf, type Part } from './parts.ts';

export interface Offer {
  readonly manifest: ObjectName;
  /** The manifest first, then every blob a worker fetches; without a path: kept by `keep`. */
  readonly blobs: readonly { readonly name: ObjectName; readonly absPath: string }[];
}

/** Smaller ones are not worth a frame. */
const FRAMED_BYTES_MIN = 64 * 1024;
/** Of cc1's 33 MB 35 % are left for 0.4 s of CPU; level 3 leaves 37 %, level 12 34 % for 1.5 s. */
const LEVEL = 6;

const compress = zlib.zstdCompress && promisify(zlib.zstdCompress);

export class Offers {
  readonly #keep: (bytes: Buffer) => ObjectName;
  readonly #offers = new Map<string, Promise<Offer>>();
  readonly #frames = new Map<ObjectName, Promise<ObjectName | undefined>>();

  /** @param keep stores bytes of ours where uploads find them */
  constructor(keep: (bytes: Buffer) => ObjectName) {
    this.#keep = keep;
  }

  /** @param part undefined: the whole, without frames */
  of(captured: Captured, part: Part | undefined): Promise<Offer> {
    const key = `${captured.name} ${part ?? ''}`;
    let offer = this.#offers.get(key);
    if (!offer) {
      offer = part === undefined ? Promise.resolve(this.#whole(captured)) : this.#part(captured, part);
      this.#offers.set(key, offer);
      offer.catch(() => this.#offers.delete(key));
    }
    return offer;
  }

  #whole(captured: Captured): Offer {
    return this.#offer(captured, captured.manifest);
  }

  async #part(captured: Captured, part: Part): Promise<Offer> {
    const manifest = manifestOf(captured, part);
    const names = [...new Set(manifest.files.map(([, name]) => name))];
    const frames: [ObjectName, ObjectName][] = [];
    await Promise.all(
      names.map(async (name) => {
        const frame = await this.#frame(name, captured.pathByName.get(name)!);
        if (frame !== undefined) frames.push([name, frame]);
      }),
    );
    frames.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    return this.#offer(captured, { ...manifest, frames });
  }

  #offer(captured: Captured, manifest: ToolchainManifest): Offer {
    const name = this.#keep(encodeManifest(manifest));
    const frames = new Map(manifest.frames);
    const names = new Set(manifest.files.map(([, blob]) => blob));
    const blobs = [...names].map((blob) => {
      const frame = frames.get(blob);
      return frame === undefined
        ? { name: blob, absPath: captured.pathByName.get(blob)! }
        : { name: frame, absPath: '' };
    });
    return { manifest: name, blobs: [{ name, absPath: '' }, ...blobs] };
  }

  /** undefined: it travels as it is. */
  #frame(name: ObjectName, absPath: string): Promise<ObjectName | undefined> {
    let frame = this.#frames.get(name);
    if (!frame) {
      frame = this.#pack(name, absPath);
      this.#frames.set(name, frame);
      frame.catch(() => this.#frames.delete(name));
    }
    return frame;
  }

  async #pack(name: ObjectName, absPath: string): Promise<ObjectName | undefined> {
    if (!compress || sizeOf(name) < FRAMED_BYTES_MIN) return undefined;
    const bytes = await readFile(absPath);
    // Changed since it was captured: the upload will find out and say so.
    if (nameValue(bytes) !== name) return undefined;
    const frame = await compress(bytes, { params: { [zlib.constants.ZSTD_c_compressionLevel]: LEVEL } });
    return this.#keep(frame);
  }
}
