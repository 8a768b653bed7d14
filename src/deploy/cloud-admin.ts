// What a deployment asks of the cloud. aws-admin.ts implements it with the AWS SDK.

export interface FunctionState {
  readonly memoryMb: number;
  readonly timeoutS: number;
  readonly ephemeralMb: number;
  readonly runtime: string;
  readonly handler: string;
  readonly role: string;
  readonly architecture: string;
  /** base64 SHA-256 of the zip. */
  readonly codeSha256: string;
}

export type FunctionConfig = Omit<FunctionState, 'codeSha256'>;

export interface BucketState {
  readonly blocksPublicAccess: boolean;
  readonly encrypted: boolean;
  /** Days of our lifecycle rule; undefined when it is not there, off, or for other objects. */
  readonly expireDays: number | undefined;
}

export interface RoleState {
  readonly arn: string;
  /** Who may assume it, parsed. */
  readonly trust: unknown;
  /** The inline policy, parsed; undefined when it is not there. */
  readonly policy: unknown;
}

/** All methods reject with the service's own error, whose `name` tells which; what is denied names action and resource. Getters answer undefined for what is not there. */
export interface CloudAdmin {
  /** @param prefix of our lifecycle rule */
  bucket(name: string, prefix: string): Promise<BucketState | undefined>;
  createBucket(name: string, region: string): Promise<void>;
  /** Private, encrypted, objects below `prefix` gone after so many days. */
  configureBucket(name: string, prefix: string, expireDays: number): Promise<void>;
  /** Takes away all objects below the prefix, and the bucket if nothing is left in it. */
  emptyBucket(name: string, prefix: string): Promise<void>;
  role(name: string): Promise<RoleState | undefined>;
  /** @returns its ARN */
  createRole(name: string, trust: unknown): Promise<string>;
  setTrust(role: string, trust: unknown): Promise<void>;
  putRolePolicy(role: string, policyName: string, policy: unknown): Promise<void>;
  deleteRole(name: string, policyName: string): Promise<void>;
  lambda(name: string): Promise<FunctionState | undefined>;
  createLambda(name: string, config: FunctionConfig, zip: Buffer): Promise<void>;
  updateLambdaCode(name: string, zip: Buffer): Promise<void>;
  updateLambdaConfig(name: string, config: FunctionConfig): Promise<void>;
  deleteLambda(name: string): Promise<void>;
}
