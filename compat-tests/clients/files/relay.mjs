// The server of examples/relay: pictures that pass through it by GraphQL and by REST, and what it leaves where something fails.
import { createRequire } from 'node:module';
import { ENDPOINT, equal, holds, main, test } from '../cases.mjs';
import { SK, bytes, fails, good, server, status } from './app.mjs';

const EXAMPLE = process.env.COMPAT_EXAMPLE;
const sharp = createRequire(`${EXAMPLE}/`)('sharp');
const { serve } = await import(`${EXAMPLE}/server.mjs`);
const { Table } = await import(`${EXAMPLE}/table.mjs`);

/** Fails when told to, as databases do. */
class Failing extends Table {
  failing = false;

  async insert(row) {
    if (this.failing) throw new Error('the database is away');
    await super.insert(row);
  }
}

const table = new Failing();
const app = await serve({ drystone: ENDPOINT, key: SK, environment: 'shop/dev', table, port: 0 });
const home = `http://127.0.0.1:${app.address().port}`;
const stored = () => good(server, 'GET', '/files/usage').then(({ bytes: all, count }) => [all, count]);

// Lies on its side, as phones write it, and tells where it was taken.
const taken = await sharp({ create: { width: 2400, height: 1200, channels: 3, background: '#47a' } })
  .withMetadata({ orientation: 6 })
  .withExifMerge({ IFD0: { Copyright: 'somebody' }, IFD3: { GPSLatitude: '51/1 30/1 0/1' } })
  .jpeg()
  .toBuffer();

async function graphql(title, file) {
  const query = 'mutation ($title: String!, $file: File!) { addPhoto(title: $title, file: $file) { id title width height picture thumbnail } }';
  const form = new FormData();
  form.append('operations', JSON.stringify({ query, variables: { title, file: null } }));
  form.append('map', JSON.stringify({ 0: ['variables.file'] }));
  form.append('0', new File([file], 'from a phone.jpg', { type: 'image/jpeg' }));
  return (await fetch(`${home}/graphql`, { method: 'POST', body: form })).json();
}

async function seen(url) {
  const answer = await fetch(url, { headers: { Accept: 'image/webp' } });
  equal(answer.status, 200, url);
  return sharp(await bytes(answer)).metadata();
}

test('by_graphql_resized_stored_and_linked', async () => {
  const before = await stored();
  const { data, errors } = await graphql('A lake', taken);
  equal(errors, undefined);
  const { id, title, width, height, picture, thumbnail } = data.addPhoto;
  equal([title, width, height], ['A lake', 800, 1600], 'upright, and smaller');
  const whole = await seen(picture);
  equal([whole.format, whole.width, whole.height, whole.exif], ['webp', 800, 1600, undefined]);
  const small = await seen(thumbnail);
  equal([small.width, small.height], [300, 200]);
  const { items } = await good(server, 'GET', `/files?relatedEntityId=photo-${id}`);
  equal(items.map((file) => [file.visibility, file.bucket, file.mimeType, file.width, file.height]), [['public', 'images', 'image/webp', 800, 1600]]);
  const listed = await (await fetch(`${home}/photos`)).json();
  equal(listed.map((photo) => photo.id), [id]);
  const removed = await fetch(`${home}/graphql`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: 'mutation ($id: ID!) { removePhoto(id: $id) }', variables: { id } }),
  });
  equal((await removed.json()).data, { removePhoto: true });
  await fails(await fetch(picture), 403, 'AccessDenied', 'the picture is gone');
  equal(await stored(), before, 'nothing is left');
});

test('by_rest_too', async () => {
  const before = await stored();
  const answer = await fetch(`${home}/photos?title=A%20hill`, { method: 'POST', headers: { 'Content-Type': 'image/jpeg' }, body: taken });
  equal(answer.status, 201);
  const photo = await answer.json();
  equal([photo.title, (await seen(photo.picture)).height], ['A hill', 1600]);
  equal(await status(await fetch(`${home}/photos/${photo.id}`, { method: 'DELETE' })), 200);
  equal(await stored(), before);
});

test('what_is_no_picture_or_too_large_is_stored_nowhere', async () => {
  const before = await stored();
  const { data, errors } = await graphql('No picture', Buffer.from('<svg onload="alert(1)">'));
  equal([data, errors.length], [null, 1]);
  equal(await status(await fetch(`${home}/photos`, { method: 'POST', body: 'text' })), 400);
  equal(await status(await fetch(`${home}/photos`, { method: 'POST', body: Buffer.alloc(20_000_001) })), 413);
  const large = await graphql('Too large', Buffer.concat([taken, Buffer.alloc(20_000_001)]));
  holds(large.errors?.length > 0, 'too large by GraphQL');
  equal(await (await fetch(`${home}/photos`)).json(), []);
  equal(await stored(), before);
});

test('where_the_database_fails_no_file_is_left', async () => {
  const before = await stored();
  table.failing = true;
  const { errors } = await graphql('Lost', taken);
  holds(errors.length === 1 && !JSON.stringify(errors).includes('database'), 'the reason is not told to strangers');
  equal(await status(await fetch(`${home}/photos`, { method: 'POST', body: taken })), 500);
  table.failing = false;
  equal(await stored(), before);
});

await main();
