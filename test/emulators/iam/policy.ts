// Policy documents as strictly as IAM reads them: grammar, known elements, ARNs.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
import { ServiceError } from '../lambda/error.ts';

const bad = (why: string): ServiceError => new ServiceError(400, 'MalformedPolicyDocument', why);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

/** Inline policies of a role, all together. */
const INLINE_BYTES_MAX = 10_240;
const TRUST_BYTES_MAX = 2048;
const RESOURCE = /^(?:\*|arn:aws:[a-z0-9-]+:[a-z0-9*-]*:[0-9*]*:\S+)$/;
const ELEMENTS = { identity: ['Resource'], trust: ['Principal'] } as const;

/** @param kind trust: who may assume a role; identity: what a role may do. @throws ServiceError */
export function checkPolicy(text: string, kind: 'trust' | 'identity'): void {
  if (Buffer.byteLength(text) > (kind === 'trust' ? TRUST_BYTES_MAX : INLINE_BYTES_MAX))
    throw new ServiceError(409, 'LimitExceeded', 'Maximum policy size exceeded');
  let policy: Record<string, unknown>;
  try {
    policy = JSON.parse(text);
  } catch {
    throw bad('Syntax errors in policy.');
  }
  if (policy['Version'] !== '2012-10-17') throw bad('Policy document must be version 2012-10-17 or greater.');
  if (Object.keys(policy).some((key) => !['Version', 'Id', 'Statement'].includes(key)))
    throw bad('Syntax errors in policy.');
  const sids = new Set<unknown>();
  for (const one of list(policy['Statement'])) {
    const statement = one as Record<string, unknown>;
    const needed = ['Effect', 'Action', ...ELEMENTS[kind]];
    const strange = Object.keys(statement).find((key) => ![...needed, 'Sid', 'Condition'].includes(key));
    if (strange !== undefined) throw bad(`Has prohibited field ${strange}`);
    const lacking = needed.find((key) => statement[key] === undefined);
    if (lacking !== undefined) throw bad(`Missing required field ${lacking}`);
    if (statement['Effect'] !== 'Allow' && statement['Effect'] !== 'Deny')
      throw bad(`Invalid effect: ${String(statement['Effect'])}`);
    const sid = statement['Sid'];
    if (sid !== undefined && (!/^[A-Za-z0-9]+$/.test(String(sid)) || sids.has(sid)))
      throw bad('Statement IDs (SID) must be alpha-numeric and unique.');
    sids.add(sid);
    for (const action of list(statement['Action']))
      if (!/^[a-z0-9-]+:[A-Za-z0-9*]+$/.test(String(action)))
        throw bad('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
    if (kind === 'identity')
      for (const resource of list(statement['Resource']))
        if (!RESOURCE.test(String(resource)))
          throw bad(`Resource ${String(resource)} must be in ARN format or "*".`);
    if (kind === 'trust' && Object.keys(statement['Principal'] as object).some((key) => key !== 'Service'))
      throw bad('Invalid principal in policy');
  }
}
