// Every operation family through the AWS SDK for JavaScript v3, lib-storage and its presigner.
import { Readable } from 'node:stream';
import { ACCESS_KEY, ENDPOINT, MIB, SECRET_KEY, collect, data, equal, holds, load, main, md5, test } from '../cases.mjs';

const sdk = load('@aws-sdk/client-s3');
const { Upload } = load('@aws-sdk/lib-storage');
const { getSignedUrl } = load('@aws-sdk/s3-request-presigner');
const { createPresignedPost } = load('@aws-sdk/s3-presigned-post');
const { STSClient, AssumeRoleCommand } = load('@aws-sdk/client-sts');

const Bucket = 'aws-sdk-js';
const client = (accessKeyId = ACCESS_KEY, secretAccessKey = SECRET_KEY) => new sdk.S3Client({
  endpoint: ENDPOINT, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1,
});
const s3 = client();
const send = (name, input = {}, by = s3) => by.send(new sdk[`${name}Command`](input));
const body = async (Key, more = {}) => Buffer.from(await (await send('GetObject', { Bucket, Key, ...more })).Body.transformToByteArray());
const put = (Key, Body, more = {}) => send('PutObject', { Bucket, Key, Body, ...more });

async function refused(code, status, call) {
  try {
    await call();
  } catch (error) {
    equal([error.name, error.$metadata?.httpStatusCode], [code, status], 'error');
    return error;
  }
  throw new Error(`${code} expected, the call succeeded`);
}

function pipe(content) {
  let at = 0;
  return new Readable({
    read() {
      this.push(at < content.length ? content.subarray(at, at + 7919) : null);
      at += 7919;
    },
  });
}

test('buckets', async () => {
  await send('CreateBucket', { Bucket });
  await refused('BucketAlreadyOwnedByYou', 409, () => send('CreateBucket', { Bucket }));
  await send('HeadBucket', { Bucket });
  holds((await send('ListBuckets')).Buckets.some((entry) => entry.Name === Bucket), 'the bucket is listed');
  equal((await send('GetBucketLocation', { Bucket })).LocationConstraint ?? 'us-east-1', 'us-east-1');
});

test('small_and_empty', async () => {
  const content = data(1, 1000);
  const made = await put('small', content, { ContentType: 'a/b', Metadata: { one: '1' } });
  equal(made.ETag, `"${md5(content)}"`);
  equal(await body('small'), content);
  const head = await send('HeadObject', { Bucket, Key: 'small' });
  equal([head.ContentLength, head.ContentType, head.Metadata], [1000, 'a/b', { one: '1' }]);
  await put('text', 'grüße');
  equal((await body('text')).toString(), 'grüße');
  await put('empty', '');
  equal((await body('empty')).length, 0);
});

test('large_single_put', async () => {
  const content = data(2, 20 * MIB + 1);
  await put('large', content);
  equal(await body('large'), content);
});

test('stream_with_known_length', async () => {
  const content = data(3, 3 * MIB + 1);
  await put('stream', pipe(content), { ContentLength: content.length });
  equal(await body('stream'), content);
});

test('upload_of_unknown_length', async () => {
  for (const length of [0, 100, 17 * MIB + 3]) {
    const content = data(4, length);
    const made = await new Upload({ client: s3, params: { Bucket, Key: 'unknown', Body: pipe(content) }, partSize: 5 * MIB, queueSize: 3 }).done();
    holds(made.ETag, 'an upload has an ETag');
    equal(await body('unknown'), content, `upload of ${length}`);
  }
});

