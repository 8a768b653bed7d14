// The cloud's administration through the AWS SDK; loaded when somebody deploys and not before.
import { setTimeout as sleep } from 'node:timers/promises';
import type { FunctionConfiguration, Runtime } from '@aws-sdk/client-lambda';
import type { BucketState, CloudAdmin, FunctionConfig, FunctionState } from './cloud-admin.ts';
import { POLICY_NAME } from './desired.ts';

const RULE_ID = 'gg';
const WAIT_MS = 500;
/** A new role takes some seconds to be known everywhere, a function as long to be ready. */
const WAITS_MAX = 120;

const nameOf = (error: unknown): string => String((error as { name?: unknown } | null)?.name ?? '');

/** undefined when the service says that there is no such thing. */
async function unlessAbsent<T>(work: Promise<T>, ...absent: readonly string[]): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (absent.includes(nameOf(error))) return undefined;
    throw error;
  }
}

/** What a call needs, where permissions call it by another name than the API. */
const PERMISSION: Readonly<Record<string, string>> = {
  HeadBucket: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  DeleteObjects: 's3:DeleteObject',
  GetPublicAccessBlock: 's3:GetBucketPublicAccessBlock',
  PutPublicAccessBlock: 's3:PutBucketPublicAccessBlock',
  GetBucketEncryption: 's3:GetEncryptionConfiguration',
  PutBucketEncryption: 's3:PutEncryptionConfiguration',
  GetBucketLifecycleConfiguration: 's3:GetLifecycleConfiguration',
  PutBucketLifecycleConfiguration: 's3:PutLifecycleConfiguration',
};

/** S3 does not say what it denied, to HEAD it says nothing at all: then it is said here. */
const namesDenied =
  <I extends object, O>(next: (args: { input: I }) => Promise<O>, context: { commandName?: string }) =>
  async (args: { input: I }): Promise<O> => {
    try {
      return await next(args);
    } catch (error) {
      const { $metadata, message } = error as { $metadata?: { httpStatusCode?: number }; message?: string };
      if ($metadata?.httpStatusCode !== 403 || message?.includes('authorized to perform')) throw error;
      if (/signature|token|credential|skewed|access key/i.test(`${nameOf(error)} ${message}`)) throw error;
      const { Bucket, RoleName, FunctionName } = args.input as Readonly<Record<string, string | undefined>>;
      const call = (context.commandName ?? '').replace(/Command$/, '');
      const service = Bucket === undefined ? (RoleName === undefined ? 'lambda' : 'iam') : 's3';
      const denied = new Error(
        `not authorized to perform: ${PERMISSION[call] ?? `${service}:${call}`} on resource: ${Bucket === undefined ? (RoleName ?? FunctionName) : `arn:aws:s3:::${Bucket}`}`,
        { cause: error },
      );
      denied.name = 'AccessDenied';
      throw denied;
    }
  };

