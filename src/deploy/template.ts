// The deployment as a CloudFormation template (JSON), for people who may not, or would not, run it by hand.
import {
  type ArnOf,
  bucketPolicy,
  type Deployment,
  EPHEMERAL_MB,
  EXPIRE_DAYS,
  functionsOf,
  HANDLER,
  LOG_DAYS,
  POLICY_NAME,
  RUNTIME,
  readerPolicy,
  roleName,
  TIMEOUT_S,
  TRUST,
  userPolicy,
  workerPolicy,
} from './desired.ts';

/** Resource names: letters and digits only. */
const logical = (name: string): string =>
  name.replace(/(?:^|[^A-Za-z0-9]+)([A-Za-z0-9])/g, (_, c) => c.toUpperCase());

export function template(d: Deployment): object {
  const functions = functionsOf(d).map(({ name, memoryMb, purpose }) => [
    logical(name),
    {
      Type: 'AWS::Lambda::Function',
      Properties: {
        FunctionName: name,
        Description: purpose,
        Runtime: RUNTIME,
        Handler: HANDLER,
        Architectures: [d.architecture],
        MemorySize: memoryMb,
        Timeout: TIMEOUT_S,
        EphemeralStorage: { Size: EPHEMERAL_MB },
        Role: { 'Fn::GetAtt': ['WorkerRole', 'Arn'] },
        Code: { S3Bucket: { Ref: 'CodeBucket' }, S3Key: { Ref: 'CodeKey' } },
        ReservedConcurrentExecutions: {
          'Fn::If': ['ReservesConcurrency', { Ref: 'ReservedConcurrency' }, { Ref: 'AWS::NoValue' }],
        },
      },
    },
  ]);
  const logs = functionsOf(d).map(({ name }) => [
    `${logical(name)}Log`,
    {
      Type: 'AWS::Logs::LogGroup',
      Properties: { LogGroupName: `/aws/lambda/${name}`, RetentionInDays: LOG_DAYS },
    },
  ]);
  const arn: ArnOf = (rest) => ({ 'Fn::Sub': `arn:\${AWS::Partition}:${rest}` });
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: 'gg: workers on Lambda, a bucket of blobs between them and the builds',
    Parameters: {
      CodeBucket: {
        Type: 'String',
        Description: 'Bucket with the worker’s zip (gg deploy lambda --zip FILE writes it)',
      },
      CodeKey: { Type: 'String', Default: 'gg-worker.zip' },
      ReservedConcurrency: {
        Type: 'Number',
        Default: 0,
        Description: 'Instances of each function at most, taken from the account’s; 0: no bound of their own',
      },
    },
    Conditions: {
      ReservesConcurrency: { 'Fn::Not': [{ 'Fn::Equals': [{ Ref: 'ReservedConcurrency' }, 0] }] },
    },
    Resources: {
      Blobs: {
        Type: 'AWS::S3::Bucket',
        DeletionPolicy: 'Retain',
        Properties: {
          BucketName: d.bucket,
          PublicAccessBlockConfiguration: {
            BlockPublicAcls: true,
            BlockPublicPolicy: true,
            IgnorePublicAcls: true,
            RestrictPublicBuckets: true,
          },
          BucketEncryption: {
            ServerSideEncryptionConfiguration: [
              { ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } },
            ],
          },
          LifecycleConfiguration: {
            Rules: [
              {
                Id: 'gg',
                Status: 'Enabled',
                Prefix: `${d.keyPrefix}/`,
                ExpirationInDays: EXPIRE_DAYS,
                AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
              },
            ],
          },
        },
      },
      BlobsPolicy: {
        Type: 'AWS::S3::BucketPolicy',
        Properties: { Bucket: { Ref: 'Blobs' }, PolicyDocument: bucketPolicy(d, arn) },
      },
      WorkerRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName: roleName(d),
          AssumeRolePolicyDocument: TRUST,
          Policies: [{ PolicyName: POLICY_NAME, PolicyDocument: workerPolicy(d, arn) }],
        },
      },
      Users: {
        Type: 'AWS::IAM::ManagedPolicy',
        Properties: {
          Description: 'Attach it to people, and to jobs of trusted branches',
          PolicyDocument: userPolicy(d, arn),
        },
      },
      Readers: {
        Type: 'AWS::IAM::ManagedPolicy',
        Properties: {
          Description: 'Attach it to jobs of pull requests; they build with --remote-use=read',
          PolicyDocument: readerPolicy(d, arn),
        },
      },
      ...Object.fromEntries([...logs, ...functions]),
    },
    Outputs: {
      Remote: { Description: 'GG_REMOTE', Value: d.remote },
      UserPolicy: { Value: { Ref: 'Users' } },
      ReaderPolicy: { Value: { Ref: 'Readers' } },
    },
  };
}
