// Which engine a session wants, as it travels from the command line to the server.

export const ENGINES = ['local', 'lambda', 'lambda,local'] as const;
/** One of ENGINES, or the address of a Remote Execution server, with `,local` behind it to use idle cores here too. */
export type EngineName = (typeof ENGINES)[number] | `grpc${string}`;

/** How a Remote Execution server is spoken to. */
export interface ReapiChoice {
  /** "NAME: VALUE", or "NAME: @FILE", which is read anew each minute. */
  readonly headers: readonly string[];
  /** "NAME=VALUE": properties that a worker must have. */
  readonly platform: readonly string[];
  /** PEM files; '' when none is set. */
  readonly tlsCa: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
  /** skip: never take a result from the server's action cache. */
  readonly cache: 'use' | 'skip';
}

/** What a session does with results in the remote store. */
export const REMOTE_USES = ['share', 'read', 'blobs'] as const;
export type RemoteUseName = (typeof REMOTE_USES)[number];

export const REMOTE_TRUSTS = ['any', 'signed'] as const;
export type RemoteTrustName = (typeof REMOTE_TRUSTS)[number];

export interface EngineChoice {
  readonly engine: EngineName;
  /** Store shared with others, which cloud engines need, e.g. "s3://bucket/prefix"; '' when none is set. */
  readonly remote: string;
  /** share: take results and add them; read: add nothing; blobs: believe nobody's results. */
  readonly remoteUse: RemoteUseName;
  /** any: what the store gives is taken; signed: only with the signature of a key of `gg trust list`. */
  readonly remoteTrust: RemoteTrustName;
  /** Where the keys are. */
  readonly trustDirectory: string;
  /** Functions are called PREFIX-compile and PREFIX-link. */
  readonly lambdaFunction: string;
  readonly reapi: ReapiChoice;
  /** USD; 0: no limit. */
  readonly budgetUsd: number;
  /** Fail rather than run here what the cloud did not do. */
  readonly strict: boolean;
  /** The user's AWS_* variables; the server was started with those of another time. */
  readonly env: Readonly<Record<string, string>>;
}

export const NO_REAPI: ReapiChoice = {
  headers: [],
  platform: [],
  tlsCa: '',
  tlsCert: '',
  tlsKey: '',
  cache: 'use',
};

export const LOCAL_CHOICE: EngineChoice = {
  reapi: NO_REAPI,
  engine: 'local',
  remote: '',
  remoteUse: 'share',
  remoteTrust: 'any',
  trustDirectory: '',
  lambdaFunction: '',
  budgetUsd: 0,
  strict: false,
  env: {},
};
