// Where a Remote Execution server is and how it is spoken to, as a user writes it.

export interface ReapiAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** In every request; may hold slashes; '' is the server's own. */
  readonly instance: string;
}

const URL_FORM = /^grpc(s?):\/\/(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?:\/(.*))?$/;
const TLS_PORT = 443;
const PLAIN_PORT = 8980;

/** grpc(s)://HOST[:PORT][/INSTANCE]. @returns undefined when the text is none */
export function parseReapiAddress(text: string): ReapiAddress | undefined {
  const m = URL_FORM.exec(text);
  if (!m) return undefined;
  const tls = m[1] === 's';
  const port = m[3] === undefined ? (tls ? TLS_PORT : PLAIN_PORT) : Number(m[3]);
  if (port < 1 || port > 65535) return undefined;
  return { host: m[2]!, port, tls, instance: (m[4] ?? '').replace(/\/+$/, '') };
}

/** What a URL may name of a server without a secret in it. */
export function formatReapiAddress({ host, port, tls, instance }: ReapiAddress): string {
  return `grpc${tls ? 's' : ''}://${host}:${port}${instance ? `/${instance}` : ''}`;
}
