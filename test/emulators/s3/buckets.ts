// Buckets, objects and multipart uploads. Keys and what is known of objects live in memory; bodies there too, or as files
// below a directory. Nothing is read back at the next start.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { S3Error } from './error.ts';
import type { Fate } from './faults.ts';

export interface StoredObject {
  readonly body: Buffer | string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly contentType: string;
  readonly checksums: ReadonlyMap<string, string>;
  readonly fate: Fate;
}

export interface Upload {
  readonly id: string;
  readonly key: string;
  readonly contentType: string;
  readonly parts: Map<number, { readonly bytes: Buffer; readonly etag: string }>;
}

export class Bucket {
  readonly name: string;
  readonly createdMs = Date.now();
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  /** Sub-resource (encryption, lifecycle, ...) -> the document that was put. */
  readonly settings = new Map<string, string>();
  #sorted: string[] | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Keys in the order of their UTF-8 bytes. */
  keys(): readonly string[] {
    this.#sorted ??= [...this.objects.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return this.#sorted;
  }

  set(key: string, object: StoredObject): void {
    if (!this.objects.has(key)) this.#sorted = undefined;
    this.objects.set(key, object);
  }

  delete(key: string): void {
    if (this.objects.delete(key)) this.#sorted = undefined;
  }
}

export class Buckets {
  readonly byName = new Map<string, Bucket>();
  readonly #directory: string | undefined;
  #serial = 0;

  constructor(directory: string | undefined) {
    this.#directory = directory;
    if (directory !== undefined) mkdirSync(directory, { recursive: true });
  }

  get(name: string): Bucket {
    const bucket = this.byName.get(name);
    if (!bucket)
      throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
    return bucket;
  }

  create(name: string): Bucket {
    if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name))
      throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
    if (this.byName.has(name))
      throw new S3Error(
        'BucketAlreadyOwnedByYou',
        'Your previous request to create the named bucket succeeded and you already own it.',
        { BucketName: name },
      );
    const bucket = new Bucket(name);
    this.byName.set(name, bucket);
    return bucket;
  }

  store(
    bucket: Bucket,
    key: string,
    bytes: Buffer,
    rest: Pick<StoredObject, 'contentType' | 'checksums' | 'fate'> & { readonly etag?: string },
  ): StoredObject {
    const etag = rest.etag ?? `"${createHash('md5').update(bytes).digest('hex')}"`;
    const object = {
      ...rest,
      etag,
      body: this.#keep(bytes),
      sizeBytes: bytes.length,
      modifiedMs: Date.now(),
    };
    this.remove(bucket, key);
    if (rest.fate !== 'lost') bucket.set(key, object);
    return object;
  }

  #keep(bytes: Buffer): Buffer | string {
    if (this.#directory === undefined) return bytes;
    const path = join(this.#directory, String(this.#serial++));
    writeFileSync(path, bytes);
    return path;
  }

  remove(bucket: Bucket, key: string): void {
    const object = bucket.objects.get(key);
    if (typeof object?.body === 'string') rmSync(object.body, { force: true });
    bucket.delete(key);
  }

  /** The bytes as a reader gets them. */
  read(object: StoredObject): Buffer {
    const bytes = typeof object.body === 'string' ? readFileSync(object.body) : object.body;
    if (object.fate !== 'corrupted' || bytes.length === 0) return bytes;
    const turned = Buffer.from(bytes);
    turned[turned.length >> 1]! ^= 0x10;
    return turned;
  }
}
