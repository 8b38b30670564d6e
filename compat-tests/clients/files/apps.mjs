// Apps as they are written against hosted back ends: the three shapes in which clients read answers, files in one piece and in
// parts, other sign-ins, servers with a secret key. Nothing but what Node has.
import { createHash } from 'node:crypto';
import { ENDPOINT, MIB, data, equal, holds, main, test } from '../cases.mjs';
import { BUCKET, PNG, SECRET, SK, V1, ann, bob, bytes, call, fails, good, guest, png, put, reader, refused, server, status, stored, token, unwrapped } from './app.mjs';

test('a_file_in_three_steps', async () => {
  const content = png(1, 500);
  const signed = await good(ann, 'POST', '/files/presigned-url', { filename: 'cat.png', contentType: 'image/png', fileSize: content.length });
  for (const field of ['url', 'key', 'filename', 'contentType']) holds(signed[field] && unwrapped(signed)[field] === signed[field], field);
  const up = await put(signed.url, content);
  equal(up.status, 200);
  await up.arrayBuffer();
  const made = await good(ann, 'POST', '/files', { s3Key: signed.key, originalName: 'cat.png', mimeType: 'image/png', size: content.length, width: 900, metadata: { alt: 'A cat', tags: ['cat'], custom: { mood: 'good' } } }, 201);
  equal([made.s3Key, made.originalName, made.mimeType, made.size, made.visibility, made.ownerId, made.ownerType], [signed.key, 'cat.png', 'image/png', content.length, 'private', 'ann', 'user']);
  equal([made.width, made.height], [1, 1], 'the picture says so, not the client');
  equal(made.metadata.custom, { mood: 'good' });
  const again = await good(ann, 'GET', `/files/${made.id}`);
  equal(unwrapped(again).id, made.id);
  const listed = await good(ann, 'GET', '/files?page=1&limit=20&sortBy=createdAt&sortDirection=desc');
  holds(listed.items.some((item) => item.id === made.id), 'listed');
  equal([listed.pagination.page, listed.pagination.limit, typeof listed.pagination.total, typeof listed.pagination.hasNextPage], [1, 20, 'number', 'boolean']);
  const renamed = await good(ann, 'PATCH', `/files/${made.id}`, { originalName: 'tiger.png', metadata: { alt: 'A tiger' } });
  equal([renamed.originalName, renamed.metadata.alt, renamed.metadata.custom], ['tiger.png', 'A tiger', { mood: 'good' }]);
  const link = await good(ann, 'POST', `/files/${made.id}/download-url`);
  holds(new Date(link.expiresAt) > new Date(), 'it ends some time');
  equal([link.filename, link.contentType, link.size], ['tiger.png', 'image/png', content.length]);
  equal(await bytes(await fetch(link.url)), content);
  equal((await good(ann, 'DELETE', `/files/${made.id}`)).success, true);
  await refused(ann, 'GET', `/files/${made.id}`, undefined, 404, 'file/not-found');
  await fails(await fetch(link.url), 403, 'AccessDenied', 'the link opens nothing any more');
});

test('registered_twice_or_never_and_private_unless_somebody_says_otherwise', async () => {
  const content = png(2);
  const made = await stored(ann, 'once.png', content);
  await refused(ann, 'POST', '/files', { s3Key: made.s3Key, originalName: 'once.png', mimeType: 'image/png', size: content.length }, 409, 'file/s3-key-already-exists');
  // Apps that never register: what arrived is a file all the same.
  const signed = await good(ann, 'POST', '/files/presigned-url', { filename: 'never.png', contentType: 'image/png', visibility: 'public' });
  equal(await status(await put(signed.url, content)), 200);
  const { protocol, host, pathname } = new URL(signed.url);
  equal(await bytes(await fetch(`${protocol}//${host}${pathname}`)), content, 'without its query the address is that of the public file');
  equal((await good(guest, 'GET', `/files/${signed.fileId}`)).originalName, 'never.png');
  const kept = await good(ann, 'POST', '/files/presigned-url', { filename: 'kept.png', contentType: 'image/png' });
  equal(await status(await put(kept.url, content)), 200);
  equal(await status(await fetch(kept.url.split('?')[0])), 403, 'private unless the app says otherwise');
});

