// The remote store as a setting: one URL.
//   s3://BUCKET[/PREFIX][?region=REGION&endpoint=URL]
//   redis://... or rediss://... [?prefix=PREFIX]
import type { RemoteAddress } from './remote.ts';

/** Raised when the layout below the prefix changes. */
const LAYOUT = 'v1';
const PREFIX_DEFAULT = 'gg';

/** @param env the user's, for region and endpoint. @returns undefined when the text is no such URL. */
export function parseRemoteUrl(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): RemoteAddress | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  if (url.protocol === 's3:' && url.hostname !== '') {
    const prefix = url.pathname.replace(/^\/+|\/+$/g, '') || PREFIX_DEFAULT;
    const endpoint =
      url.searchParams.get('endpoint') || env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || undefined;
    return {
      kind: 's3',
      bucket: url.hostname,
      prefix: `${prefix}/${LAYOUT}`,
      region: url.searchParams.get('region') || env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || 'us-east-1',
      ...(endpoint === undefined ? {} : { endpoint }),
    };
  }
  if (url.protocol === 'redis:' || url.protocol === 'rediss:') {
    const prefix = url.searchParams.get('prefix') || PREFIX_DEFAULT;
    url.searchParams.delete('prefix');
    return { kind: 'redis', url: url.toString(), prefix: `${prefix}/${LAYOUT}` };
  }
  return undefined;
}
