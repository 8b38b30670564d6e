// Every operation family through minio for JavaScript.
import { Readable } from 'node:stream';
import { ACCESS_KEY, ENDPOINT, MIB, SECRET_KEY, collect, data, equal, holds, load, main, md5, test } from '../cases.mjs';

const minio = load('minio');
const bucket = 'minio-js';
const at = new URL(ENDPOINT);
const client = (accessKey = ACCESS_KEY, secretKey = SECRET_KEY) => new minio.Client({
  endPoint: at.hostname, port: Number(at.port), useSSL: false, accessKey, secretKey, region: 'us-east-1', partSize: 5 * MIB,
});
const s3 = client();
const body = async (key) => collect(await s3.getObject(bucket, key));
const list = (...rest) => new Promise((resolve, reject) => {
  const found = [];
  s3.listObjectsV2(bucket, ...rest).on('data', (entry) => found.push(entry.name ?? entry.prefix)).on('error', reject).on('end', () => resolve(found));
});

async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    equal(error.code, code, 'error code');
    return;
  }
  throw new Error(`${code} expected, the call succeeded`);
}

test('buckets', async () => {
  equal(await s3.bucketExists(bucket), false);
  await s3.makeBucket(bucket, 'us-east-1');
  equal(await s3.bucketExists(bucket), true);
  await refused('BucketAlreadyOwnedByYou', () => s3.makeBucket(bucket, 'us-east-1'));
  holds((await s3.listBuckets()).some((entry) => entry.name === bucket), 'the bucket is listed');
});

test('small_and_empty', async () => {
  const content = data(1, 1000);
  const made = await s3.putObject(bucket, 'small', content, content.length, { 'Content-Type': 'a/b', 'X-Amz-Meta-One': '1' });
  equal(made.etag, md5(content));
  equal(await body('small'), content);
  const stat = await s3.statObject(bucket, 'small');
  equal([stat.size, stat.etag, stat.metaData['content-type'], stat.metaData.one], [1000, md5(content), 'a/b', '1']);
  await s3.putObject(bucket, 'empty', Buffer.alloc(0), 0);
  equal((await body('empty')).length, 0);
});

test('multipart_and_unknown_length', async () => {
  const content = data(2, 12 * MIB + 3);
  const pieces = Array.from({ length: 13 }, (_, number) => content.subarray(number * MIB, (number + 1) * MIB));
  const made = await s3.putObject(bucket, 'parts', Readable.from(pieces), content.length);
  holds(made.etag.endsWith('-3'), `three parts, not ${made.etag}`);
  equal(await body('parts'), content);
  for (const length of [99, 11 * MIB]) {
    const whole = data(3, length);
    await s3.putObject(bucket, 'stream', Readable.from([whole.subarray(0, length >> 1), whole.subarray(length >> 1)].filter((piece) => piece.length)));
    equal(await body('stream'), whole, `stream of ${length}`);
  }
});

test('ranges', async () => {
  const content = data(4, 100_000);
  await s3.putObject(bucket, 'range', content, content.length);
  equal(await collect(await s3.getPartialObject(bucket, 'range', 10, 20)), content.subarray(10, 30));
  equal(await collect(await s3.getPartialObject(bucket, 'range', 99_990)), content.subarray(99_990));
});

test('listing', async () => {
  const keys = Array.from({ length: 1205 }, (_, number) => `list/${number % 4}/key ${String(number).padStart(4, '0')} ü`).sort();
  for (let from = 0; from < keys.length; from += 16) await Promise.all(keys.slice(from, from + 16).map((key) => s3.putObject(bucket, key, key)));
  equal(await list('list/', true), keys);
  equal((await list('list/', false)).sort(), [0, 1, 2, 3].map((number) => `list/${number}/`));
  equal(await list('list/', true, keys[1200]), keys.slice(1201));
  await s3.removeObjects(bucket, keys);
  equal(await list('list/', true), []);
});

test('copies', async () => {
  const content = data(5, 40_000);
  await s3.putObject(bucket, 'from +ü', content, content.length);
  await s3.copyObject(bucket, 'to', `/${bucket}/from +ü`);
  equal(await body('to'), content);
});

test('presigned', async () => {
  const content = data(6, 3333);
  const link = await s3.presignedPutObject(bucket, 'signed +ü', 60);
  equal((await fetch(link, { method: 'PUT', body: content })).status, 200);
  const get = await s3.presignedGetObject(bucket, 'signed +ü', 60, { 'response-content-type': 'x/y' });
  const answer = await fetch(get);
  equal([answer.status, answer.headers.get('content-type')], [200, 'x/y']);
  equal(Buffer.from(await answer.arrayBuffer()), content);
  equal((await fetch(get.replace('x%2Fy', 'x%2Fz'))).status, 403);
});

test('errors', async () => {
  await refused('NoSuchKey', () => body('absent'));
  await refused('NotFound', () => s3.statObject(bucket, 'absent'));
  await refused('NoSuchBucket', () => s3.getObject('absent-bucket', 'absent'));
  await refused('BucketNotEmpty', () => s3.removeBucket(bucket));
  await refused('InvalidAccessKeyId', () => client('nobody-here').listBuckets());
  await refused('SignatureDoesNotMatch', () => client(ACCESS_KEY, 'wrong-secret').listBuckets());
});

test('deletion', async () => {
  for (const key of await list('', true)) await s3.removeObject(bucket, key);
  await s3.removeBucket(bucket);
  equal(await s3.bucketExists(bucket), false);
});

await main();