test('parts_with_one_sent_again', async () => {
  const content = png(3, 12 * MIB);
  const pieces = [content.subarray(0, 5 * MIB), content.subarray(5 * MIB, 10 * MIB), content.subarray(10 * MIB)];
  const begun = await good(ann, 'POST', '/files/multipart/init', { filename: 'film.png', contentType: 'image/png', fileSize: content.length });
  const { uploadId, key } = begun;
  const sent = async (partNumber, piece) => {
    const { url } = await good(ann, 'POST', '/files/multipart/presigned-url', { key, uploadId, partNumber });
    const answer = await fetch(url, { method: 'PUT', headers: { Origin: 'https://app.example' }, body: piece });
    equal(answer.status, 200);
    await answer.arrayBuffer();
    holds(answer.headers.get('access-control-expose-headers')?.toLowerCase().includes('etag') || answer.headers.get('access-control-expose-headers') === '*', 'pages may read the ETag');
    return { partNumber, etag: answer.headers.get('etag') };
  };
  const third = await sent(3, pieces[2]);
  await sent(1, pieces[1]);
  const parts = [await sent(1, pieces[0]), await sent(2, pieces[1]), third];
  holds(parts[0].etag.startsWith('"'), 'ETags come in quotes');
  const listed = await good(ann, 'GET', `/files/multipart/${uploadId}/parts?key=${encodeURIComponent(key)}`);
  equal((listed.parts ?? listed.items ?? unwrapped(listed)).length, 3);
  await refused(ann, 'POST', '/files/multipart/presigned-url', { key, uploadId, partNumber: 10001 }, 400, 'file/invalid-part-number-range');
  await refused(bob, 'POST', '/files/multipart/presigned-url', { key, uploadId, partNumber: 1 }, 403, 'file/access-denied');
  const done = await good(ann, 'POST', '/files/multipart/complete', { key, uploadId, parts });
  equal(done.key, key);
  holds(done.location.includes(key), 'location');
  const made = await good(ann, 'POST', '/files', { s3Key: key, originalName: 'film.png', mimeType: 'image/png', size: content.length }, 201);
  const read = await fetch(`${V1}/files/${made.id}/content`, { headers: { ...ann, Range: `bytes=${6 * MIB}-${6 * MIB + 99}` } });
  equal([read.status, (await bytes(read)).equals(content.subarray(6 * MIB, 6 * MIB + 100))], [206, true]);
});

test('the_second_dialect', async () => {
  const begun = await good(ann, 'POST', '/files/multipart/initiate', { filename: 'a.png', contentType: 'image/png', fileSize: PNG.length });
  const { url } = await good(ann, 'POST', `/files/multipart/${begun.uploadId}/part-url`, { key: begun.key, partNumber: 1 });
  const etag = await fetch(url, { method: 'PUT', body: PNG }).then(async (answer) => { await answer.arrayBuffer(); return answer.headers.get('etag'); });
  await good(ann, 'POST', `/files/multipart/${begun.uploadId}/complete`, { key: begun.key, parts: [{ partNumber: 1, etag }] });
  const given = await good(ann, 'POST', '/files/multipart/initiate', { filename: 'b.png', contentType: 'image/png', fileSize: PNG.length });
  const late = await good(ann, 'POST', `/files/multipart/${given.uploadId}/part-url`, { key: given.key, partNumber: 1 });
  const aborted = await good(ann, 'POST', `/files/multipart/${given.uploadId}/abort`, { key: given.key });
  equal([aborted.success, aborted.key], [true, given.key]);
  await fails(await fetch(late.url, { method: 'PUT', body: PNG }), 403, 'AccessDenied', 'no part after the abort');
  const signed = await good(ann, 'POST', '/files/presigned-url', { filename: 'c.png', contentType: 'image/png' });
  equal(await status(await put(signed.url, PNG)), 200);
  const made = await good(ann, 'POST', `/files/${signed.fileId}/complete`);
  equal((await good(ann, 'POST', `/files/${signed.fileId}/complete`)).id, made.id, 'as often as you like');
  equal((await good(ann, 'PATCH', `/files/${made.id}/visibility`, { visibility: 'public' })).visibility, 'public');
  equal(await bytes(await fetch((await good(ann, 'GET', `/files/${made.id}/download-url`)).url)), PNG);
  const buckets = await good(ann, 'GET', '/files/buckets');
  holds(JSON.stringify(buckets).includes('avatars'), 'buckets');
});