test('abort', async () => {
  const upload = new Upload({ client: s3, params: { Bucket, Key: 'aborted', Body: pipe(data(5, 30 * MIB)) }, partSize: 5 * MIB, queueSize: 1 });
  upload.on('httpUploadProgress', () => upload.abort());
  let failed = '';
  await upload.done().catch((error) => { failed = error.name; });
  equal(failed, 'AbortError');
  await refused('NoSuchKey', 404, () => body('aborted'));
  // The library aborts its upload on its own, perhaps after it has said so.
  for (let tries = 0; tries < 50; tries += 1) {
    if (!(await send('ListMultipartUploads', { Bucket })).Uploads?.length) break;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  equal((await send('ListMultipartUploads', { Bucket })).Uploads ?? [], []);
});

test('multipart', async () => {
  const pieces = [data(6, 5 * MIB), data(7, 5 * MIB + 1), data(8, 9)];
  const { UploadId } = await send('CreateMultipartUpload', { Bucket, Key: 'parts' });
  const Parts = [];
  for (const [index, piece] of pieces.entries()) {
    const made = await send('UploadPart', { Bucket, Key: 'parts', UploadId, PartNumber: index + 1, Body: piece });
    equal(made.ETag, `"${md5(piece)}"`);
    Parts.push({ PartNumber: index + 1, ETag: made.ETag });
  }
  const listed = await send('ListParts', { Bucket, Key: 'parts', UploadId });
  equal(listed.Parts.map((part) => [part.PartNumber, part.Size]), pieces.map((piece, index) => [index + 1, piece.length]));
  const done = await send('CompleteMultipartUpload', { Bucket, Key: 'parts', UploadId, MultipartUpload: { Parts } });
  equal(done.ETag, `"${md5(Buffer.concat(pieces.map((piece) => Buffer.from(md5(piece), 'hex'))))}-3"`);
  equal(await body('parts'), Buffer.concat(pieces));
});

test('checksums', async () => {
  const content = data(9, 100_000);
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
    const made = await put('sum', content, { ChecksumAlgorithm });
    const head = await send('HeadObject', { Bucket, Key: 'sum', ChecksumMode: 'ENABLED' });
    equal(head[`Checksum${ChecksumAlgorithm}`], made[`Checksum${ChecksumAlgorithm}`]);
    holds(head[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm);
    equal(await body('sum', { ChecksumMode: 'ENABLED' }), content);
  }
  await refused('BadDigest', 400, () => put('sum-bad', 'x', { ChecksumCRC32: 'AAAAAA==' }));
  await refused('NoSuchKey', 404, () => body('sum-bad'));
});

test('ranges', async () => {
  const content = data(10, 300_000);
  await put('range', content);
  equal(await body('range', { Range: 'bytes=100-199' }), content.subarray(100, 200));
  equal(await body('range', { Range: 'bytes=-7' }), content.subarray(-7));
  await refused('InvalidRange', 416, () => body('range', { Range: 'bytes=300000-' }));
});

test('copies', async () => {
  const content = data(11, 50_000);
  await put('from +ü', content, { Metadata: { old: '1' } });
  const CopySource = `${Bucket}/${encodeURIComponent('from +ü')}`;
  const made = await send('CopyObject', { Bucket, Key: 'to', CopySource });
  equal(made.CopyObjectResult.ETag, `"${md5(content)}"`);
  equal(await body('to'), content);
  await send('CopyObject', { Bucket, Key: 'to', CopySource, MetadataDirective: 'REPLACE', Metadata: { new: '2' } });
  equal((await send('HeadObject', { Bucket, Key: 'to' })).Metadata, { new: '2' });
});

test('conditions', async () => {
  await put('once', '1', { IfNoneMatch: '*' });
  await refused('PreconditionFailed', 412, () => put('once', '2', { IfNoneMatch: '*' }));
  equal((await body('once')).toString(), '1');
});

test('listing', async () => {
  const keys = Array.from({ length: 1230 }, (_, number) => `list/${number % 4}/key ${String(number).padStart(4, '0')} ü`).sort();
  for (let at = 0; at < keys.length; at += 16) await Promise.all(keys.slice(at, at + 16).map((key) => put(key, key)));
  const found = [];
  let pages = 0;
  for await (const page of sdk.paginateListObjectsV2({ client: s3, pageSize: 300 }, { Bucket, Prefix: 'list/' })) {
    pages += 1;
    found.push(...page.Contents.map((entry) => entry.Key));
  }
  equal(pages, 5, 'pages');
  equal(found, keys);
  const folders = await send('ListObjectsV2', { Bucket, Prefix: 'list/', Delimiter: '/' });
  equal(folders.CommonPrefixes.map((entry) => entry.Prefix), [0, 1, 2, 3].map((number) => `list/${number}/`));
  const encoded = await send('ListObjects', { Bucket, Prefix: 'list/0', MaxKeys: 1, EncodingType: 'url' });
  equal(decodeURIComponent(encoded.Contents[0].Key.replaceAll('+', '%20')), keys[0]);
  holds(encoded.Contents[0].Key.includes('%C3%BC'), 'keys are encoded when asked for');
  for (let at = 0; at < keys.length; at += 1000) {
    const gone = await send('DeleteObjects', { Bucket, Delete: { Objects: keys.slice(at, at + 1000).map((Key) => ({ Key })) } });
    equal(gone.Errors ?? [], []);
  }
  equal((await send('ListObjectsV2', { Bucket, Prefix: 'list/' })).KeyCount, 0);
});

test('presigned', async () => {
  const content = data(12, 2222);
  const link = await getSignedUrl(s3, new sdk.PutObjectCommand({ Bucket, Key: 'signed +ü' }), { expiresIn: 60 });
  equal((await fetch(link, { method: 'PUT', body: content })).status, 200);
  const get = await getSignedUrl(s3, new sdk.GetObjectCommand({ Bucket, Key: 'signed +ü', ResponseContentType: 'x/y' }), { expiresIn: 60 });
  const answer = await fetch(get);
  equal([answer.status, answer.headers.get('content-type')], [200, 'x/y']);
  equal(Buffer.from(await answer.arrayBuffer()), content);
  const refusal = await fetch(get.replace('x%2Fy', 'x%2Fz'));
  equal(refusal.status, 403);
  holds((await refusal.text()).includes('SignatureDoesNotMatch'), 'a changed link is refused by its signature');
});

// Sends an upload form as a page does.
function sendForm(form, fields, content) {
  const filled = new FormData();
  for (const [name, value] of Object.entries(fields)) filled.append(name, value);
  filled.append('file', new Blob([content]), 'photo.png');
  return fetch(form.url, { method: 'POST', body: filled });
}

test('presigned_post', async () => {
  const content = data(13, MIB + 1);
  const Conditions = [['content-length-range', 1, 2 * MIB], ['starts-with', '$Content-Type', 'image/']];
  const form = await createPresignedPost(s3, { Bucket, Key: 'form/${filename}', Conditions, Expires: 60 });
  const fields = { ...form.fields, 'Content-Type': 'image/png' };
  equal((await sendForm(form, fields, content)).status, 204);
  const stored = await send('GetObject', { Bucket, Key: 'form/photo.png' });
  equal(stored.ContentType, 'image/png');
  equal(Buffer.from(await stored.Body.transformToByteArray()), content);
  equal((await sendForm(form, { ...fields, 'Content-Type': 'text/html' }, content)).status, 403);
  equal((await sendForm(form, { ...fields, acl: 'public-read' }, content)).status, 403);
  equal((await sendForm(form, fields, data(14, 3 * MIB))).status, 400);
});

test('temporary_credentials', async () => {
  const Resource = `arn:aws:s3:::${Bucket}/temporary/*`;
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource }] });
  const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  const sts = new STSClient({ endpoint: ENDPOINT, region: 'us-east-1', credentials, maxAttempts: 1 });
  const asked = { RoleArn: 'arn:x:ignored:by:minio:', RoleSessionName: 'suite', DurationSeconds: 900, Policy };
  const { AccessKeyId, SecretAccessKey, SessionToken } = (await sts.send(new AssumeRoleCommand(asked))).Credentials;
  const session = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  const theirs = new sdk.S3Client({ endpoint: ENDPOINT, region: 'us-east-1', forcePathStyle: true, credentials: session, maxAttempts: 1 });
  await send('PutObject', { Bucket, Key: 'temporary/direct', Body: 'x' }, theirs);
  await refused('AccessDenied', 403, () => send('PutObject', { Bucket, Key: 'elsewhere', Body: 'x' }, theirs));
  const content = data(15, 3000);
  const link = (name, Key) => getSignedUrl(theirs, new sdk[`${name}Command`]({ Bucket, Key }), { expiresIn: 60 });
  const put = await link('PutObject', 'temporary/linked');
  holds(put.includes('X-Amz-Security-Token='), 'the link carries the token');
  equal((await fetch(put, { method: 'PUT', body: content })).status, 200);
  equal(Buffer.from(await (await fetch(await link('GetObject', 'temporary/linked'))).arrayBuffer()), content);
  equal((await fetch(await link('PutObject', 'elsewhere'), { method: 'PUT', body: content })).status, 403);
  const bare = new URL(await link('GetObject', 'temporary/linked'));
  bare.searchParams.delete('X-Amz-Security-Token');
  equal((await fetch(bare)).status, 403, 'a link without its token');
  const form = await createPresignedPost(theirs, { Bucket, Key: 'temporary/${filename}', Expires: 60 });
  equal((await sendForm(form, form.fields, content)).status, 204);
  equal(await body('temporary/photo.png'), content);
  const { 'X-Amz-Security-Token': token, ...fewer } = form.fields;
  holds(token, 'the form carries the token');
  equal((await sendForm(form, fewer, content)).status, 403, 'a form without its token');
  const elsewhere = await createPresignedPost(theirs, { Bucket, Key: 'elsewhere', Expires: 60 });
  equal((await sendForm(elsewhere, elsewhere.fields, content)).status, 403);
  await refused('NoSuchKey', 404, () => body('elsewhere'));
});

