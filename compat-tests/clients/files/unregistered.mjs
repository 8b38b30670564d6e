// Apps as bkend's own examples are: they say what a file is called and its type, send it, and never speak of it again. The
// server is reached under a name without a port, as behind a proxy; its files are public by default.
import { request } from 'node:http';
import { ENDPOINT, equal, holds, main, test } from '../cases.mjs';
import { ann, bytes, good, guest, png, status, V1 } from './app.mjs';

// What the proxy does: the name stays in Host, the connection goes to the server behind it.
function through(url, method, headers = {}, body) {
  const { protocol, host, port, pathname, search } = new URL(url);
  equal([protocol, port], ['https:', ''], url);
  const behind = new URL(ENDPOINT);
  const options = { host: behind.hostname, port: behind.port, method, path: pathname + search, headers: { ...headers, Host: host } };
  return new Promise((resolve, reject) => {
    const sent = request(options, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(pieces) }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function uploaded(filename, content) {
  const { url, key } = await good(ann, 'POST', '/files/presigned-url', { filename, contentType: 'image/png' });
  const sent = await through(url, 'PUT', { 'Content-Type': 'image/png', 'Content-Length': content.length }, content);
  equal(sent.status, 200, sent.body.toString());
  return { url, key };
}

test('an_app_shows_the_address_it_sent_to_without_its_query', async () => {
  const content = png(1, 300);
  const { url } = await uploaded('cat 1.png', content);
  for (const shown of [url.split('?')[0], url.substring(0, url.indexOf('?'))]) {
    const answer = await through(shown, 'GET');
    equal([answer.status, answer.headers['content-type']], [200, 'image/png']);
    equal(answer.body, content);
  }
});

test('an_app_for_phones_builds_the_address_anew_from_scheme_host_and_path', async () => {
  const content = png(2, 300);
  const { url } = await uploaded('cat2.png', content);
  // As `Uri` of Dart has it: `host` has no port.
  const { protocol, hostname, pathname } = new URL(url);
  const answer = await through(`${protocol}//${hostname}${pathname}`, 'GET');
  equal(answer.status, 200);
  equal(answer.body, content);
});

test('a_shop_shows_the_key_by_the_image_host', async () => {
  const { key } = await uploaded('shoe.png', png(3));
  const answer = await fetch(`${V1}/img/shop/dev/fit-in/10x10/${key}`);
  equal(answer.status, 200);
  holds((await bytes(answer)).length > 0, 'an image');
});

test('who_says_that_a_file_is_private_is_heard', async () => {
  const { url, fileId } = await good(ann, 'POST', '/files/presigned-url', { filename: 'own.png', contentType: 'image/png', visibility: 'private' });
  equal((await through(url, 'PUT', { 'Content-Type': 'image/png' }, png(4))).status, 200);
  equal((await through(url.split('?')[0], 'GET')).status, 403);
  equal(await status(await fetch(`${V1}/files/${fileId}/content`, { headers: guest })), 403);
});

await main();