test('who_sees_what', async () => {
  const expected = {
    public: [200, 200, 200, 200], private: [200, 403, 403, 200], protected: [200, 200, 403, 200], shared: [200, 403, 403, 200],
  };
  for (const [visibility, answers] of Object.entries(expected)) {
    const made = await stored(ann, `${visibility}.png`, png(4), { visibility });
    const callers = [ann, bob, guest, server];
    for (const [at, who] of callers.entries()) {
      const what = `${visibility} ${['owner', 'other', 'guest', 'server'][at]}`;
      equal((await call(who, 'GET', `/files/${made.id}`)).status, answers[at], `${what}: record`);
      equal(await status(await fetch(`${V1}/files/${made.id}/content`, { headers: who })), answers[at], `${what}: bytes`);
      equal((await call(who, 'POST', `/files/${made.id}/download-url`)).status, answers[at], `${what}: link`);
      const list = await good(who, 'GET', '/files?limit=100');
      equal(list.items.some((item) => item.id === made.id), answers[at] === 200, `${what}: list`);
    }
    const seen = await call(bob, 'GET', `/files/${made.id}`);
    if (seen.status === 200) holds(!('ownerId' in seen.json) || seen.json.ownerId === undefined, 'others see public fields only');
    await refused(bob, 'PATCH', `/files/${made.id}`, { originalName: 'mine.png' }, 403, 'file/access-denied');
    await refused(bob, 'DELETE', `/files/${made.id}`, undefined, 403, 'file/access-denied');
    equal(await status(await fetch(`${ENDPOINT}/${BUCKET}/${made.s3Key}`)), visibility === 'public' ? 200 : 403, `${visibility} by S3, without a key`);
  }
});

test('shared_and_taken_back', async () => {
  const made = await stored(ann, 'plan.png', png(5));
  await good(ann, 'POST', `/files/${made.id}/shares`, { type: 'user', id: 'bob', access: 'read' }, 201);
  equal((await good(bob, 'GET', `/files/${made.id}`)).id, made.id);
  holds((await good(bob, 'GET', '/files?sharedWithMe=true')).items.some((item) => item.id === made.id), 'listed to whom it is shared with');
  const link = await good(bob, 'POST', `/files/${made.id}/download-url`);
  equal(await status(await fetch(link.url)), 200);
  await good(ann, 'PATCH', `/files/${made.id}`, { visibility: 'private' });
  equal(await status(await fetch(link.url)), 403, 'a link counts as whoever asked for it, now');
  const own = await good(ann, 'POST', `/files/${made.id}/download-url`);
  equal(await status(await fetch(own.url)), 200);
  await good(ann, 'POST', `/files/${made.id}/revoke-urls`);
  equal(await status(await fetch(own.url)), 403, 'revoked');
});

test('what_an_address_to_upload_does_not_take', async () => {
  const content = png(6);
  const asked = { filename: 'small.png', contentType: 'image/png', fileSize: content.length };
  const large = await good(ann, 'POST', '/files/presigned-url', asked);
  await fails(await put(large.url, Buffer.concat([content, data(1, 5 * MIB)])), 400, 'EntityTooLarge', 'larger than announced');
  const twice = await good(ann, 'POST', '/files/presigned-url', asked);
  equal(await status(await put(twice.url, content)), 200);
  await fails(await put(twice.url, png(7)), 412, 'PreconditionFailed', 'a second time');
  equal(await bytes(await fetch(`${V1}/files/${twice.fileId}/content`, { headers: ann })), content, 'the first stays');
  const other = await good(ann, 'POST', '/files/presigned-url', asked);
  const elsewhere = other.url.replace(other.key.split('/')[0], twice.key.split('/')[0]);
  await fails(await put(elsewhere, content), 403, 'SignatureDoesNotMatch', 'another file');
  await fails(await fetch(other.url), 403, 'SignatureDoesNotMatch', 'to read');
  await good(ann, 'DELETE', `/files/${other.fileId}`);
  await fails(await put(other.url, content), 403, 'AccessDenied', 'a file that was deleted before it came');
});

