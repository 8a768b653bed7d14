// What a deployment consists of: names, permissions, sizes. Plan and template both start here.
import { functionSizes } from './function-sizes.ts';

export interface Deployment {
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

export const roleName = (d: Deployment): string => `${d.prefix}-role`;
export const functionsOf = (d: Deployment) => functionSizes(d.prefix);

export const TRUST = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};

/** What a worker may do: read blobs, add blobs, write its log. It can neither delete nor list beyond our keys. */
export function workerPolicy(d: Deployment): {
  readonly Version: string;
  readonly Statement: readonly object[];
} {
  const bucket = `arn:aws:s3:::${d.bucket}`;
  return {
    Version: '2012-10-17',
    Statement: [
      { Sid: 'Read', Effect: 'Allow', Action: ['s3:GetObject'], Resource: [`${bucket}/${d.keyPrefix}/*`] },
      {
        Sid: 'AddBlobs',
        Effect: 'Allow',
        Action: ['s3:PutObject', 's3:AbortMultipartUpload'],
        Resource: [`${bucket}/${d.keyPrefix}/cas/*`],
      },
      {
        // Without it a missing object is told as "denied".
        Sid: 'TellMissing',
        Effect: 'Allow',
        Action: ['s3:ListBucket'],
        Resource: [bucket],
        Condition: { StringLike: { 's3:prefix': [`${d.keyPrefix}/*`] } },
      },
      {
        Sid: 'Log',
        Effect: 'Allow',
        Action: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
        Resource: [`arn:aws:logs:*:*:log-group:/aws/lambda/${d.prefix}-*`],
      },
    ],
  };
}

/** What people who build need. */
export function userPolicy(d: Deployment): object {
  const bucket = `arn:aws:s3:::${d.bucket}`;
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['lambda:InvokeFunction'],
        Resource: functionsOf(d).map((f) => `arn:aws:lambda:${d.region}:*:function:${f.name}`),
      },
      {
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
        Resource: [`${bucket}/${d.keyPrefix}/*`],
      },
      { Effect: 'Allow', Action: ['s3:ListBucket'], Resource: [bucket] },
    ],
  };
}
