import type { IncomingHttpHeaders } from 'node:http';
import type { Body } from './body.ts';
import type { Bucket, Buckets } from './buckets.ts';
import { S3Error } from './error.ts';
import type { FaultModel } from './faults.ts';

/** A request that was authenticated and whose body was verified. */
export interface Call {
  readonly buckets: Buckets;
  readonly faults: FaultModel;
  readonly region: string;
  readonly headers: IncomingHttpHeaders;
  readonly query: ReadonlyMap<string, string>;
  readonly bucketName: string;
  readonly key: string;
  readonly body: Body;
  /** The caller has s3:ListBucket: without it S3 does not tell what is missing from what is forbidden. */
  readonly mayList: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export function bucketOf(call: Call): Bucket {
  return call.buckets.get(call.bucketName);
}

export function header(call: Call, name: string): string | undefined {
  const value = call.headers[name];
  return typeof value === 'string' ? value : undefined;
}

export function xml(body: string, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}`,
  };
}

export const XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

/** Texts of all elements of a name; enough of XML for the few documents clients send. */
export function elements(document: string, name: string): string[] {
  return [...document.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))].map((m) =>
    m[1]!
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&apos;', "'")
      .replaceAll(/&#(x?)([0-9a-fA-F]+);/g, (_, x, digits) =>
        String.fromCodePoint(Number.parseInt(digits, x ? 16 : 10)),
      )
      .replaceAll('&amp;', '&'),
  );
}

/** The document, when its root element has this name. */
export function document(call: Call, root: string): string {
  const text = call.body.bytes.toString('utf8');
  if (!new RegExp(`^\\s*(?:<\\?xml[^>]*\\?>)?\\s*<${root}[\\s>/]`).test(text))
    throw new S3Error(
      'MalformedXML',
      'The XML you provided was not well-formed or did not validate against our published schema',
    );
  return text;
}

/** S3 wants these documents protected by Content-MD5 or a checksum. */
export function needProtection(call: Call): void {
  if (!call.body.protected)
    throw new S3Error(
      'InvalidRequest',
      'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    );
}
