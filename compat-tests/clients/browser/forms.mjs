// Prepares the upload forms that a page gets: presigned by the AWS SDK for JavaScript, as an application's server does.
import { ACCESS_KEY, ENDPOINT, SECRET_KEY, load } from '../cases.mjs';

const sdk = load('@aws-sdk/client-s3');
const { STSClient, AssumeRoleCommand } = load('@aws-sdk/client-sts');
const { createPresignedPost } = load('@aws-sdk/s3-presigned-post');
const { getSignedUrl } = load('@aws-sdk/s3-request-presigner');

const PAGE = process.env.COMPAT_PAGE;
const own = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
const client = (credentials) => new sdk.S3Client({ endpoint: ENDPOINT, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 });
const s3 = client(own);
const sts = new STSClient({ endpoint: ENDPOINT, region: 'us-east-1', credentials: own, maxAttempts: 1 });

for (const Bucket of ['ruled', 'unruled']) await s3.send(new sdk.CreateBucketCommand({ Bucket }));
const rule = { AllowedOrigins: [PAGE], AllowedMethods: ['POST', 'GET'], ExposeHeaders: ['ETag', 'Location'] };
await s3.send(new sdk.PutBucketCorsCommand({ Bucket: 'ruled', CORSConfiguration: { CORSRules: [rule] } }));

const statement = { Effect: 'Allow', Action: ['s3:PutObject', 's3:GetObject'], Resource: 'arn:aws:s3:::ruled/*' };
const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
const asked = { RoleArn: 'arn:x:ignored:by:minio:', RoleSessionName: 'page', DurationSeconds: 900, Policy };
const given = (await sts.send(new AssumeRoleCommand(asked))).Credentials;
const temporary = client({ accessKeyId: given.AccessKeyId, secretAccessKey: given.SecretAccessKey, sessionToken: given.SessionToken });

const form = (Bucket, Key, { by = s3, Conditions = [], Fields = {} } = {}) => createPresignedPost(by, { Bucket, Key, Conditions, Fields, Expires: 600 });
const link = (Key, by = s3) => getSignedUrl(by, new sdk.GetObjectCommand({ Bucket: 'ruled', Key }), { expiresIn: 600 });
const picture = { Conditions: [['content-length-range', 1, 1000], ['starts-with', '$Content-Type', 'image/']], Fields: { success_action_status: '201' } };

console.log(JSON.stringify({
  picture: await form('ruled', 'pictures/${filename}', picture),
  picture_link: await link('pictures/three by two.png'),
  large: await form('ruled', 'large'),
  sent_on: await form('ruled', 'sent on/${filename}', { Fields: { success_action_redirect: `${PAGE}/done?from=form` } }),
  sent_on_link: await link('sent on/notes.txt'),
  temporary: await form('ruled', 'temporary/${filename}', { by: temporary }),
  temporary_elsewhere: await form('unruled', 'temporary/${filename}', { by: temporary }),
  temporary_link: await link('temporary/notes.txt', temporary),
  unruled: await form('unruled', 'unread/${filename}'),
}));
