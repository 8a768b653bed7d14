// One large blob as a multipart upload: pieces read one after the other, parts sent side by side.
import { type ObjectName, sizeOf } from '../../../ir/name.ts';
import { inOrder, mismatch, readPieces } from '../blob-files.ts';
import type { BlobSource } from '../remote.ts';
import type { PutOptions, S3Wire } from './s3-wire.ts';

/** S3 wants at least 5 MB a part and allows 10,000. */
export const PART_BYTES = 8 * 1024 * 1024;
export const PARTS_AHEAD_MAX = 4;

/** Leaves no unfinished upload behind. @throws RemoteError, `digest-mismatch` when the source is not the blob. */
export async function putParts(
  wire: S3Wire,
  key: string,
  name: ObjectName,
  source: BlobSource,
  options: Pick<PutOptions, 'ifAbsent' | 'signal'>,
): Promise<void> {
  const uploadId = await wire.createUpload(key, options.signal);
  let done = false;
  try {
    const pieces = readPieces(name, source, PART_BYTES);
    // Whoever asks first, the pieces come one after the other.
    let reading: Promise<unknown> = Promise.resolve();
    const etags: string[] = [];
    const parts = inOrder(Math.ceil(sizeOf(name) / PART_BYTES), PARTS_AHEAD_MAX, async (i) => {
      const piece = reading.then(() => pieces.next());
      reading = piece.catch(() => {});
      const { value } = await piece;
      if (!value) throw mismatch(name, 'the source');
      return wire.putPart(key, uploadId, i + 1, value, options.signal);
    });
    for await (const etag of parts) etags.push(etag);
    // The end of the pieces is where their hash is compared.
    await pieces.next();
    done = await wire.completeUpload(key, uploadId, etags, options);
  } finally {
    if (!done) await wire.abortUpload(key, uploadId);
  }
}
