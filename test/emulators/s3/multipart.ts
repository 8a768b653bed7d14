// Multipart uploads: create, upload part, complete, abort, list of the unfinished.
import { createHash, randomBytes } from 'node:crypto';
import type { Upload } from './buckets.ts';
import { type Answer, bucketOf, type Call, document, elements, header, XMLNS, xml } from './context.ts';
import { escapeXml, S3Error } from './error.ts';
import { checkCondition, checkKey } from './objects.ts';

const PART_BYTES_MIN = 5 * 1024 * 1024;
const PART_NUMBER_MAX = 10_000;

function uploadOf(call: Call): Upload {
  const upload = bucketOf(call).uploads.get(call.query.get('uploadId') ?? '');
  if (upload?.key !== call.key)
    throw new S3Error(
      'NoSuchUpload',
      'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    );
  return upload!;
}

export function createUpload(call: Call): Answer {
  checkKey(call.key);
  const bucket = bucketOf(call);
  const id = randomBytes(16).toString('hex');
  const contentType = header(call, 'content-type') ?? 'binary/octet-stream';
  bucket.uploads.set(id, { id, key: call.key, contentType, parts: new Map() });
  return xml(
    `<InitiateMultipartUploadResult ${XMLNS}><Bucket>${bucket.name}</Bucket><Key>${escapeXml(call.key)}</Key>` +
      `<UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
  );
}

export function uploadPart(call: Call): Answer {
  const upload = uploadOf(call);
  const number = Number(call.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > PART_NUMBER_MAX)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
  const etag = `"${createHash('md5').update(call.body.bytes).digest('hex')}"`;
  upload.parts.set(number, { bytes: call.body.bytes, etag });
  return { status: 200, headers: { etag, ...Object.fromEntries(call.body.checksums) } };
}

export function completeUpload(call: Call): Answer {
  const upload = uploadOf(call);
  const text = document(call, 'CompleteMultipartUpload');
  const asked = elements(text, 'Part').map((part) => ({
    number: Number(elements(part, 'PartNumber')[0]),
    etag: elements(part, 'ETag')[0]?.replaceAll('"', ''),
  }));
  if (asked.length === 0) throw new S3Error('MalformedXML', 'You must specify at least one part');
  if (asked.some(({ number }, i) => i > 0 && number <= asked[i - 1]!.number))
    throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.');
  const bodies: Buffer[] = [];
  const md5 = createHash('md5');
  for (const [i, { number, etag }] of asked.entries()) {
    const part = upload.parts.get(number);
    if (part?.etag.replaceAll('"', '') !== etag)
      throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.', {
        PartNumber: String(number),
      });
    if (i < asked.length - 1 && part!.bytes.length < PART_BYTES_MIN)
      throw new S3Error(
        'EntityTooSmall',
        'Your proposed upload is smaller than the minimum allowed object size.',
        {
          PartNumber: String(number),
          ProposedSize: String(part!.bytes.length),
          MinSizeAllowed: String(PART_BYTES_MIN),
        },
      );
    bodies.push(part!.bytes);
    md5.update(Buffer.from(etag!, 'hex'));
  }
  checkCondition(call);
  const bucket = bucketOf(call);
  const etag = `"${md5.digest('hex')}-${asked.length}"`;
  call.buckets.store(bucket, call.key, Buffer.concat(bodies), {
    contentType: upload.contentType,
    checksums: new Map(),
    fate: call.faults.drawFate(),
    etag,
  });
  bucket.uploads.delete(upload.id);
  return xml(
    `<CompleteMultipartUploadResult ${XMLNS}><Bucket>${bucket.name}</Bucket><Key>${escapeXml(call.key)}</Key>` +
      `<ETag>${escapeXml(etag)}</ETag></CompleteMultipartUploadResult>`,
  );
}

export function abortUpload(call: Call): Answer {
  bucketOf(call).uploads.delete(uploadOf(call).id);
  return { status: 204 };
}

export function listUploads(call: Call): Answer {
  const bucket = bucketOf(call);
  const uploads = [...bucket.uploads.values()]
    .filter((u) => u.key.startsWith(call.query.get('prefix') ?? ''))
    .map((u) => `<Upload><Key>${escapeXml(u.key)}</Key><UploadId>${u.id}</UploadId></Upload>`);
  return xml(
    `<ListMultipartUploadsResult ${XMLNS}><Bucket>${bucket.name}</Bucket><IsTruncated>false</IsTruncated>` +
      `${uploads.join('')}</ListMultipartUploadsResult>`,
  );
}
