// Apps in the shapes of other back ends, over nothing but the Files API: Convex's storage of functions, Redwood's savers and hooks
// of a database, servers that write what users fetch, and work on files that nobody keeps.
import { createHash } from 'node:crypto';
import { Model } from '../../../examples/redwood/model.mjs';
import { Storage } from '../../../examples/redwood/storage.mjs';
import { Table } from '../../../examples/redwood/table.mjs';
import { ENDPOINT, data, equal, holds, main, test } from '../cases.mjs';
import { SK, V1, ann, bob, bytes, call, fails, good, guest, png, server, status } from './app.mjs';

const sha256 = (content) => createHash('sha256').update(content);
const stored = () => good(server, 'GET', '/files/usage').then(({ bytes: all, count }) => [all, count]);

// Convex: functions of the app's server ask, its pages send and show; a file is told of by its id.
const convex = {
  generateUploadUrl: async (named = {}) => (await good(server, 'POST', '/files/upload-url', named)).uploadUrl,
  // What opens the file without a sign-in, until the file is deleted; null if there is none.
  async getUrl(id) {
    const made = await call(server, 'POST', `/files/${id}/shares`, { type: 'link', access: 'read' });
    return made.status === 404 ? null : made.json.url;
  },
  async getMetadata(id) {
    const { status: found, json } = await call(server, 'GET', `/files/${id}`);
    return found === 404 ? null : { _id: json.id, _creationTime: Date.parse(json.createdAt), sha256: json.sha256, size: json.size, contentType: json.mimeType };
  },
  delete: (id) => good(server, 'DELETE', `/files/${id}?purge=true`),
  async store(content, type) {
    const sent = await fetch(await convex.generateUploadUrl(), { method: 'POST', headers: { 'Content-Type': type }, body: content });
    return (await sent.json()).storageId;
  },
};

const post = (url, content, headers = {}) => fetch(url, { method: 'POST', headers, body: content });

test('convex_generates_an_address_posts_and_gets_a_url', async () => {
  const before = await stored();
  const content = png(11, 3000);
  const url = await convex.generateUploadUrl();
  const answer = await post(url, content, { 'Content-Type': 'image/png' });
  equal(answer.status, 200);
  const { storageId } = await answer.json();
  const known = await convex.getMetadata(storageId);
  equal([known._id, known.size, known.contentType, known.sha256], [storageId, content.length, 'image/png', sha256(content).digest('hex')]);
  holds(Math.abs(known._creationTime - Date.now()) < 3_600_000, 'it was made now');
  const shown = await convex.getUrl(storageId);
  const read = await fetch(shown);
  equal([read.status, read.headers.get('content-type')], [200, 'image/png']);
  equal(await bytes(read), content);
  const part = await fetch(shown, { headers: { Range: 'bytes=10-19' } });
  equal([part.status, await bytes(part)], [206, content.subarray(10, 20)]);
  await convex.delete(storageId);
  await fails(await fetch(shown), 403, 'AccessDenied', 'the url of a deleted file opens nothing');
  equal([await convex.getUrl(storageId), await convex.getMetadata(storageId)], [null, null]);
  equal(await stored(), before, 'nothing is left');
});

test('convex_says_a_digest_and_it_is_held_to', async () => {
  const content = data(12, 2000);
  const url = await convex.generateUploadUrl();
  const told = (of) => ({ Digest: `sha-256=${sha256(of).digest('base64')}` });
  const wrong = await post(url, content, told('something else'));
  equal([wrong.status, (await wrong.json()).error.code], [400, 'file/digest-mismatch']);
  // Nothing arrived, so the address is good for the right bytes.
  const right = await post(url, content, told(content));
  equal(right.status, 200);
  const { storageId, size } = await right.json();
  equal(size, content.length);
  const again = await post(url, content);
  equal([again.status, (await again.json()).error.code], [409, 'file/invalid-state'], 'and for no second file');
  await convex.delete(storageId);
});

test('convex_stores_from_an_action', async () => {
  const id = await convex.store('a line\n', 'text/plain');
  equal((await bytes(await fetch(await convex.getUrl(id)))).toString(), 'a line\n');
  await convex.delete(id);
});

// Redwood: forms reach the app's server, its storage keeps their files, and what the database does decides which of them stay.
const storage = new Storage({ url: ENDPOINT, key: SK });
const drop = (...ids) => storage.purge({ delete: ids });

