// A stand-in for IAM: the query protocol, and as much of it as `gg deploy` uses. What it does not know it refuses.
// Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceError } from '../lambda/error.ts';
import { type AccessKey, verify } from '../lambda/sigv4.ts';
import { checkPolicy } from './policy.ts';

export interface Role {
  readonly arn: string;
  readonly createdMs: number;
  trust: string;
  /** Inline policies: name to document. */
  readonly policies: Map<string, string>;
}

export interface IamOptions {
  readonly keys: readonly AccessKey[];
  /** A new role cannot be assumed before. */
  readonly propagationMs?: number;
}

export const ACCOUNT = '123456789012';
const VERSION = '2010-05-08';
const XMLNS = 'xmlns="https://iam.amazonaws.com/doc/2010-05-08/"';
const BODY_BYTES_MAX = 64 * 1024;

type Input = ReadonlyMap<string, string>;
interface Action {
  readonly parameters: readonly string[];
  readonly optional?: readonly string[];
  readonly run: (input: Input) => string;
}

const escapeXml = (text: string): string =>
  text.replace(/[<>&]/g, (c) => (c === '<' ? '&lt;' : c === '>' ? '&gt;' : '&amp;'));

export class IamEmulator {
  readonly roles = new Map<string, Role>();
  /** Requests by action. */
  readonly seen = new Map<string, number>();
  /** Actions that are denied from now on. */
  readonly denied = new Set<string>();
  readonly #o: IamOptions;
  readonly #server: Server;

  readonly #actions: Readonly<Record<string, Action>> = {
    GetRole: { parameters: ['RoleName'], run: (input) => this.#describe(this.#role(input)) },
    CreateRole: {
      parameters: ['RoleName', 'AssumeRolePolicyDocument'],
      optional: ['Description'],
      run: (input) => {
        const name = input.get('RoleName')!;
        if (this.roles.has(name))
          throw new ServiceError(409, 'EntityAlreadyExists', `Role with name ${name} already exists.`);
        const trust = input.get('AssumeRolePolicyDocument')!;
        checkPolicy(trust, 'trust');
        const arn = `arn:aws:iam::${ACCOUNT}:role/${name}`;
        this.roles.set(name, { arn, createdMs: Date.now(), trust, policies: new Map() });
        return this.#describe(this.#role(input));
      },
    },
    UpdateAssumeRolePolicy: {
      parameters: ['RoleName', 'PolicyDocument'],
      run: (input) => {
        checkPolicy(input.get('PolicyDocument')!, 'trust');
        this.#role(input).trust = input.get('PolicyDocument')!;
        return '';
      },
    },
    DeleteRole: {
      parameters: ['RoleName'],
      run: (input) => {
        if (this.#role(input).policies.size > 0)
          throw new ServiceError(409, 'DeleteConflict', 'Cannot delete entity, must delete policies first.');
        this.roles.delete(input.get('RoleName')!);
        return '';
      },
    },
    GetRolePolicy: {
      parameters: ['RoleName', 'PolicyName'],
      run: (input) =>
        `<RoleName>${input.get('RoleName')}</RoleName><PolicyName>${input.get('PolicyName')}</PolicyName>` +
        `<PolicyDocument>${encodeURIComponent(this.#policy(input))}</PolicyDocument>`,
    },
    PutRolePolicy: {
      parameters: ['RoleName', 'PolicyName', 'PolicyDocument'],
      run: (input) => {
        const role = this.#role(input);
        checkPolicy(input.get('PolicyDocument')!, 'identity');
        role.policies.set(input.get('PolicyName')!, input.get('PolicyDocument')!);
        return '';
      },
    },
    DeleteRolePolicy: {
      parameters: ['RoleName', 'PolicyName'],
      run: (input) => {
        this.#policy(input);
        this.#role(input).policies.delete(input.get('PolicyName')!);
        return '';
      },
    },
  };

  constructor(options: IamOptions) {
    this.#o = options;
    this.#server = createServer((request, response) => void this.#accept(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** May Lambda assume this role by now? */
  assumable(arn: string): boolean {
    const role = [...this.roles.values()].find((r) => r.arn === arn);
    return (
      role?.trust.includes('"lambda.amazonaws.com"') === true &&
      Date.now() - role.createdMs >= (this.#o.propagationMs ?? 0)
    );
  }

  #role(input: Input): Role {
    const role = this.roles.get(input.get('RoleName')!);
    if (!role)
      throw new ServiceError(
        404,
        'NoSuchEntity',
        `The role with name ${input.get('RoleName')} cannot be found.`,
      );
    return role;
  }

  #policy(input: Input): string {
    const document = this.#role(input).policies.get(input.get('PolicyName')!);
    if (document === undefined)
      throw new ServiceError(
        404,
        'NoSuchEntity',
        `The role policy with name ${input.get('PolicyName')} cannot be found.`,
      );
    return document;
  }

  #describe(role: Role): string {
    const name = role.arn.slice(role.arn.lastIndexOf('/') + 1);
    return (
      `<Role><Path>/</Path><RoleName>${name}</RoleName><RoleId>AROAEXAMPLE</RoleId><Arn>${role.arn}</Arn>` +
      `<CreateDate>${new Date(role.createdMs).toISOString()}</CreateDate>` +
      `<AssumeRolePolicyDocument>${encodeURIComponent(role.trust)}</AssumeRolePolicyDocument></Role>`
    );
  }

