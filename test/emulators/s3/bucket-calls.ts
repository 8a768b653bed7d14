// CreateBucket, HeadBucket, DeleteBucket, ListBuckets and the settings a deployment makes.
import {
  type Answer,
  bucketOf,
  type Call,
  document,
  elements,
  header,
  needProtection,
  XMLNS,
  xml,
} from './context.ts';
import { S3Error, type S3ErrorCode } from './error.ts';

export interface Setting {
  /** Action suffix: Put..., Get..., Delete... */
  readonly action: string;
  /** How permissions call it, where that is another name. */
  readonly permission?: string;
  /** Root element; undefined: the body is JSON. */
  readonly root: string | undefined;
  readonly missing: S3ErrorCode;
  readonly needsProtection: boolean;
}

export const SETTINGS: Readonly<Record<string, Setting>> = {
  encryption: {
    action: 'BucketEncryption',
    permission: 'EncryptionConfiguration',
    root: 'ServerSideEncryptionConfiguration',
    missing: 'ServerSideEncryptionConfigurationNotFoundError',
    needsProtection: true,
  },
  lifecycle: {
    action: 'BucketLifecycleConfiguration',
    permission: 'LifecycleConfiguration',
    root: 'LifecycleConfiguration',
    missing: 'NoSuchLifecycleConfiguration',
    needsProtection: true,
  },
  ownershipControls: {
    action: 'BucketOwnershipControls',
    root: 'OwnershipControls',
    missing: 'OwnershipControlsNotFoundError',
    needsProtection: false,
  },
  policy: { action: 'BucketPolicy', root: undefined, missing: 'NoSuchBucketPolicy', needsProtection: false },
  publicAccessBlock: {
    action: 'PublicAccessBlock',
    permission: 'BucketPublicAccessBlock',
    root: 'PublicAccessBlockConfiguration',
    missing: 'NoSuchPublicAccessBlockConfiguration',
    needsProtection: false,
  },
  tagging: { action: 'BucketTagging', root: 'Tagging', missing: 'NoSuchTagSet', needsProtection: true },
};

export function putSetting(call: Call, name: string): Answer {
  const bucket = bucketOf(call);
  const { root, needsProtection } = SETTINGS[name]!;
  if (needsProtection) needProtection(call);
  if (root === undefined) {
    try {
      JSON.parse(call.body.bytes.toString('utf8'));
    } catch {
      throw new S3Error('MalformedXML', 'Policies must be valid JSON and the first byte must be "{"');
    }
    bucket.settings.set(name, call.body.bytes.toString('utf8'));
    return { status: 204 };
  }
  const text = document(call, root);
  if (name === 'lifecycle' && elements(text, 'Rule').some((rule) => elements(rule, 'Status').length !== 1))
    throw new S3Error('MalformedXML', 'Every rule needs a status');
  bucket.settings.set(name, text);
  return { status: 200 };
}

export function getSetting(call: Call, name: string): Answer {
  const text = bucketOf(call).settings.get(name);
  if (text === undefined)
    throw new S3Error(SETTINGS[name]!.missing, `The bucket has no ${name} configuration`);
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: text };
}

export function deleteSetting(call: Call, name: string): Answer {
  bucketOf(call).settings.delete(name);
  return { status: 204 };
}

export function createBucket(call: Call): Answer {
  const text = call.body.bytes.length === 0 ? '' : document(call, 'CreateBucketConfiguration');
  const location = elements(text, 'LocationConstraint')[0] ?? 'us-east-1';
  if (
    location !== call.region ||
    (text !== '' && location === 'us-east-1' && text.includes('<LocationConstraint>'))
  )
    throw new S3Error(
      'InvalidLocationConstraint',
      `The ${location} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  const bucket = call.buckets.create(call.bucketName);
  // What S3 itself sets for new buckets.
  bucket.settings.set(
    'encryption',
    `<ServerSideEncryptionConfiguration ${XMLNS}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>` +
      '</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>',
  );
  return { status: 200, headers: { location: `/${bucket.name}` } };
}

export function headBucket(call: Call): Answer {
  bucketOf(call);
  return { status: 200, headers: { 'x-amz-bucket-region': call.region } };
}

export function deleteBucket(call: Call): Answer {
  const bucket = bucketOf(call);
  if (bucket.objects.size > 0)
    throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty');
  call.buckets.byName.delete(bucket.name);
  return { status: 204 };
}

export function bucketLocation(call: Call): Answer {
  bucketOf(call);
  return xml(
    `<LocationConstraint ${XMLNS}>${call.region === 'us-east-1' ? '' : call.region}</LocationConstraint>`,
  );
}

export function listBuckets(call: Call): Answer {
  const rows = [...call.buckets.byName.values()].map(
    (b) =>
      `<Bucket><Name>${b.name}</Name><CreationDate>${new Date(b.createdMs).toISOString()}</CreationDate></Bucket>`,
  );
  return xml(`<ListAllMyBucketsResult ${XMLNS}><Buckets>${rows.join('')}</Buckets></ListAllMyBucketsResult>`);
}

/** Same account only: the header AWS clients may send to be sure. */
export const ACCOUNT_ID = '000000000000';

export function checkOwner(call: Call): void {
  const owner = header(call, 'x-amz-expected-bucket-owner');
  if (owner !== undefined && owner !== ACCOUNT_ID) throw new S3Error('AccessDenied', 'Access Denied');
}
