// Compares what a deployment should be with what is there, and says what to do, step by step. Nothing is done here but
// looking; running the steps is the caller's, after somebody has read them.
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { CloudAdmin, FunctionConfig } from './cloud-admin.ts';
import {
  type Deployment,
  EPHEMERAL_MB,
  EXPIRE_DAYS,
  functionsOf,
  HANDLER,
  POLICY_NAME,
  RUNTIME,
  roleName,
  TIMEOUT_S,
  TRUST,
  workerPolicy,
} from './desired.ts';

export interface Step {
  readonly action: 'create' | 'update' | 'delete';
  readonly what: string;
  readonly detail: string;
  readonly run: () => Promise<void>;
}

export async function planDeployment(d: Deployment, zip: Buffer, admin: CloudAdmin): Promise<Step[]> {
  const steps: Step[] = [];
  const add = (action: Step['action'], what: string, detail: string, run: () => Promise<void>): void =>
    void steps.push({ action, what, detail, run });

  const bucket = await admin.bucket(d.bucket, d.keyPrefix);
  if (!bucket) {
    add('create', `bucket ${d.bucket}`, `in ${d.region}`, () => admin.createBucket(d.bucket, d.region));
  }
  if (!bucket?.blocksPublicAccess || !bucket.encrypted || bucket.expireDays !== EXPIRE_DAYS) {
    add(
      'update',
      `bucket ${d.bucket}`,
      `no public access, encrypted, ${d.keyPrefix}/ expires after ${EXPIRE_DAYS} days`,
      () => admin.configureBucket(d.bucket, d.keyPrefix, EXPIRE_DAYS),
    );
  }

  const role = await admin.role(roleName(d));
  let arn = role?.arn;
  if (!role) {
    add('create', `role ${roleName(d)}`, 'for Lambda functions only', async () => {
      arn = await admin.createRole(roleName(d), TRUST);
    });
  }
  if (role && !isDeepStrictEqual(role.trust, TRUST)) {
    add('update', `role ${roleName(d)}`, 'for Lambda functions only', () =>
      admin.setTrust(roleName(d), TRUST),
    );
  }
  if (!isDeepStrictEqual(role?.policy, workerPolicy(d))) {
    add(
      'update',
      `role ${roleName(d)}`,
      `may read ${d.keyPrefix}/, add to ${d.keyPrefix}/cas/, write its log`,
      () => admin.putRolePolicy(roleName(d), POLICY_NAME, workerPolicy(d)),
    );
  }

  const sha256 = createHash('sha256').update(zip).digest('base64');
  for (const { name, memoryMb, purpose } of functionsOf(d)) {
    const config = (): FunctionConfig => ({
      memoryMb,
      timeoutS: TIMEOUT_S,
      ephemeralMb: EPHEMERAL_MB,
      runtime: RUNTIME,
      handler: HANDLER,
      role: arn!,
      architecture: d.architecture,
    });
    const found = await admin.lambda(name);
    if (found && found.architecture !== d.architecture) {
      add('delete', `function ${name}`, `is for ${found.architecture}`, () => admin.deleteLambda(name));
    }
    if (!found || found.architecture !== d.architecture) {
      add('create', `function ${name}`, `${memoryMb} MB, ${d.architecture}: ${purpose}`, () =>
        admin.createLambda(name, config(), zip),
      );
      continue;
    }
    if (found.codeSha256 !== sha256) {
      add('update', `function ${name}`, `code, ${Math.round(zip.length / 1024)} KB`, () =>
        admin.updateLambdaCode(name, zip),
      );
    }
    const { codeSha256: _, ...before } = found;
    if (!isDeepStrictEqual(before, config())) {
      add('update', `function ${name}`, `${memoryMb} MB, ${TIMEOUT_S} s, ${RUNTIME}`, () =>
        admin.updateLambdaConfig(name, config()),
      );
    }
  }
  return steps;
}

export async function planRemoval(d: Deployment, admin: CloudAdmin): Promise<Step[]> {
  const steps: Step[] = [];
  for (const { name } of functionsOf(d)) {
    if (!(await admin.lambda(name))) continue;
    steps.push({
      action: 'delete',
      what: `function ${name}`,
      detail: '',
      run: () => admin.deleteLambda(name),
    });
  }
  if (await admin.role(roleName(d))) {
    steps.push({
      action: 'delete',
      what: `role ${roleName(d)}`,
      detail: '',
      run: () => admin.deleteRole(roleName(d), POLICY_NAME),
    });
  }
  if (await admin.bucket(d.bucket, d.keyPrefix)) {
    steps.push({
      action: 'delete',
      what: `bucket ${d.bucket}`,
      detail: `everything below ${d.keyPrefix}/; the bucket itself if nothing else is in it`,
      run: () => admin.emptyBucket(d.bucket, d.keyPrefix),
    });
  }
  return steps;
}