export async function awsAdmin(region: string): Promise<CloudAdmin> {
  const [s3, iam, fn] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@aws-sdk/client-iam'),
    import('@aws-sdk/client-lambda'),
  ]);
  const buckets = new s3.S3Client({
    region,
    ...(process.env['AWS_ENDPOINT_URL_S3'] ? { forcePathStyle: true } : {}),
  });
  const roles = new iam.IAMClient({ region });
  const functions = new fn.LambdaClient({ region });
  buckets.middlewareStack.add(namesDenied, { step: 'initialize' });
  roles.middlewareStack.add(namesDenied, { step: 'initialize' });
  functions.middlewareStack.add(namesDenied, { step: 'initialize' });

  async function settled(name: string): Promise<void> {
    for (let i = 0; i < WAITS_MAX; i++) {
      const c: FunctionConfiguration = await functions.send(
        new fn.GetFunctionConfigurationCommand({ FunctionName: name }),
      );
      if (c.State === 'Active' && c.LastUpdateStatus !== 'InProgress') return;
      if (c.State === 'Failed' || c.LastUpdateStatus === 'Failed')
        throw new Error(`function ${name}: ${c.StateReason ?? c.LastUpdateStatusReason ?? 'failed'}`);
      await sleep(WAIT_MS);
    }
    throw new Error(`function ${name} did not become ready in ${(WAITS_MAX * WAIT_MS) / 1000} s`);
  }

  const input = (config: FunctionConfig) => ({
    MemorySize: config.memoryMb,
    Timeout: config.timeoutS,
    EphemeralStorage: { Size: config.ephemeralMb },
    Runtime: config.runtime as Runtime,
    Handler: config.handler,
    Role: config.role,
  });

  return {
    async bucket(name, prefix): Promise<BucketState | undefined> {
      const Bucket = name;
      const there = await unlessAbsent(
        buckets.send(new s3.HeadBucketCommand({ Bucket })).then(() => true),
        'NotFound',
        'NoSuchBucket',
      );
      if (!there) return undefined;
      const [block, encryption, lifecycle] = await Promise.all([
        unlessAbsent(
          buckets.send(new s3.GetPublicAccessBlockCommand({ Bucket })),
          'NoSuchPublicAccessBlockConfiguration',
        ),
        unlessAbsent(
          buckets.send(new s3.GetBucketEncryptionCommand({ Bucket })),
          'ServerSideEncryptionConfigurationNotFoundError',
        ),
        unlessAbsent(
          buckets.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket })),
          'NoSuchLifecycleConfiguration',
        ),
      ]);
      const b = block?.PublicAccessBlockConfiguration;
      return {
        blocksPublicAccess: Boolean(
          b?.BlockPublicAcls && b.BlockPublicPolicy && b.IgnorePublicAcls && b.RestrictPublicBuckets,
        ),
        encrypted: (encryption?.ServerSideEncryptionConfiguration?.Rules?.length ?? 0) > 0,
        expireDays: lifecycle?.Rules?.find(
          (r) => r.ID === RULE_ID && r.Status === 'Enabled' && r.Filter?.Prefix === `${prefix}/`,
        )?.Expiration?.Days,
      };
    },
    async createBucket(name, at) {
      await buckets.send(
        new s3.CreateBucketCommand({
          Bucket: name,
          // The oldest region is the one that must not be named.
          ...(at === 'us-east-1'
            ? {}
            : { CreateBucketConfiguration: { LocationConstraint: at as 'eu-central-1' } }),
        }),
      );
    },
    async configureBucket(name, prefix, expireDays) {
      const Bucket = name;
      await buckets.send(
        new s3.PutPublicAccessBlockCommand({
          Bucket,
          PublicAccessBlockConfiguration: {
            BlockPublicAcls: true,
            BlockPublicPolicy: true,
            IgnorePublicAcls: true,
            RestrictPublicBuckets: true,
          },
        }),
      );
      await buckets.send(
        new s3.PutBucketEncryptionCommand({
          Bucket,
          ServerSideEncryptionConfiguration: {
            Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
          },
        }),
      );
      const lifecycle = await unlessAbsent(
        buckets.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket })),
        'NoSuchLifecycleConfiguration',
      );
      // Rules of others stay.
      const others = (lifecycle?.Rules ?? []).filter((r) => r.ID !== RULE_ID);
      await buckets.send(
        new s3.PutBucketLifecycleConfigurationCommand({
          Bucket,
          LifecycleConfiguration: {
            Rules: [
              ...others,
              {
                ID: RULE_ID,
                Status: 'Enabled',
                Filter: { Prefix: `${prefix}/` },
                Expiration: { Days: expireDays },
                AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
              },
            ],
          },
        }),
      );
    },
    async emptyBucket(name, prefix) {
      for (;;) {
        const page = await buckets.send(new s3.ListObjectsV2Command({ Bucket: name, Prefix: `${prefix}/` }));
        const objects = (page.Contents ?? []).map((o) => ({ Key: o.Key! }));
        if (objects.length === 0) break;
        const gone = await buckets.send(
          new s3.DeleteObjectsCommand({ Bucket: name, Delete: { Objects: objects, Quiet: true } }),
        );
        const error = gone.Errors?.[0];
        if (error) throw new Error(`s3:DeleteObject ${error.Key}: ${error.Code}`);
      }
      await unlessAbsent(buckets.send(new s3.DeleteBucketCommand({ Bucket: name })), 'BucketNotEmpty');
    },
    async role(name) {
      const found = await unlessAbsent(
        roles.send(new iam.GetRoleCommand({ RoleName: name })),
        'NoSuchEntityException',
        'NoSuchEntity',
      );
      if (!found?.Role) return undefined;
      const policy = await unlessAbsent(
        roles.send(new iam.GetRolePolicyCommand({ RoleName: name, PolicyName: POLICY_NAME })),
        'NoSuchEntityException',
        'NoSuchEntity',
      );
      const document = policy?.PolicyDocument;
      return {
        arn: found.Role.Arn!,
        trust: JSON.parse(decodeURIComponent(found.Role.AssumeRolePolicyDocument ?? 'null')),
        policy: document === undefined ? undefined : JSON.parse(decodeURIComponent(document)),
      };
    },
    async createRole(name, trust) {
      const made = await roles.send(
        new iam.CreateRoleCommand({
          RoleName: name,
          AssumeRolePolicyDocument: JSON.stringify(trust),
          Description: 'Workers of gg: read and add blobs',
        }),
      );
      return made.Role!.Arn!;
    },
    async setTrust(role, trust) {
      await roles.send(
        new iam.UpdateAssumeRolePolicyCommand({ RoleName: role, PolicyDocument: JSON.stringify(trust) }),
      );
    },
    async putRolePolicy(role, policyName, policy) {
      await roles.send(
        new iam.PutRolePolicyCommand({
          RoleName: role,
          PolicyName: policyName,
          PolicyDocument: JSON.stringify(policy),
        }),
      );
    },
    async deleteRole(name, policyName) {
      await unlessAbsent(
        roles.send(new iam.DeleteRolePolicyCommand({ RoleName: name, PolicyName: policyName })),
        'NoSuchEntityException',
        'NoSuchEntity',
      );
      await roles.send(new iam.DeleteRoleCommand({ RoleName: name }));
    },
    async lambda(name): Promise<FunctionState | undefined> {
      const c = await unlessAbsent(
        functions.send(new fn.GetFunctionConfigurationCommand({ FunctionName: name })),
        'ResourceNotFoundException',
      );
      if (!c) return undefined;
      return {
        memoryMb: c.MemorySize ?? 0,
        timeoutS: c.Timeout ?? 0,
        ephemeralMb: c.EphemeralStorage?.Size ?? 512,
        runtime: c.Runtime ?? '',
        handler: c.Handler ?? '',
        role: c.Role ?? '',
        architecture: c.Architectures?.[0] ?? 'x86_64',
        codeSha256: c.CodeSha256 ?? '',
      };
    },
    async createLambda(name, config, zip) {
      for (let i = 0; ; i++) {
        try {
          await functions.send(
            new fn.CreateFunctionCommand({
              FunctionName: name,
              ...input(config),
              Architectures: [config.architecture as 'x86_64'],
              Code: { ZipFile: zip },
              Tags: { 'created-by': 'gg' },
            }),
          );
          break;
        } catch (error) {
          // The role was made a moment ago, and Lambda may not assume it yet.
          if (nameOf(error) !== 'InvalidParameterValueException' || i >= WAITS_MAX / 4) throw error;
          await sleep(WAIT_MS);
        }
      }
      await settled(name);
    },
    async updateLambdaCode(name, zip) {
      await settled(name);
      await functions.send(new fn.UpdateFunctionCodeCommand({ FunctionName: name, ZipFile: zip }));
      await settled(name);
    },
    async updateLambdaConfig(name, config) {
      await settled(name);
      await functions.send(
        new fn.UpdateFunctionConfigurationCommand({ FunctionName: name, ...input(config) }),
      );
      await settled(name);
    },
    async deleteLambda(name) {
      await functions.send(new fn.DeleteFunctionCommand({ FunctionName: name }));
    },
  };
}
