// A stand-in for Lambda's API over HTTP: Invoke, and as much of the control plane as `gg deploy` uses.
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and its siblings.
import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from './error.ts';
import { type FaultShares, Faults } from './faults.ts';
import { AWS_LIMITS, FunctionPool, type ServiceLimits, type ServiceParts } from './functions.ts';
import { PAYLOAD_BYTES_MAX } from './instance.ts';
import { type AccessKey, verify } from './sigv4.ts';
import { firstFile } from './unzip.ts';

export interface LambdaEmulatorOptions {
  readonly keys?: readonly AccessKey[];
  readonly region?: string;
  readonly limits?: Partial<ServiceLimits>;
  readonly faults?: Partial<FaultShares>;
  readonly seed?: number;
  /** Environment of the instances: their role's credentials. */
  readonly env?: Readonly<Record<string, string>>;
  readonly node?: string;
  /** Entry of a runtime interface client that instances start, such as aws-lambda-ric's bin/index.mjs. */
  readonly client?: string;
  readonly port?: number;
  /** Whether a role can be assumed by functions, as IAM says; all can when absent. */
  readonly assumable?: (arn: string) => boolean;
}

interface Deployed {
  readonly pool: FunctionPool;
  state: 'Pending' | 'Active';
  update: 'InProgress' | 'Successful';
  role: string;
  codeSha256: string;
  runtime: string;
  handler: string;
  environment: Readonly<Record<string, string>>;
  tags: Readonly<Record<string, string>>;
  ephemeralMb: number;
  architectures: readonly string[];
  modified: string;
}

export const EMULATOR_KEY: AccessKey = { accessKeyId: 'AKIDLAMBDA', secretAccessKey: 'lambda-secret' };
const ACTIONS: Readonly<Record<string, string>> = {
  'POST ': 'lambda:CreateFunction',
  'GET ': 'lambda:GetFunction',
  'DELETE ': 'lambda:DeleteFunction',
  'GET configuration': 'lambda:GetFunctionConfiguration',
  'PUT configuration': 'lambda:UpdateFunctionConfiguration',
  'PUT code': 'lambda:UpdateFunctionCode',
  'PUT concurrency': 'lambda:PutFunctionConcurrency',
  'DELETE concurrency': 'lambda:DeleteFunctionConcurrency',
};
const PENDING_MS = 200;
const CONTROL_BODY_BYTES_MAX = 70 * 1024 * 1024;

export class LambdaEmulator {
  readonly faults: Faults;
  readonly directory = mkdtempSync(join(tmpdir(), 'lambda-emulator-'));
  readonly #o: LambdaEmulatorOptions;
  readonly #parts: ServiceParts;
  readonly #functions = new Map<string, Deployed>();
  readonly #server: Server;
  /** Actions of the control plane that are denied from now on, such as "lambda:CreateFunction". */
  readonly denied = new Set<string>();
  /** Requests refused or not, by type: what tests look at. */
  readonly seen = new Map<string, number>();

