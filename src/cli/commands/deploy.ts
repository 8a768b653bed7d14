// `gg deploy lambda`: shows what it would do, then does it; --destroy takes it back; --template prints it instead.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Deployment } from '../../deploy/desired.ts';
import { planDeployment, planRemoval, type Step } from '../../deploy/plan.ts';
import { template } from '../../deploy/template.ts';
import { makeZip } from '../../deploy/zip.ts';
import { parseRemoteUrl, withoutSecrets } from '../../store/remote/remote-url.ts';
import { CliError, EXIT } from '../../settings/exit.ts';
import { packageRoot } from '../../client/native.ts';
import type { Settings } from '../../settings/table.ts';

export interface DeployOptions {
  readonly settings: Settings;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly destroy: boolean;
  readonly template: boolean;
  /** Write the worker's zip there and do nothing else. */
  readonly zip: string | undefined;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** @throws CliError when no bucket is named. */
export function deploymentOf(settings: Settings, env: NodeJS.ProcessEnv): Deployment {
  const remote = settings.remote === '' ? undefined : parseRemoteUrl(settings.remote, env);
  if (!remote || 'problem' in remote || remote.address.kind !== 's3')
    throw new CliError(
      EXIT.config,
      remote && 'problem' in remote ? `remote: ${withoutSecrets(settings.remote)}` : 'no bucket is named',
      remote && 'problem' in remote
        ? remote.problem
        : 'gg deploy lambda --remote=s3://BUCKET; names of buckets are unique in the world',
    );
  return {
    remote: settings.remote,
    prefix: settings.lambdaFunction,
    bucket: remote.address.bucket,
    keyPrefix: remote.address.prefix,
    region: remote.address.region,
    architecture: process.arch === 'arm64' ? 'arm64' : 'x86_64',
  };
}

export function workerZip(): Buffer {
  const path = join(packageRoot(), 'dist', 'worker.cjs');
  try {
    return makeZip([['index.js', readFileSync(path)]]);
  } catch {
    throw new CliError(EXIT.config, `${path} is missing`, "run 'npm run build'");
  }
}

async function agreed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new CliError(EXIT.usage, 'nobody to ask', 'add --yes to go on, or --dry-run to look only');
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await reader.question(question);
  reader.close();
  return /^y(?:es)?$/i.test(answer.trim());
}

async function perform(steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    try {
      await step.run();
    } catch (error) {
      throw new CliError(
        EXIT.failed,
        `${step.action} ${step.what}: ${(error as Error).name}: ${(error as Error).message}`,
        'what was done before stays; run it again when this is mended',
      );
    }
    print(`done: ${step.action} ${step.what}`);
  }
}

export async function deployLambda(options: DeployOptions): Promise<number> {
  const deployment = deploymentOf(options.settings, process.env);
  if (options.template) {
    print(JSON.stringify(template(deployment), undefined, 2));
    return EXIT.ok;
  }
  if (options.zip !== undefined) {
    writeFileSync(options.zip, workerZip());
    print(options.zip);
    return EXIT.ok;
  }
  const { awsAdmin } = await import('../../deploy/aws-admin.ts');
  let steps: readonly Step[];
  try {
    const admin = await awsAdmin(deployment.region);
    steps = options.destroy
      ? await planRemoval(deployment, admin)
      : await planDeployment(deployment, workerZip(), admin);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const e = error as Error;
    throw new CliError(
      EXIT.config,
      `cannot look at what is there: ${e.name}: ${e.message}`,
      'credentials come from AWS_PROFILE, the environment or a role; they need s3, iam and lambda read rights',
    );
  }
  if (steps.length === 0) {
    print(options.destroy ? 'nothing is there' : 'everything is as it should be; nothing to do');
  }
  for (const step of steps)
    print(`${step.action.padEnd(6)} ${step.what}${step.detail ? `: ${step.detail}` : ''}`);
  if (options.dryRun) return EXIT.ok;
  if (steps.length > 0) {
    if (!options.yes && !(await agreed('gg: go on? [y/N] '))) return EXIT.failed;
    await perform(steps);
  }
  if (!options.destroy) print(`GG_REMOTE=${deployment.remote} GG_ENGINE=lambda gg make`);
  return EXIT.ok;
}
