// A backend as the user names it.
//
//   s3://BUCKET[/PREFIX][?region=REGION][&endpoint=URL]
//   redis[s]://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=PREFIX][&ttl=SECONDS]
//
// Secrets and what is of no use to others stay apart from the address, which travels to workers.
import type { RemoteAddress } from './remote.ts';

/** Part of every key; another layout of keys or values gets another. */
export const REMOTE_LAYOUT = 'v1';
const PREFIX_DEFAULT = 'gg';
const REGION_DEFAULT = 'us-east-1';
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** Characters that need no encoding in keys and mean nothing in patterns. */
const PREFIX = /^[A-Za-z0-9!_.'()-]+(?:\/[A-Za-z0-9!_.'()-]+)*$/;

export interface RemoteSettings {
  readonly address: RemoteAddress;
  readonly username?: string;
  readonly password?: string;
  readonly ttlSeconds?: number;
}

export interface BadRemoteUrl {
  /** The offending part and the accepted form, on one line; holds no password. */
  readonly problem: string;
}

/** The one name that results from a store carry: no secrets, and nothing that does not tell stores apart. */
export function storeLabel(address: RemoteAddress): string {
  const prefix = address.prefix.slice(0, -REMOTE_LAYOUT.length - 1);
  if (address.kind === 'redis') return `${address.url}?prefix=${prefix}`;
  const endpoint = address.endpoint === undefined ? '' : `?endpoint=${address.endpoint}`;
  return `s3://${address.bucket}/${prefix}${endpoint}`;
}

/** As it may be shown and written down: without a name and a password, well-formed or not. */
export function withoutSecrets(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/).*@/is, '$1***@');
}

const FORMS =
  'expected s3://BUCKET[/PREFIX][?region=R&endpoint=URL] or redis://HOST[:PORT][?prefix=P&ttl=SECONDS]';

/** @param env AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL fill in what the text leaves out. */
export function parseRemoteUrl(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): RemoteSettings | BadRemoteUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const kind = url?.protocol === 's3:' ? 's3' : /^rediss?:$/.test(url?.protocol ?? '') ? 'redis' : undefined;
  if (!url || kind === undefined || url.hostname === '' || url.hash !== '') return { problem: FORMS };
  const allowed = kind === 's3' ? ['region', 'endpoint'] : ['prefix', 'ttl'];
  const strange = [...url.searchParams.keys()].find((k) => !allowed.includes(k));
  if (strange !== undefined) return { problem: `unknown option ${strange}; ${FORMS}` };
  return kind === 's3' ? parseS3(url, env) : parseRedis(url);
}

function parseS3(url: URL, env: Readonly<Record<string, string | undefined>>): RemoteSettings | BadRemoteUrl {
  if (url.username !== '' || url.password !== '' || url.port !== '')
    return { problem: `credentials come from the environment or a profile, not from the URL; ${FORMS}` };
  if (!BUCKET.test(url.hostname)) return { problem: `${url.hostname} is not the name of a bucket` };
  const prefix = url.pathname.replace(/^\/|\/$/g, '') || PREFIX_DEFAULT;
  if (!PREFIX.test(prefix)) return { problem: `${prefix} is not fit as a prefix of keys` };
  const endpoint =
    url.searchParams.get('endpoint') ?? env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'] ?? '';
  if (endpoint !== '' && !/^https?:\/\/[^/@]+\/?$/.test(endpoint))
    return { problem: 'the endpoint is not of the form http[s]://HOST[:PORT]' };
  const region =
    url.searchParams.get('region') ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? REGION_DEFAULT;
  return {
    address: {
      kind: 's3',
      bucket: url.hostname,
      prefix: `${prefix}/${REMOTE_LAYOUT}`,
      region,
      ...(endpoint === '' ? {} : { endpoint: endpoint.replace(/\/$/, '') }),
    },
  };
}

function parseRedis(url: URL): RemoteSettings | BadRemoteUrl {
  const prefix = url.searchParams.get('prefix') ?? PREFIX_DEFAULT;
  if (!PREFIX.test(prefix)) return { problem: `${prefix} is not fit as a prefix of keys` };
  const ttl = url.searchParams.get('ttl');
  if (ttl !== null && !/^[1-9][0-9]{0,8}$/.test(ttl)) return { problem: `ttl=${ttl}: expected seconds` };
  if (!/^(?:\/[0-9]{0,5})?$/.test(url.pathname))
    return { problem: `${url.pathname.slice(1)} is not the number of a database` };
  const { username, password } = url;
  const plain = `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
  return {
    address: { kind: 'redis', url: plain, prefix: `${prefix}:${REMOTE_LAYOUT}` },
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(ttl === null ? {} : { ttlSeconds: Number(ttl) }),
  };
}