  constructor(options: LambdaEmulatorOptions = {}) {
    this.#o = options;
    this.faults = new Faults(options.faults, options.seed);
    // Instances run as another user: they pass through, and see nothing of each other.
    chmodSync(this.directory, 0o711);
    this.#parts = {
      directory: this.directory,
      node: options.node ?? process.execPath,
      client: options.client,
      region: options.region ?? 'us-east-1',
      env: options.env ?? {},
      limits: { ...AWS_LIMITS, ...options.limits },
      faults: this.faults,
    };
    this.#server = createServer((request, response) => void this.#accept(request, response));
    this.#server.keepAliveTimeout = 60_000;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(this.#o.port ?? 0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Puts a function there without a deployment. `code`: the worker's bundle. */
  add(
    name: string,
    code: Buffer,
    options: { memoryMb?: number; timeoutMs?: number; reserved?: number } = {},
  ): void {
    const script = this.#code(name, code);
    this.#functions.set(name, {
      pool: new FunctionPool(
        {
          name,
          memoryMb: options.memoryMb ?? 1769,
          timeoutMs: options.timeoutMs ?? 900_000,
          script,
          reserved: options.reserved,
        },
        this.#parts,
      ),
      state: 'Active',
      update: 'Successful',
      role: 'arn:aws:iam::123456789012:role/gg-worker',
      codeSha256: createHash('sha256').update(code).digest('base64'),
      runtime: 'nodejs22.x',
      handler: 'index.handler',
      environment: {},
      tags: {},
      ephemeralMb: 512,
      architectures: ['x86_64'],
      modified: new Date().toISOString(),
    });
  }

  pool(name: string): FunctionPool | undefined {
    return this.#functions.get(name)?.pool;
  }

  #code(name: string, code: Buffer): string {
    const directory = join(this.directory, `code-${name}-${randomUUID()}`);
    mkdirSync(directory, { mode: 0o755 });
    chmodSync(directory, 0o755);
    writeFileSync(join(directory, 'index.js'), code, { mode: 0o644 });
    return join(directory, 'index.js');
  }

  async #accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    let size = 0;
    const invoke = /^\/2015-03-31\/functions\/([^/?]+)\/invocations$/.exec(request.url!);
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size <= CONTROL_BODY_BYTES_MAX) chunks.push(chunk);
      }
      const body = Buffer.concat(chunks);
      verify(request, body, this.#o.keys ?? [EMULATOR_KEY], this.#parts.region);
      if (invoke && size > PAYLOAD_BYTES_MAX)
        throw new ServiceError(
          413,
          'RequestEntityTooLargeException',
          `Request must be smaller than ${PAYLOAD_BYTES_MAX} bytes for the InvokeFunction operation`,
        );
      if (invoke && request.method === 'POST')
        await this.#invoke(decodeURIComponent(invoke[1]!), request, body, response);
      else this.#control(request, body, response);
    } catch (error) {
      const e =
        error instanceof ServiceError
          ? error
          : new ServiceError(500, 'ServiceException', (error as Error).stack ?? '');
      this.#note(e.type);
      if (response.destroyed) return;
      response.writeHead(e.status, {
        'content-type': 'application/json',
        'x-amzn-errortype': e.type,
        'x-amzn-requestid': randomUUID(),
      });
      response.end(JSON.stringify({ message: e.message, ...e.fields }));
    }
  }

  #note(type: string): void {
    this.seen.set(type, (this.seen.get(type) ?? 0) + 1);
  }

  #deployed(name: string): Deployed {
    const found = this.#functions.get(name.replace(/^arn:aws:lambda:[^:]*:[0-9]*:function:/, ''));
    if (!found)
      throw new ServiceError(
        404,
        'ResourceNotFoundException',
        `Function not found: arn:aws:lambda:${this.#parts.region}:123456789012:function:${name}`,
        { Type: 'User' },
      );
    return found;
  }

  async #invoke(
    name: string,
    request: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
  ): Promise<void> {
    const deployed = this.#deployed(name);
    if (deployed.state !== 'Active')
      throw new ServiceError(
        409,
        'ResourceConflictException',
        `The operation cannot be performed at this time. The function is currently in the following state: ${deployed.state}`,
        { Type: 'User' },
      );
    const kind = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
    if (kind !== 'RequestResponse')
      throw new ServiceError(400, 'InvalidParameterValueException', `invocation type ${String(kind)}`);
    try {
      JSON.parse(body.toString('utf8') || '{}');
    } catch {
      throw new ServiceError(400, 'InvalidRequestContentException', 'Could not parse request body into json');
    }
    let busy = 0;
    for (const d of this.#functions.values()) if (d.pool.config.reserved === undefined) busy += d.pool.busy;
    const done = await deployed.pool.invoke(body, busy);
    this.#note(done.functionError ?? 'ok');
    if (response.destroyed) return;
    response.writeHead(200, {
      'content-type': 'application/json',
      'x-amzn-requestid': done.requestId,
      'x-amz-executed-version': '$LATEST',
      ...(done.functionError ? { 'x-amz-function-error': done.functionError } : {}),
      ...(request.headers['x-amz-log-type'] === 'Tail'
        ? { 'x-amz-log-result': Buffer.from(done.report.slice(-4096)).toString('base64') }
        : {}),
    });
    response.end(done.payload);
  }

  #configuration(d: Deployed): Record<string, unknown> {
    const { config } = d.pool;
    return {
      FunctionName: config.name,
      FunctionArn: d.pool.arn,
      Runtime: d.runtime,
      Role: d.role,
      Handler: d.handler,
      Timeout: config.timeoutMs / 1000,
      MemorySize: config.memoryMb,
      LastModified: d.modified,
      CodeSha256: d.codeSha256,
      Version: '$LATEST',
      PackageType: 'Zip',
      Architectures: d.architectures,
      EphemeralStorage: { Size: d.ephemeralMb },
      Environment: { Variables: d.environment },
      State: d.state,
      LastUpdateStatus: d.update,
    };
  }

  #control(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const answer = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-requestid': randomUUID() });
      response.end(status === 204 ? undefined : JSON.stringify(value));
    };
    const m =
      /^\/(?:2015-03-31|2017-10-31)\/functions(?:\/([^/?]+))?(?:\/(configuration|code|concurrency))?\/?$/.exec(
        request.url!,
      );
    if (!m) throw new ServiceError(404, 'UnknownOperationException', request.url!);
    const name = m[1] === undefined ? undefined : decodeURIComponent(m[1]);
    const input = (body.length > 0 ? JSON.parse(body.toString('utf8')) : {}) as Record<string, never>;
    this.#note(`${request.method} ${m[2] ?? (name ? 'function' : 'functions')}`);
    this.#authorize(request.method!, m[2] ?? '', name ?? String(input['FunctionName']), input);
    if (name === undefined && request.method === 'POST') return answer(201, this.#create(input));
    const d = this.#deployed(name!);
    if (request.method === 'GET')
      return answer(
        200,
        m[2] === 'configuration'
          ? this.#configuration(d)
          : {
              Configuration: this.#configuration(d),
              Tags: d.tags,
              ...(d.pool.config.reserved === undefined
                ? {}
                : { Concurrency: { ReservedConcurrentExecutions: d.pool.config.reserved } }),
            },
      );
    if (request.method === 'DELETE') {
      if (m[2] === 'concurrency') {
        d.pool.config = { ...d.pool.config, reserved: undefined };
        return answer(204, undefined);
      }
      d.pool.close();
      this.#functions.delete(d.pool.config.name);
      return answer(204, undefined);
    }
    if (m[2] === 'concurrency') {
      const reserved = Number(input['ReservedConcurrentExecutions']);
      d.pool.config = { ...d.pool.config, reserved };
      return answer(200, { ReservedConcurrentExecutions: reserved });
    }
    if (d.state !== 'Active' || d.update !== 'Successful')
      throw new ServiceError(
        409,
        'ResourceConflictException',
        `The operation cannot be performed at this time. An update is in progress for resource: ${d.pool.arn}`,
        { Type: 'User' },
      );
    if (m[2] === 'code') this.#setCode(d, input['ZipFile'] ?? '');
    else this.#configure(d, input);
    d.update = 'InProgress';
    d.modified = new Date().toISOString();
    setTimeout(() => {
      d.update = 'Successful';
      d.pool.recycle();
    }, PENDING_MS);
    answer(200, this.#configuration(d));
  }

  /** @throws ServiceError when the caller may not do this, or may not hand the role on. */
  #authorize(method: string, part: string, name: string, input: Record<string, never>): void {
    const arn = `arn:aws:lambda:${this.#parts.region}:123456789012:function:${name}`;
    const action = ACTIONS[`${method} ${part}`] ?? 'lambda:UnknownOperation';
    const role = input['Role'] as string | undefined;
    for (const [wanted, resource] of [[action, arn], ...(role === undefined ? [] : [['iam:PassRole', role]])])
      if (this.denied.has(wanted!))
        throw new ServiceError(
          403,
          'AccessDeniedException',
          `User: arn:aws:iam::123456789012:user/test is not authorized to perform: ${wanted} on resource: ${resource} because no identity-based policy allows the ${wanted} action`,
        );
    if (role !== undefined && this.#o.assumable?.(role) === false)
      throw new ServiceError(
        400,
        'InvalidParameterValueException',
        'The role defined for the function cannot be assumed by Lambda.',
        { Type: 'User' },
      );
  }

  #setCode(d: Deployed, base64: string): void {
    const zip = Buffer.from(base64, 'base64');
    d.pool.config = { ...d.pool.config, script: this.#code(d.pool.config.name, firstFile(zip, 'index.js')) };
    d.codeSha256 = createHash('sha256').update(zip).digest('base64');
  }

  #configure(d: Deployed, input: Record<string, never>): void {
    const old = d.pool.config;
    d.pool.config = {
      ...old,
      memoryMb: input['MemorySize'] ?? old.memoryMb,
      timeoutMs: input['Timeout'] === undefined ? old.timeoutMs : Number(input['Timeout']) * 1000,
    };
    d.role = input['Role'] ?? d.role;
    d.runtime = input['Runtime'] ?? d.runtime;
    d.handler = input['Handler'] ?? d.handler;
    d.ephemeralMb = (input['EphemeralStorage'] as { Size: number } | undefined)?.Size ?? d.ephemeralMb;
    d.environment =
      (input['Environment'] as { Variables?: Record<string, string> } | undefined)?.Variables ??
      d.environment;
  }

  #create(input: Record<string, never>): unknown {
    const name = String(input['FunctionName']);
    if (this.#functions.has(name))
      throw new ServiceError(409, 'ResourceConflictException', `Function already exist: ${name}`, {
        Type: 'User',
      });
    const memory = Number(input['MemorySize'] ?? 128);
    const timeout = Number(input['Timeout'] ?? 3);
    if (memory < 128 || memory > 10_240 || timeout < 1 || timeout > 900)
      throw new ServiceError(
        400,
        'InvalidParameterValueException',
        `MemorySize ${memory}, Timeout ${timeout}`,
      );
    const zip = Buffer.from((input['Code'] as { ZipFile?: string } | undefined)?.ZipFile ?? '', 'base64');
    this.add(name, firstFile(zip, 'index.js'), { memoryMb: memory, timeoutMs: timeout * 1000 });
    const d = this.#deployed(name);
    d.state = 'Pending';
    d.codeSha256 = createHash('sha256').update(zip).digest('base64');
    d.tags = input['Tags'] ?? {};
    this.#configure(d, input);
    if (input['Architectures'] !== undefined) d.architectures = input['Architectures'];
    setTimeout(() => {
      d.state = 'Active';
    }, PENDING_MS);
    return this.#configuration(d);
  }

  async close(): Promise<void> {
    for (const d of this.#functions.values()) d.pool.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    // Instances take their own directories away when their processes have ended.
    await new Promise((resolve) => setTimeout(resolve, 100));
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 40, retryDelay: 50 });
  }
}
