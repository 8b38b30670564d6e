// Uppy in a real browser: its uploader for tus and the one for S3, whole files, and pages that are loaded anew half-way.
import { writeFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ENDPOINT, MIB, data, equal, holds, load, main, test } from '../cases.mjs';
import { V1, ann, bob, bytes, good, server, status } from '../files/app.mjs';
import { Gate, IN_SOCKETS, launch, open } from './browser.mjs';

const { COMPAT_UPPY: UPPY, COMPAT_MODULES_UPPY: MODULES, COMPAT_FILES: FILES } = process.env;
/** The least that a part has, and what samples of apps send. */
const [PART, LARGE_PART] = [5 * MIB, 10 * MIB];

const gate = await Gate.before(Number(new URL(ENDPOINT).port));
const through = `http://127.0.0.1:${gate.port}`;

/** What an app's server does for a page that sends Companion no key: it passes on what is below `/companion`, as the page's user. */
function pass(asked, answer) {
  const { 'content-type': type, 'content-length': length } = asked.headers;
  const headers = { ...ann, ...(length && { 'Content-Type': type, 'Content-Length': length }) };
  const passed = ask(`${through}/v1${asked.url.slice('/companion'.length)}`, { method: asked.method, headers, agent: false }, (told) => {
    answer.writeHead(told.statusCode, { 'Content-Type': told.headers['content-type'] });
    told.pipe(answer);
  });
  // Also when the gate ends it: the page learns that it broke off.
  passed.on('error', () => answer.destroy());
  asked.pipe(passed);
}

