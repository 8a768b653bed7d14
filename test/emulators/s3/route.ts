// Which operation a request is.
import {
  bucketLocation,
  createBucket,
  deleteBucket,
  deleteSetting,
  getSetting,
  headBucket,
  listBuckets,
  putSetting,
  SETTINGS,
} from './bucket-calls.ts';
import type { Answer, Call } from './context.ts';
import { abortUpload, completeUpload, createUpload, listUploads, uploadPart } from './multipart.ts';
import { deleteObject, deleteObjects, getObject, listObjects, putObject } from './objects.ts';

export interface Operation {
  /** As S3's own list of operations calls it. */
  readonly name: string;
  /** The permission it needs. */
  readonly action: string;
  readonly run: (call: Call) => Answer;
}

const op = (name: string, action: string, run: (call: Call) => Answer): Operation => ({
  name,
  action: `s3:${action}`,
  run,
});

const PUT_OBJECT = op('PutObject', 'PutObject', putObject);
const GET_OBJECT = op('GetObject', 'GetObject', (call) => getObject(call, true));
const HEAD_OBJECT = op('HeadObject', 'GetObject', (call) => getObject(call, false));
const DELETE_OBJECT = op('DeleteObject', 'DeleteObject', deleteObject);
const DELETE_OBJECTS = op('DeleteObjects', 'DeleteObject', deleteObjects);
const LIST = op('ListObjectsV2', 'ListBucket', listObjects);
const CREATE_UPLOAD = op('CreateMultipartUpload', 'PutObject', createUpload);
const UPLOAD_PART = op('UploadPart', 'PutObject', uploadPart);
const COMPLETE = op('CompleteMultipartUpload', 'PutObject', completeUpload);
const ABORT = op('AbortMultipartUpload', 'AbortMultipartUpload', abortUpload);
const LIST_UPLOADS = op('ListMultipartUploads', 'ListBucketMultipartUploads', listUploads);
const CREATE_BUCKET = op('CreateBucket', 'CreateBucket', createBucket);
const HEAD_BUCKET = op('HeadBucket', 'ListBucket', headBucket);
const DELETE_BUCKET = op('DeleteBucket', 'DeleteBucket', deleteBucket);
const LOCATION = op('GetBucketLocation', 'GetBucketLocation', bucketLocation);
const LIST_BUCKETS = op('ListBuckets', 'ListAllMyBuckets', listBuckets);

/** Query parameters that change neither the operation nor its meaning here. */
const HARMLESS = new Set(['x-id']);
const LIST_PARAMETERS = new Set([
  'list-type',
  'prefix',
  'delimiter',
  'max-keys',
  'start-after',
  'continuation-token',
  'encoding-type',
  'fetch-owner',
]);

function bucketOperation(method: string, query: ReadonlyMap<string, string>): Operation | undefined {
  const setting = Object.keys(SETTINGS).find((name) => query.has(name));
  if (setting !== undefined) {
    const { action, permission = action } = SETTINGS[setting]!;
    if (method === 'PUT') return op(`Put${action}`, `Put${permission}`, (call) => putSetting(call, setting));
    if (method === 'GET') return op(`Get${action}`, `Get${permission}`, (call) => getSetting(call, setting));
    if (method === 'DELETE')
      return op(`Delete${action}`, `Delete${action}`, (call) => deleteSetting(call, setting));
    return undefined;
  }
  if (method === 'POST') return query.has('delete') ? DELETE_OBJECTS : undefined;
  if (method === 'GET' && query.has('uploads')) return LIST_UPLOADS;
  if (method === 'GET' && query.has('location')) return LOCATION;
  const strange = [...query.keys()].some((k) => !HARMLESS.has(k) && !LIST_PARAMETERS.has(k));
  if (strange) return undefined;
  switch (method) {
    case 'GET':
      return LIST;
    case 'PUT':
      return CREATE_BUCKET;
    case 'HEAD':
      return HEAD_BUCKET;
    case 'DELETE':
      return DELETE_BUCKET;
    default:
      return undefined;
  }
}

/** @returns undefined for what is not emulated. */
export function findOperation(
  method: string,
  bucketName: string,
  key: string,
  query: ReadonlyMap<string, string>,
): Operation | undefined {
  if (bucketName === '') return method === 'GET' ? LIST_BUCKETS : undefined;
  if (key === '') return bucketOperation(method, query);
  const parameters = [...query.keys()]
    .filter((k) => !HARMLESS.has(k))
    .sort()
    .join('&');
  switch (`${method} ${parameters}`) {
    case 'PUT ':
      return PUT_OBJECT;
    case 'GET ':
      return GET_OBJECT;
    case 'HEAD ':
      return HEAD_OBJECT;
    case 'DELETE ':
      return DELETE_OBJECT;
    case 'POST uploads':
      return CREATE_UPLOAD;
    case 'PUT partNumber&uploadId':
      return UPLOAD_PART;
    case 'POST uploadId':
      return COMPLETE;
    case 'DELETE uploadId':
      return ABORT;
    default:
      return undefined;
  }
}
