// What a deployment consists of: names, permissions, sizes. Plan and template both start here.
import { functionSizes } from './function-sizes.ts';

export interface Deployment {
  /** What GG_REMOTE is to be for those who use it. */
  readonly remote: string;
  readonly prefix: string;
  readonly bucket: string;
  /** Keys of ours begin with it; no slash at the end. */
  readonly keyPrefix: string;
  readonly region: string;
  /** As Lambda calls it: that of the compiler that is to run. */
  readonly architecture: 'x86_64' | 'arm64';
}

export const POLICY_NAME = 'gg-worker';
export const RUNTIME = 'nodejs22.x';
export const HANDLER = 'index.handler';
/** The longest Lambda allows: the worker keeps its own, shorter limits. */
export const TIMEOUT_S = 900;
/** The toolchain, a cache of inputs, and a link's outputs. */
export const EPHEMERAL_MB = 2048;
/** Blobs are put again when they are missed. */
export const EXPIRE_DAYS = 60;
/** Of what workers print: nothing of a build, but names of thunks. */
export const LOG_DAYS = 14;

export const roleName = (d: Deployment): string => `${d.prefix}-role`;
export const functionsOf = (d: Deployment) => functionSizes(d.prefix);

export const TRUST = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};

/** A resource's whole name from what follows the partition, "s3:::BUCKET"; in a template it is not known yet which partition. */
export type ArnOf = (rest: string) => unknown;

/** China and GovCloud have partitions of their own. */
export function arnIn(region: string): ArnOf {
  const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  return (rest) => `arn:${partition}:${rest}`;
}

/** What a worker may do: read blobs, add blobs, write its log. It can neither delete nor list beyond our keys. */
export function workerPolicy(
  d: Deployment,
  arn: ArnOf = arnIn(d.region),
): { readonly Version: string; readonly Statement: readonly object[] } {
  const bucket = `s3:::${d.bucket}`;
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Read',
        Effect: 'Allow',
        Action: ['s3:GetObject'],
        Resource: [arn(`${bucket}/${d.keyPrefix}/*`)],
      },
      {
        Sid: 'AddBlobs',
        Effect: 'Allow',
        Action: ['s3:PutObject', 's3:AbortMultipartUpload'],
        Resource: [arn(`${bucket}/${d.keyPrefix}/cas/*`)],
      },
      {
        // Without it a missing object is told as "denied".
        Sid: 'TellMissing',
        Effect: 'Allow',
        Action: ['s3:ListBucket'],
        Resource: [arn(bucket)],
        Condition: { StringLike: { 's3:prefix': [`${d.keyPrefix}/*`] } },
      },
      {
        Sid: 'Log',
        Effect: 'Allow',
        Action: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
        Resource: [arn(`logs:*:*:log-group:/aws/lambda/${d.prefix}-*`)],
      },
    ],
  };
}

/** Listing our keys; without it a missing object is told as "denied". */
const mayList = (d: Deployment, arn: ArnOf): object => ({
  Effect: 'Allow',
  Action: ['s3:ListBucket'],
  Resource: [arn(`s3:::${d.bucket}`)],
  Condition: { StringLike: { 's3:prefix': [`${d.keyPrefix}/*`] } },
});

/** What people who build, and jobs of trusted branches, need: whoever has it decides what others get. */
export function userPolicy(d: Deployment, arn: ArnOf = arnIn(d.region)): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['lambda:InvokeFunction'],
        Resource: functionsOf(d).map((f) => arn(`lambda:${d.region}:*:function:${f.name}`)),
      },
      {
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
        Resource: [arn(`s3:::${d.bucket}/${d.keyPrefix}/*`)],
      },
      mayList(d, arn),
    ],
  };
}

/** What jobs of pull requests may have (--remote-use=read): they take results and can leave none. */
export function readerPolicy(d: Deployment, arn: ArnOf = arnIn(d.region)): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['s3:GetObject'],
        Resource: [arn(`s3:::${d.bucket}/${d.keyPrefix}/*`)],
      },
      mayList(d, arn),
    ],
  };
}

/** No request to the bucket without TLS. */
export function bucketPolicy(d: Deployment, arn: ArnOf = arnIn(d.region)): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'TlsOnly',
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:*',
        Resource: [arn(`s3:::${d.bucket}`), arn(`s3:::${d.bucket}/*`)],
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
    ],
  };
}