async function site() {
  const { outputFiles } = await load('esbuild').build({
    entryPoints: [join(import.meta.dirname, '..', UPPY, 'page.mjs')],
    bundle: true,
    write: false,
    nodePaths: [join(MODULES, 'node_modules')],
  });
  const told = { api: `${through}/v1`, s3: `${through}/shop-dev`, headers: ann, part: PART, largePart: LARGE_PART };
  const html = `<!doctype html><meta charset="utf-8"><title>Uppy</title><input id="choose" type="file">
<script id="told" type="application/json">${JSON.stringify(told).replaceAll('<', '\\u003c')}</script><script src="page.js"></script>`;
  const server = createServer((request, response) => {
    if (request.url.startsWith('/companion/s3/')) return pass(request, response);
    const script = request.url === '/page.js';
    response.writeHead(200, { 'Content-Type': script ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8' });
    return response.end(script ? outputFiles[0].text : html);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return `http://127.0.0.1:${server.address().port}/`;
}

const page = await open(await launch(join(FILES, 'profile')), await site());

function file(name, content) {
  const path = join(FILES, name);
  writeFileSync(path, content);
  return path;
}

const choose = async (path) => (await page.$('#choose')).uploadFile(path);

async function send(kind) {
  const told = await page.evaluate((how) => globalThis.send(how), kind);
  equal([told.stored, told.failed], [1, []], kind);
}

/** The file is there as the app's server reads it. */
async function stored(name, content) {
  const { items } = await good(server, 'GET', `/files?${new URLSearchParams({ search: name, state: 'active' })}`);
  equal(items.map((file) => [file.originalName, file.size]), [[name, content.length]]);
  equal(await bytes(await fetch(`${V1}/files/${items[0].id}/content`, { headers: server })), content, name);
}

/** Begins to send, loads the page anew once so much has passed, and sends the same file again; gives how much passed then. */
async function reloaded(kind, name, content, after) {
  // One file, written once: its time says that it is the same.
  const path = file(name, content);
  await choose(path);
  const shut = gate.shutAfter(after);
  page.evaluate((how) => globalThis.send(how), kind).catch(() => {});
  await shut;
  await page.reload();
  gate.drop();
  await choose(path);
  await send(kind);
  return gate.sent;
}

test('whole_by_tus', async () => {
  const content = data(1, 3 * MIB + 1);
  await choose(file('tus.bin', content));
  await send('tus');
  await stored('tus.bin', content);
});

test('by_tus_with_the_page_loaded_anew', async () => {
  const content = data(2, 48 * MIB);
  const sent = await reloaded('tus', 'tus again.bin', content, 24 * MIB);
  holds(sent > 23 * MIB && sent < 25 * MIB + IN_SOCKETS, `the other half is sent, and not ${sent} bytes`);
  await stored('tus again.bin', content);
});

test('whole_by_an_address_to_put_to', async () => {
  const content = data(3, 2 * MIB + 5);
  await choose(file('put.bin', content));
  await send('put');
  await stored('put.bin', content);
});

/** Only Uppy of today signs for a store of another name than AWS's. */
if (UPPY === 'uppy') {
  test('whole_signed_by_the_page', async () => {
    const content = data(7, 2 * MIB + 9);
    await choose(file('signed.bin', content));
    await send('signed');
    await stored('signed.bin', content);
    const { items: [{ id, ownerType, visibility }] } = await good(ann, 'GET', '/files?search=signed');
    equal([ownerType, visibility], ['user', 'private']);
    equal(await status(await fetch(`${V1}/files/${id}/content`, { headers: bob })), 403);
  });

  test('the_credentials_of_the_page_upload_and_do_nothing_else', async () => {
    const sdk = createRequire(`${process.env.COMPAT_MODULES_SDK}/`)('@aws-sdk/client-s3');
    const { credentials: given, bucket: Bucket, region } = await good(ann, 'GET', '/s3/sts');
    const credentials = { accessKeyId: given.AccessKeyId, secretAccessKey: given.SecretAccessKey, sessionToken: given.SessionToken };
    const s3 = new sdk.S3Client({ endpoint: ENDPOINT, region, forcePathStyle: true, credentials });
    const Key = 'uppy/sdk.txt';
    await s3.send(new sdk.PutObjectCommand({ Bucket, Key, Body: 'some words' }));
    await stored('sdk.txt', Buffer.from('some words'));
    for (const command of [
      new sdk.GetObjectCommand({ Bucket, Key }),
      new sdk.HeadObjectCommand({ Bucket, Key }),
      new sdk.ListObjectsV2Command({ Bucket }),
      new sdk.PutObjectCommand({ Bucket, Key, Body: 'other words' }),
      new sdk.PutObjectCommand({ Bucket, Key: 'uppy/open.txt', Body: 'x', ACL: 'public-read' }),
      new sdk.CopyObjectCommand({ Bucket, Key: 'uppy/copy.txt', CopySource: `${Bucket}/${Key}` }),
      new sdk.DeleteObjectCommand({ Bucket, Key }),
    ]) {
      const refusal = await s3.send(command).then(() => null, (error) => error.$metadata.httpStatusCode);
      equal(refusal, 403, command.constructor.name);
    }
  });
}

test('whole_by_the_form_that_companion_gives', async () => {
  const content = data(8, 2 * MIB + 3);
  await choose(file('form.bin', content));
  await send('form');
  await stored('form.bin', content);
  equal(page.wrong, [], 'the page may read what it looks for');
});

const asked = [];
page.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));

for (const [how, kind, part] of [['in_parts', 'parts', PART], ['in_parts_as_companion_has_them', 'companion', LARGE_PART]]) {
  test(how, async () => {
    const content = data(4, 3 * part + 77);
    await choose(file(`${kind}.bin`, content));
    await send(kind);
    await stored(`${kind}.bin`, content);
  });

  test(`${how}_with_the_page_loaded_anew`, async () => {
    const content = data(5, 5 * part + 9);
    asked.length = 0;
    const sent = await reloaded(kind, `${kind} again.bin`, content, 3 * part + MIB);
    // What had not arrived whole is sent, and no part that had.
    holds(sent > 2 * part && sent < 3 * part, `two parts and a rest are sent, and not ${sent} bytes`);
    await stored(`${kind} again.bin`, content);
    const looks = asked.filter((line) => /^GET .*\/s3\/multipart\/[^/]+$/.test(line));
    equal(looks.length, kind === 'companion' ? 1 : 0, 'Companion is asked once which parts have arrived');
  });

  test(`given_up_${how}`, async () => {
    await choose(file(`given up, ${kind}.bin`, data(6, 4 * part)));
    const shut = gate.shutAfter(part + MIB);
    page.evaluate((by) => globalThis.send(by), kind).catch(() => {});
    await shut;
    const gone = page.waitForResponse((answer) => answer.url().includes('/abort') || answer.request().method() === 'DELETE');
    await page.evaluate(() => globalThis.uppy.cancelAll());
    gate.open();
    const answer = await gone;
    holds(answer.status() === 200 || answer.status() === 204, `giving up answered ${answer.status()}`);
    const { items } = await good(server, 'GET', '/files?search=given');
    equal(items, []);
  });
}

// Ending, this process takes the browser along.
await main();