test('errors', async () => {
  await refused('NoSuchKey', 404, () => body('absent'));
  await refused('NotFound', 404, () => send('HeadObject', { Bucket, Key: 'absent' }));
  await refused('NoSuchBucket', 404, () => send('ListObjectsV2', { Bucket: 'absent-bucket' }));
  await refused('BucketNotEmpty', 409, () => send('DeleteBucket', { Bucket }));
  await refused('InvalidAccessKeyId', 403, () => send('ListBuckets', {}, client('nobody-here')));
  await refused('SignatureDoesNotMatch', 403, () => send('ListBuckets', {}, client(ACCESS_KEY, 'wrong-secret')));
  await refused('NotImplemented', 501, () => put('open', 'x', { ACL: 'aws-exec-read' }));
  await refused('NoSuchUpload', 404, () => send('UploadPart', { Bucket, Key: 'x', UploadId: 'bm8tc3VjaA', PartNumber: 1, Body: 'x' }));
});

test('deletion', async () => {
  for await (const page of sdk.paginateListObjectsV2({ client: s3 }, { Bucket })) {
    for (const entry of page.Contents ?? []) await send('DeleteObject', { Bucket, Key: entry.Key });
  }
  await send('DeleteBucket', { Bucket });
  await refused('NotFound', 404, () => send('HeadBucket', { Bucket }));
});

await main();
