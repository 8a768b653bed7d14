// AWS credentials of one build: its own AWS_* variables decide, never the server's environment, which is everybody's.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface AwsIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export type AwsProvider = () => Promise<AwsIdentity>;

/** Profiles may ask a program or a login service, but nobody's build waits longer. */
const ASK_MS_MAX = 30_000;
/** Keys, a token and a date: some kilobytes. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Temporary ones are asked for again so long before they end, as the SDK does. */
const RENEW_MS = 5 * 60_000;

const isBundled = import.meta.url.endsWith('.js');
const HELPER = fileURLToPath(
  new URL(isBundled ? './gg-credentials.js' : './credentials-main.ts', import.meta.url),
);

/**
 * A provider that knows these variables only. Keys among them are taken as they are; for everything else (profiles, SSO, roles of
 * instances and containers) a process of its own runs the SDK's chain in that environment.
 */
export function credentialsOf(env: Readonly<Record<string, string>>): AwsProvider {
  const accessKeyId = env['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
  if (accessKeyId && secretAccessKey && !env['AWS_PROFILE']) {
    const sessionToken = env['AWS_SESSION_TOKEN'];
    const identity = { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
    return async () => identity;
  }
  let current: Promise<AwsIdentity> | undefined;
  let renewMs = 0;
  return () => {
    if (!current || Date.now() >= renewMs) {
      renewMs = Number.POSITIVE_INFINITY;
      current = ask(env);
      current.then(
        ({ expiration }) => {
          if (expiration) renewMs = Math.max(Date.now() + 1000, expiration.getTime() - RENEW_MS);
        },
        () => {
          current = undefined;
        },
      );
    }
    return current;
  };
}

/** @throws Error with the name that the SDK gave it. */
function ask(env: Readonly<Record<string, string>>): Promise<AwsIdentity> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [HELPER], {
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: ASK_MS_MAX,
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (text.length < ANSWER_BYTES_MAX) text += chunk.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', () => {
      try {
        resolve(readAnswer(text));
      } catch (error) {
        reject(error);
      }
    });
  });
}

export function readAnswer(text: string): AwsIdentity {
  let answer: Readonly<Record<string, unknown>> = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // It was ended, or wrote nothing.
  }
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = answer;
  if (typeof accessKeyId === 'string' && typeof secretAccessKey === 'string')
    return {
      accessKeyId,
      secretAccessKey,
      ...(typeof sessionToken === 'string' ? { sessionToken } : {}),
      ...(typeof expiration === 'string' ? { expiration: new Date(expiration) } : {}),
    };
  const message = typeof answer['message'] === 'string' ? answer['message'] : 'no credentials found';
  const name = typeof answer['name'] === 'string' ? answer['name'] : 'CredentialsProviderError';
  throw Object.assign(new Error(message), { name });
}