test('bad_input', async () => {
  const asked = { filename: 'a.png', contentType: 'image/png' };
  const wrong = [
    [{ ...asked, filename: '' }, 'file/invalid-name'], [{ ...asked, filename: '../../etc/passwd' }, 'file/invalid-path'],
    [{ ...asked, filename: 'a'.repeat(300) }, 'file/original-name-too-long'], [{ ...asked, contentType: 'x'.repeat(300) }, 'file/mime-type-too-long'],
    [{ ...asked, fileSize: -1 }, 'file/size-negative'], [{ ...asked, contentType: 'nonsense' }, 'file/invalid-format'],
  ];
  for (const [body, code] of wrong) await refused(ann, 'POST', '/files/presigned-url', body, 400, code);
  await refused({}, 'GET', '/files', undefined, 401, 'UNAUTHORIZED');
  await refused({ 'X-API-Key': SK.replace('sk_', 'pk_') }, 'GET', '/files', undefined, 401, 'UNAUTHORIZED');
  await refused(guest, 'POST', '/files/presigned-url', asked, 401, 'common/authentication-required');
  const wrongTokens = [token('ann', {}, 'another secret'), token('ann', {}, SECRET, 'none'), token('ann', {}, SECRET, 'HS384'), 'nonsense', token('ann', { exp: undefined })];
  for (const bad of wrongTokens) await refused({ ...guest, Authorization: `Bearer ${bad}` }, 'GET', '/files', undefined, 401, 'INVALID_TOKEN');
  await refused({ ...guest, Authorization: `Bearer ${token('ann', { exp: 1_000_000_000 })}` }, 'GET', '/files', undefined, 401, 'TOKEN_EXPIRED');
  await refused(reader, 'POST', '/files/presigned-url', asked, 403, 'SCOPE_INSUFFICIENT');
  await refused({ ...server, Origin: 'https://app.example' }, 'GET', '/files', undefined, 403, 'PERMISSION_DENIED');
  await refused(ann, 'GET', '/files/00000000-0000-7000-8000-000000000000', undefined, 404, 'file/not-found');
  await refused(ann, 'GET', '/nothing/here', undefined, 404, 'common/not-found');
});

test('a_server_writes_a_report_and_a_user_fetches_it', async () => {
  const report = Buffer.from('month,sales\nmay,12\n');
  const answer = await fetch(`${V1}/files/upload?filename=report.csv&visibility=protected`, { method: 'POST', headers: { ...server, 'Content-Type': 'text/csv' }, body: report });
  equal(answer.status, 201);
  const made = unwrapped(await answer.json());
  equal(await status(await fetch(`${V1}/files/${made.id}/content`, { headers: guest })), 403);
  equal(await bytes(await fetch(`${V1}/files/${made.id}/content`, { headers: bob })), report);
});

test('an_upload_url_takes_one_post', async () => {
  const content = png(8, 1000);
  const { uploadUrl } = await good(ann, 'POST', '/files/upload-url', { filename: 'photo.png', contentType: 'image/png' });
  const digest = `sha-256=${createHash('sha256').update(content).digest('base64')}`;
  const answer = await fetch(uploadUrl, { method: 'POST', headers: { 'Content-Type': 'image/png', Digest: digest }, body: content });
  equal(answer.status, 200);
  const { storageId } = unwrapped(await answer.json());
  holds(storageId, 'storageId');
  const again = await fetch(uploadUrl, { method: 'POST', body: content });
  equal([again.status, (await again.json()).error.code], [409, 'file/invalid-state'], 'one');
});

test('the_trash_gives_back', async () => {
  const made = await stored(ann, 'oops.png', png(9));
  await good(ann, 'DELETE', `/files/${made.id}`);
  await refused(bob, 'POST', `/files/${made.id}/restore`, undefined, 403, 'file/access-denied');
  await good(ann, 'POST', `/files/${made.id}/restore`);
  equal(await bytes(await fetch(`${V1}/files/${made.id}/content`, { headers: ann })), png(9));
  await good(ann, 'DELETE', `/files/${made.id}?purge=true`);
  await refused(ann, 'POST', `/files/${made.id}/restore`, undefined, 404, 'file/not-found');
});

test('pages_of_any_origin_may_call', async () => {
  const asks = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-api-key,authorization,content-type' };
  const preflight = await fetch(`${V1}/files/presigned-url`, { method: 'OPTIONS', headers: asks });
  equal(preflight.status, 204, 'preflight');
  holds(['*', 'https://app.example'].includes(preflight.headers.get('access-control-allow-origin')), 'origin');
  const signed = await good(ann, 'POST', '/files/presigned-url', { filename: 'x.png', contentType: 'image/png' });
  const upload = await fetch(signed.url, { method: 'OPTIONS', headers: { ...asks, 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type' } });
  equal(upload.status, 200, 'preflight of the PUT');
});

await main();
