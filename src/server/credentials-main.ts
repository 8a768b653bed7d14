// Entry of a short-lived process: prints the AWS credentials that the SDK finds in this process's environment, as JSON.
import { S3Client } from '@aws-sdk/client-s3';

try {
  // Which region is all the same: the client is never used.
  const client = new S3Client({ region: 'us-east-1' });
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = await client.config.credentials();
  process.stdout.write(JSON.stringify({ accessKeyId, secretAccessKey, sessionToken, expiration }));
} catch (error) {
  const { name, message } = error as Error;
  process.stdout.write(JSON.stringify({ name, message }));
}
