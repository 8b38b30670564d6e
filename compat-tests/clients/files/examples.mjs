// The scripts of examples/bkend and examples/redwood as somebody runs them, what they leave, and what the first does where parts break off.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Files } from '../../../examples/bkend/files.mjs';
import { ENDPOINT, MIB, data, equal, holds, main, test } from '../cases.mjs';
import { PK, PNG, SK, V1, ann, bytes, call, good, png, server, token } from './app.mjs';

const IMAGE_HOST = `${V1}/img/shop/dev`;
const TOKEN = token('ann');
const stored = () => good(server, 'GET', '/files/usage').then(({ bytes: all, count }) => [all, count]);
const refused = (work) => work.then(() => null, (error) => error);

/** What a script of an example printed; it must end well. */
async function run(name, environment, ...words) {
  const script = fileURLToPath(new URL(`../../../examples/${name}/main.mjs`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...words], { env: { PATH: process.env.PATH, ...environment } });
  return stdout.trim().split('\n');
}

/** The same, of one that must fail: what it said. */
const told = async (...asked) => (await refused(run(...asked)))?.stderr;

test('the_script_in_bkends_shape_runs_as_it_is', async () => {
  const before = await stored();
  writeFileSync('cat.png', PNG);
  const environment = { API_URL: V1, IMAGE_HOST, API_KEY: PK, ACCESS_TOKEN: TOKEN };
  const [uploaded, thumbnail, ...more] = await run('bkend', environment, 'cat.png');
  const [, id] = uploaded.match(/^uploaded (\S+), 1 by 1$/) ?? [];
  holds(id, uploaded);
  holds(thumbnail.startsWith(`thumbnail 200 ${IMAGE_HOST}/200x150/smart/`), thumbnail);
  const size = PNG.length;
  equal(more, ['listed 1', 'renamed My cat.png', 'thumbnail of a private file 403', `read ${size} of ${size} bytes`, 'removed 404']);
  const back = await good(ann, 'POST', `/files/${id}/restore`);
  equal([back.originalName, back.bucket, back.visibility, back.metadata.alt], ['My cat.png', 'images', 'private', 'A picture']);
  await good(ann, 'DELETE', `/files/${id}?purge=true`);
  equal(await stored(), before);
  holds((await told('bkend', { ...environment, API_KEY: '' }, 'cat.png')).startsWith('API_KEY='), 'it says what it needs');
  holds((await told('bkend', { ...environment, ACCESS_TOKEN: 'nonsense' }, 'cat.png')).includes('INVALID_TOKEN'), 'and what it was answered');
});

/** Loses the answer of a PUT as often as it is told to. */
const losing = (times) => {
  let left = times;
  return async (url, asked) => {
    const answer = await fetch(url, asked);
    if (asked.method !== 'PUT' || left === 0) return answer;
    left -= 1;
    await answer.arrayBuffer();
    throw new TypeError('fetch failed');
  };
};
const files = (transport) => new Files({ api: V1, images: IMAGE_HOST, key: PK, token: TOKEN, fetch: transport });
const film = png(20, 21 * MIB);

test('a_part_in_bkends_shape_goes_again_where_it_broke_off', async () => {
  const before = await stored();
  const made = await files(losing(2)).upload('film.png', new Blob([film], { type: 'image/png' }), { visibility: 'protected' });
  equal([made.originalName, made.size, made.visibility, made.status], ['film.png', film.length, 'protected', 'active']);
  equal(await bytes(await fetch(`${V1}/files/${made.id}/content`, { headers: ann })), film);
  await good(ann, 'DELETE', `/files/${made.id}?purge=true`);
  equal(await stored(), before);
});

test('an_upload_in_bkends_shape_that_failed_is_given_up', async () => {
  let begun;
  const seen = losing(Infinity);
  const watching = async (url, asked) => {
    if (asked.body && `${url}`.endsWith('/presigned-url')) begun = JSON.parse(asked.body).uploadId;
    return seen(url, asked);
  };
  const error = await refused(files(watching).upload('film.png', new Blob([film], { type: 'image/png' })));
  equal(error.message, 'fetch failed');
  equal((await call(ann, 'GET', `/files/multipart/${begun}/parts`)).status, 404, 'its upload is gone');
});

test('lists_in_bkends_shape_go_on_over_pages_and_errors_tell_their_code', async () => {
  const mine = files(fetch);
  const names = Array.from({ length: 101 }, (_, at) => `n${String(at).padStart(3, '0')}.txt`);
  const made = [];
  for (const name of names) made.push(await mine.upload(name, new Blob([data(name, 10)]), { metadata: { relatedEntityId: 'pages' } }));
  const listed = [];
  for await (const { originalName } of mine.list({ relatedEntityId: 'pages', sortBy: 'originalName', sortDirection: 'asc' })) listed.push(originalName);
  equal(listed, names);
  for (const { id } of made) await good(ann, 'DELETE', `/files/${id}?purge=true`);
  const error = await refused(mine.get(made[0].id));
  equal([error.status, error.code], [404, 'file/not-found']);
});

test('the_script_in_redwoods_shape_runs_as_it_is', async () => {
  const count = async () => (await good(server, 'GET', '/files?limit=100')).items.length;
  const before = await count();
  writeFileSync('one.png', png(21, 10));
  writeFileSync('two.png', png(22, 20));
  const said = await run('redwood', { DRYSTONE_URL: ENDPOINT, DRYSTONE_SECRET_KEY: SK }, 'one.png', 'two.png');
  const id = '([-0-9a-f]{36})';
  const expected = [`made ${id} opens 200`, `replaced by ${id} opens 200`, 'the first one opens nothing', 'refused: There is a row 1.', `deleted ${id} opens nothing`];
  const found = expected.map((line, at) => said[at]?.match(new RegExp(`^${line}$`)));
  holds(found.every(Boolean) && said.length === expected.length, said.join('\n'));
  const [first, second] = [found[0][1], found[1][1]];
  equal(found[4][1], second);
  equal(await count(), before, 'no file is left without a row');
  // What went lies in the trash: both come back as they were.
  for (const [which, content] of [[first, png(21, 10)], [second, png(22, 20)]]) {
    await good(server, 'POST', `/files/${which}/restore`);
    equal(await bytes(await fetch(`${V1}/files/${which}/content`, { headers: server })), content);
    await good(server, 'DELETE', `/files/${which}?purge=true`);
  }
  holds((await told('redwood', {}, 'one.png', 'two.png')).startsWith('DRYSTONE_SECRET_KEY='), 'it says what it needs');
});

await main();