  async #accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = (status: number, body: string): void => {
      response.writeHead(status, { 'content-type': 'text/xml', 'x-amzn-requestid': randomUUID() });
      response.end(body);
    };
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (body.length > BODY_BYTES_MAX) throw new ServiceError(413, 'RequestEntityTooLarge', 'too large');
      // IAM is one for the world and signs for this region.
      verify(request, body, this.#o.keys, 'us-east-1', 'iam');
      if (request.method !== 'POST' || request.url !== '/')
        throw new ServiceError(404, 'UnknownOperationException', `${request.method} ${request.url}`);
      const pairs = [...new URLSearchParams(body.toString('utf8'))];
      const [name, result] = this.#act(new Map(pairs), pairs.length);
      const inner = result === '' ? '' : `<${name}Result>${result}</${name}Result>`;
      const id = `<ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata>`;
      answer(200, `<${name}Response ${XMLNS}>${inner}${id}</${name}Response>`);
    } catch (error) {
      if (!(error instanceof ServiceError)) console.error(error);
      const e = error instanceof ServiceError ? error : new ServiceError(500, 'ServiceFailure', 'a defect');
      answer(
        e.status,
        `<ErrorResponse ${XMLNS}><Error><Type>Sender</Type><Code>${e.type}</Code><Message>${escapeXml(e.message)}</Message></Error>` +
          `<RequestId>${randomUUID()}</RequestId></ErrorResponse>`,
      );
    }
  }

  #act(input: Input, pairs: number): readonly [name: string, result: string] {
    const name = input.get('Action') ?? '';
    const action = this.#actions[name];
    if (!action || input.get('Version') !== VERSION)
      throw new ServiceError(
        400,
        'InvalidAction',
        `Could not find operation ${name} for version ${input.get('Version')}`,
      );
    this.seen.set(name, (this.seen.get(name) ?? 0) + 1);
    const known = new Set(['Action', 'Version', ...action.parameters, ...(action.optional ?? [])]);
    const strange = [...input.keys()].find((key) => !known.has(key));
    const lacking = action.parameters.find((key) => !input.get(key));
    if (strange !== undefined || lacking !== undefined || pairs !== input.size)
      throw new ServiceError(400, 'ValidationError', `${name}: ${strange ?? lacking ?? 'a parameter twice'}`);
    if (!/^[\w+=,.@-]{1,64}$/.test(input.get('RoleName')!))
      throw new ServiceError(400, 'ValidationError', 'The specified value for roleName is invalid.');
    if (this.denied.has(`iam:${name}`))
      throw new ServiceError(
        403,
        'AccessDenied',
        `User: arn:aws:iam::${ACCOUNT}:user/test is not authorized to perform: iam:${name} on resource: role ${input.get('RoleName')} because no identity-based policy allows the iam:${name} action`,
      );
    return [name, action.run(input)];
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