/** Fails when told to, as databases do. */
class Failing extends Table {
  failing = false;

  async #away(does) {
    if (this.failing) throw new Error('the database is away');
    return does();
  }

  create(id, row) { return this.#away(() => super.create(id, row)); }

  update(id, changes) { return this.#away(() => super.update(id, changes)); }

  delete(id) { return this.#away(() => super.delete(id)); }
}

const model = (table, settle) => new Model('profile', { table, fields: ['avatar'], storage, settle });
/** Keeps nothing in the trash. */
const purging = (table) => model(table, (changes) => storage.purge(changes));

const picture = (seed, name = 'me.png') => new File([png(seed, 100 * seed)], name, { type: 'image/png' });
const failed = (work) => work.then(() => null, (error) => error.message);

test('redwood_changes_its_files_in_one_commit_with_its_row', async () => {
  const gone = async (id) => equal((await call(server, 'GET', `/files/${id}`)).status, 404, `${id} is gone`);
  const there = async (id) => equal((await call(server, 'GET', `/files/${id}`)).status, 200, `${id} is there`);
  const table = new Failing();
  const profiles = model(table);
  const first = await profiles.upsert('8', { name: 'Bob', avatar: picture(2) });
  await there(first.avatar);
  const second = await profiles.upsert('8', { avatar: picture(3) });
  await gone(first.avatar);
  await there(second.avatar);
  table.failing = true;
  const kept = new Set((await good(server, 'GET', '/files?relatedEntityId=profile-8')).items.map((file) => file.id));
  equal(await failed(profiles.upsert('8', { avatar: picture(4) })), 'the database is away');
  const after = (await good(server, 'GET', '/files?relatedEntityId=profile-8')).items.map((file) => file.id);
  holds(after.every((id) => kept.has(id)), 'what failed left no file behind');
  table.failing = false;
  await profiles.delete('8');
  await gone(second.avatar);
  // An item that cannot be done refuses all of it.
  const third = (await profiles.upsert('9', { avatar: picture(5) })).avatar;
  const refused = await call(server, 'POST', '/files:commit', { delete: [third, first.avatar] });
  equal(refused.status, 404);
  await there(third);
  await profiles.delete('9');
});

test('redwood_saves_replaces_and_deletes_with_its_row', async () => {
  const before = await stored();
  const table = new Failing();
  const profiles = purging(table);
  const first = await profiles.upsert('7', { name: 'Ann', avatar: picture(2) });
  const kept = await good(server, 'GET', '/files?relatedEntityId=profile-7');
  equal(kept.items.map((file) => file.id), [first.avatar]);
  const second = await profiles.upsert('7', { avatar: picture(3) });
  holds(second.avatar !== first.avatar && second.name === 'Ann', 'another picture, the same row');
  equal((await call(server, 'GET', `/files/${first.avatar}`)).status, 404, 'the old picture is gone');
  await profiles.upsert('7', { name: 'Anna' });
  equal((await call(server, 'GET', `/files/${second.avatar}`)).status, 200, 'a change of something else keeps it');
  const signed = await good(server, 'POST', `/files/${second.avatar}/download-url`, { expiresIn: 60 });
  equal(await bytes(await fetch(signed.url)), png(3, 300));
  await profiles.delete('7');
  equal(await status(await fetch(signed.url)), 403, 'nor does a signed address open what is gone');
  equal(await stored(), before, 'nothing is left');
});

test('redwood_leaves_nothing_behind_where_the_database_fails', async () => {
  const before = await stored();
  const table = new Failing();
  const profiles = purging(table);
  table.failing = true;
  equal(await failed(profiles.upsert('8', { avatar: picture(4) })), 'the database is away');
  equal(await stored(), before, 'a row that was not made has no file');
  table.failing = false;
  const row = await profiles.upsert('8', { avatar: picture(5) });
  const with_one = await stored();
  table.failing = true;
  equal(await failed(profiles.upsert('8', { avatar: picture(6) })), 'the database is away');
  equal(await failed(profiles.delete('8')), 'the database is away');
  equal(await stored(), with_one, 'the old file stays, the new one is gone');
  equal(await bytes(await fetch(`${V1}/files/${row.avatar}/content`, { headers: server })), png(5, 500));
  table.failing = false;
  await profiles.delete('8');
  equal(await stored(), before);
});

test('redwood_takes_a_picture_away_and_leaves_the_row', async () => {
  const before = await stored();
  const profiles = purging(new Failing());
  const { avatar } = await profiles.create('10', { name: 'Eve', avatar: picture(9) });
  equal(await profiles.update('10', { avatar: null }), { name: 'Eve', avatar: null });
  equal((await call(server, 'GET', `/files/${avatar}`)).status, 404);
  await profiles.delete('10');
  equal(await stored(), before, 'nothing is left');
});

test('redwood_saves_a_list_and_shows_small_ones_in_the_page', async () => {
  const before = await stored();
  const ids = await storage.saveAll([picture(7, 'one.png'), picture(8, 'two.png')], 'album-1');
  const { items } = await good(server, 'GET', '/files?relatedEntityId=album-1&sortBy=originalName&sortDirection=asc');
  equal(items.map((file) => file.originalName), ['one.png', 'two.png']);
  equal(await bytes(await fetch(await storage.dataUri(ids[0]))), png(7, 700));
  await drop(...ids);
  const odd = new File([png(1)], 'three.png', { type: `image/${'x'.repeat(300)}` });
  holds(await failed(storage.saveAll([picture(7, 'one.png'), odd], 'album-2')), 'one of a list is refused');
  equal(await stored(), before, 'and none of it is kept');
});

test('a_report_that_a_server_wrote_for_one_user', async () => {
  const report = Buffer.from('month,sales\nmay,12\n');
  const answer = await fetch(`${V1}/files/upload?filename=${encodeURIComponent('Sales in May.csv')}`, { method: 'POST', headers: { ...server, 'Content-Type': 'text/csv' }, body: report });
  const { id } = await answer.json();
  equal(answer.status, 201);
  await good(server, 'POST', `/files/${id}/shares`, { type: 'user', id: 'bob', issuer: 'own', access: 'read' }, 201);
  const { items } = await good(bob, 'GET', '/files?sharedWithMe=true');
  equal(items.filter((file) => file.id === id).map((file) => file.originalName), ['Sales in May.csv']);
  const link = await good(bob, 'POST', `/files/${id}/download-url`, { disposition: 'attachment' });
  const read = await fetch(link.url);
  holds(read.headers.get('content-disposition').startsWith('attachment'), 'saved, not shown');
  equal(await bytes(read), report);
  for (const other of [ann, guest]) equal((await call(other, 'GET', `/files/${id}`)).status, 403);
  await good(server, 'DELETE', `/files/${id}?purge=true`);
});

test('converted_handed_back_and_not_kept', async () => {
  const before = await stored();
  const signed = await good(ann, 'POST', '/files/presigned-url', { filename: 'list.csv', contentType: 'text/csv', bucket: 'temp' });
  equal(await status(await fetch(signed.url, { method: 'PUT', headers: { 'Content-Type': 'text/csv' }, body: 'name,age\nAnn,40\nBob,41\n' })), 200);
  // Whatever happens to the app now, this ends by itself.
  const known = await good(ann, 'GET', `/files/${signed.fileId}`);
  const hours = (Date.parse(known.expiresAt) - Date.parse(known.createdAt)) / 3_600_000;
  equal([known.bucket, hours], ['temp', 24]);
  const text = (await bytes(await fetch(`${V1}/files/${signed.fileId}/content`, { headers: server }))).toString();
  const [names, ...lines] = text.trim().split('\n').map((line) => line.split(','));
  const rows = lines.map((line) => Object.fromEntries(line.map((value, at) => [names[at], value])));
  const owner = { ...server, Authorization: ann.Authorization };
  const answer = await fetch(`${V1}/files/upload?filename=list.json&bucket=temp`, { method: 'POST', headers: { ...owner, 'Content-Type': 'application/json' }, body: JSON.stringify(rows) });
  const converted = await answer.json();
  equal([answer.status, converted.ownerId, converted.bucket], [201, 'ann', 'temp']);
  equal(await (await fetch((await good(ann, 'POST', `/files/${converted.id}/download-url`)).url)).json(), [{ name: 'Ann', age: '40' }, { name: 'Bob', age: '41' }]);
  for (const id of [signed.fileId, converted.id]) await good(ann, 'DELETE', `/files/${id}?purge=true`);
  equal(await stored(), before, 'nothing is left');
});

await main();
